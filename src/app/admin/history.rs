//! `mneme history`: every edit of core memory, what it changed, and what caused it.

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::super::output::{Output, print_json, stdout};
use super::{Done, home, local_time, open_store};
use crate::cli::{BlockName, ExitCode, HistoryArgs};
use crate::memory::{BlockEdit, BlockLabel, View};
use crate::types::Body;
use crate::ui::sanitize;

/// Longest part of a message that is quoted.
const QUOTED_CHARS: usize = 100;
/// Largest comparison of two texts, in pairs of lines; above it all old lines go and all new ones come.
const MAX_PAIRS: usize = 4_000_000;

pub(super) fn show(arguments: &HistoryArgs) -> Done {
    let store = open_store(&home()?)?;
    let view = store.view(&arguments.agent)?;
    let label = arguments.block.map(|block| match block {
        BlockName::Persona => BlockLabel::Persona,
        BlockName::Human => BlockLabel::Human,
    });
    let mut edits = view.block_edits(usize::MAX)?;
    edits.retain(|edit| label.is_none_or(|label| edit.label == label));
    let is_unchanged = edits.is_empty();
    edits.truncate(arguments.limit.unwrap_or(usize::MAX));
    edits.reverse();
    if arguments.json {
        let rows = edits.iter().map(|edit| as_json(edit, &view)).collect::<Result<Vec<_>, _>>()?;
        print_json(&Value::Array(rows))?;
        return Ok(ExitCode::Ok);
    }
    let mut out = stdout();
    if is_unchanged {
        let what = label.map_or_else(|| "Core memory".to_owned(), |label| format!("The {label} block"));
        writeln!(out, "{what} is as it was when {} was made.", arguments.agent)?;
    }
    for edit in &edits {
        print(&mut out, edit, &view)?;
    }
    Ok(ExitCode::Ok)
}

fn as_json(edit: &BlockEdit, view: &View<'_>) -> Result<Value, super::super::Error> {
    let message = edit.message_id.map(|id| view.message(id)).transpose()?.flatten();
    Ok(json!({
        "at_ms": edit.at_ms,
        "time": local_time(edit.at_ms),
        "block": edit.label.as_str(),
        "before": edit.before,
        "after": edit.after,
        "cause": edit.cause,
        "message": message.map(|message| json!({
            "at_ms": message.at_ms,
            "body": message.body,
        })),
    }))
}

fn print(out: &mut Output, edit: &BlockEdit, view: &View<'_>) -> Result<(), super::super::Error> {
    const HEAD: Style = Style::new().bold();
    writeln!(out, "{HEAD}{} {} by {}{HEAD:#}", local_time(edit.at_ms), edit.label, sanitize(&edit.cause))?;
    for (mark, line) in changes(&edit.before, &edit.after) {
        let style = match mark {
            '-' => AnsiColor::Red.on_default(),
            _ => AnsiColor::Green.on_default(),
        };
        writeln!(out, "  {style}{mark} {}{style:#}", sanitize(line))?;
    }
    if let Some(message) = edit.message_id.map(|id| view.message(id)).transpose()?.flatten() {
        writeln!(out, "  because of {} {}", local_time(message.at_ms), sanitize(&quoted(&message.body)))?;
    }
    Ok(())
}

/// A message on one line.
fn quoted(body: &Body) -> String {
    let (who, text) = match body {
        Body::User { text } => ("user", text.clone()),
        Body::Assistant { call: Some(call), .. } => {
            ("agent", format!("{} {}", call.name, Value::Object(call.arguments.clone())))
        }
        Body::Assistant { text, thoughts, .. } => {
            ("agent", text.clone().or_else(|| thoughts.clone()).unwrap_or_default())
        }
        Body::FunctionResult { name, message, .. } => ("result", format!("{name}: {message}")),
        Body::Notification { .. } => ("event", String::new()),
        Body::Summary { text, .. } => ("summary", text.clone()),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(QUOTED_CHARS).collect();
    if short.len() < line.len() {
        short.push_str(" ..");
    }
    format!("{who}: {short}").trim_end_matches([':', ' ']).to_owned()
}

/// The lines that go (`-`) and come (`+`), in order: what is left of both texts without their longest common
/// subsequence.
fn changes<'a>(before: &'a str, after: &'a str) -> Vec<(char, &'a str)> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let common = if old.len().saturating_mul(new.len()) > MAX_PAIRS { Vec::new() } else { common_lines(&old, &new) };
    let (mut at_old, mut at_new) = (0, 0);
    let mut found = Vec::new();
    for (in_old, in_new) in common.into_iter().chain([(old.len(), new.len())]) {
        found.extend(old.get(at_old..in_old).unwrap_or_default().iter().map(|line| ('-', *line)));
        found.extend(new.get(at_new..in_new).unwrap_or_default().iter().map(|line| ('+', *line)));
        (at_old, at_new) = (in_old + 1, in_new + 1);
    }
    found
}

/// Positions of the lines of a longest common subsequence.
fn common_lines(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    // `longest[i][j]`: lines that old[i..] and new[j..] have in common.
    let mut longest = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    let at = |table: &[Vec<usize>], i: usize, j: usize| table.get(i).and_then(|row| row.get(j)).copied().unwrap_or(0);
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            let length = if old.get(i) == new.get(j) {
                at(&longest, i + 1, j + 1) + 1
            } else {
                at(&longest, i + 1, j).max(at(&longest, i, j + 1))
            };
            if let Some(cell) = longest.get_mut(i).and_then(|row| row.get_mut(j)) {
                *cell = length;
            }
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if old.get(i) == new.get(j) {
            found.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if at(&longest, i + 1, j) >= at(&longest, i, j + 1) {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_shown() {
        let before = "The user is Ines.\nShe rows.\nShe sings.";
        assert_eq!(changes(before, "The user is Ines.\nShe sings."), [('-', "She rows.")]);
        assert_eq!(
            changes(before, "The user is Ines.\nShe sails.\nShe sings.\nShe cooks."),
            [('-', "She rows."), ('+', "She sails."), ('+', "She cooks.")]
        );
        assert_eq!(changes("", "new"), [('+', "new")]);
        assert!(changes("same", "same").is_empty());
    }

    #[test]
    fn a_long_message_is_quoted_in_part() {
        let quoted = quoted(&Body::User { text: "word\n".repeat(50) });
        assert!(quoted.starts_with("user: word word") && quoted.ends_with(" .."), "{quoted}");
    }
}
