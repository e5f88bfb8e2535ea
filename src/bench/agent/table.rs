//! The report as text for the terminal.

use std::fmt::Write as _;

use super::costs::FIGURES;
use super::report::Part;
use super::{Check, Interval, KindFigures, Report};

const PER_CENT: f64 = 100.0;

fn line_of(text: &mut String, name: &str, figures: &KindFigures) {
    let KindFigures { conversations, checks, share, interval } = figures;
    let share = share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * PER_CENT));
    let interval = interval.map_or_else(
        || "-".to_owned(),
        |Interval { low, high }| format!("{:.1} - {:.1} %", low * PER_CENT, high * PER_CENT),
    );
    // Nothing fails that is written to a string.
    let _ =
        write!(text, "\n{name:<18}{conversations:>14}{:>8}{:>8}{share:>9}{interval:>18}", checks.passed, checks.total);
}

fn part_of(Part { count, total, share }: Part) -> String {
    let share = share.map_or_else(String::new, |share| format!(" ({:.1} %)", share * PER_CENT));
    format!("{count} of {total}{share}")
}

impl Report {
    /// The figures as a table for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let settings = &self.settings;
        let mut text = format!(
            "{} · {} profile · {} half · idle {} · temperature {} · window {} tokens · seed {}",
            settings.model,
            settings.profile,
            settings.half,
            settings.idle,
            settings.temperature,
            settings.context_window,
            settings.seed
        );
        if settings.seeds > 1 {
            let _ = write!(text, " · {} runs of each conversation", settings.seeds);
        }
        let _ = write!(
            text,
            "\n{:<18}{:>14}{:>8}{:>8}{:>9}{:>18}",
            "kind", "conversations", "passed", "checks", "share", "95 % interval"
        );
        for (kind, figures) in &self.kinds {
            line_of(&mut text, kind, figures);
        }
        line_of(&mut text, "all", &self.summary.all);
        self.write_parts(&mut text);
        self.write_costs(&mut text);
        if !self.summary.is_complete {
            text.push_str(
                "\nNot all conversations were run to their end: the figures are those of the ones that were.",
            );
        }
        text
    }

    fn write_parts(&self, text: &mut String) {
        let summary = &self.summary;
        let by_check = Check::ALL.into_iter().filter_map(|check| {
            let counted = summary.by_check.get(check.as_str())?;
            Some(format!("{} {}/{}", check.as_str(), counted.passed, counted.total))
        });
        let _ = write!(text, "\n\nby check: {}", by_check.collect::<Vec<_>>().join(" · "));
        let faults = summary.faults;
        let _ = write!(
            text,
            "\n{} turns: {} silent · {} errors · {} with call syntax · {} repeated replies · {} parroted · {} in \
             circles · {} as the user · {} in another language\n{} calls: {} failed · {} repeated within a turn",
            faults.turns,
            faults.silent,
            faults.errors,
            faults.leaked_calls,
            faults.repeated_replies,
            faults.parroted,
            faults.circling,
            faults.as_user,
            faults.other_language,
            faults.calls,
            faults.failed_calls,
            faults.repeated_calls
        );
        for (what, part) in [
            ("small talk: core memory changed in turns", summary.small_talk_saved),
            ("never said: something invented in replies", summary.invented),
            ("long gap: asked replies right", summary.long_gap_replies),
            ("restart: asked replies right", summary.restart_replies),
            ("eviction: asked replies right behind one", summary.eviction_replies),
        ] {
            let _ = write!(text, "\n{what}: {}", part_of(part));
        }
    }

    fn write_costs(&self, text: &mut String) {
        let _ = write!(text, "\n\n{:<18}{:>12}{:>12}", "a turn", "mean", "p90");
        for name in FIGURES {
            if let Some(spread) = self.summary.costs.get(name) {
                let _ = write!(text, "\n{name:<18}{:>12.2}{:>12.2}", spread.mean, spread.p90);
            }
        }
        let _ = write!(text, "\nall conversations: {:.0} s", self.summary.wall_s);
    }
}
