//! How the window is filled, part by part, and the table that shows it. Tokens are those of whole prompts: each part
//! counts what the prompt grows by when it is added.

use std::fmt::Write;

use crate::memory::{MainContext, QueueLimits};
use crate::types::Body;

use super::Error;
use super::model::Model;

/// Columns of the longest bar: the whole window.
const BAR_COLUMNS: usize = 40;

/// Tokens of each part of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    window: usize,
    /// Instructions, function definitions and the template around them.
    fixed: usize,
    core_memory: usize,
    summary: usize,
    messages: usize,
    /// What is kept free for the answer.
    reserve: usize,
    warn_from: usize,
    evict_above: usize,
}

impl Parts {
    /// Measures the prompt of `context`, whose queue is as the database has it.
    pub(super) fn measure(model: &Model, context: &MainContext, limits: &QueueLimits) -> Result<Self, Error> {
        let tokens = |core_memory: &str, messages: &[crate::types::Message]| -> Result<usize, Error> {
            let part = MainContext {
                instructions: context.instructions.clone(),
                core_memory: core_memory.to_owned(),
                messages: messages.to_vec(),
            };
            Ok(model.prompt(&part)?.len())
        };
        let is_summary = |message: &&crate::types::Message| matches!(message.body, Body::Summary { .. });
        let summaries: Vec<_> = context.messages.iter().take_while(is_summary).cloned().collect();
        let fixed = tokens("", &[])?;
        let with_core = tokens(&context.core_memory, &[])?;
        let with_summary = if summaries.is_empty() { with_core } else { tokens(&context.core_memory, &summaries)? };
        let whole = tokens(&context.core_memory, &context.messages)?;
        let window = model.window_tokens();
        Ok(Self {
            window,
            fixed,
            core_memory: with_core.saturating_sub(fixed),
            summary: with_summary.saturating_sub(with_core),
            messages: whole.saturating_sub(with_summary),
            reserve: limits.answer_reserve_tokens(window).min(window.saturating_sub(whole)),
            warn_from: limits.warn_from_tokens(window),
            evict_above: limits.evict_above_tokens(window),
        })
    }

    const fn prompt(&self) -> usize {
        self.fixed + self.core_memory + self.summary + self.messages
    }

    /// The table, one line a part, with bars in proportion.
    pub(super) fn drawn(&self) -> String {
        let free = self.window.saturating_sub(self.prompt() + self.reserve);
        let parts = [
            ("fixed prompt", self.fixed),
            ("core memory", self.core_memory),
            ("summary", self.summary),
            ("messages", self.messages),
            ("answer reserve", self.reserve),
            ("free", free),
        ];
        let mut table = format!("{:<14} {:>7}", "window", self.window);
        for (name, tokens) in parts {
            // Nothing that is there looks like nothing.
            let columns = (tokens * BAR_COLUMNS).div_ceil(self.window.max(1));
            let percent = (tokens * 100 + self.window / 2) / self.window.max(1);
            let bar = if name == "free" { "." } else { "#" }.repeat(columns.min(BAR_COLUMNS));
            // Nothing fails that is written to memory.
            let _ = write!(table, "\n{}", format!("{name:<14} {tokens:>7} {percent:>3} %  {bar}").trim_end());
        }
        let Self { warn_from, evict_above, .. } = self;
        let prompt = self.prompt();
        let _ = write!(
            table,
            "\nThe prompt has {prompt} tokens. From {warn_from} on the agent is warned; above {evict_above} older messages \
             are summarised."
        );
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_make_up_the_window() {
        let parts = Parts {
            window: 1000,
            fixed: 300,
            core_memory: 1,
            summary: 0,
            messages: 199,
            reserve: 250,
            warn_from: 600,
            evict_above: 650,
        };
        let table = parts.drawn();
        let numbers: Vec<usize> = table.lines().take(7).map(|line| line[14..22].trim().parse().unwrap()).collect();
        assert_eq!(numbers, [1000, 300, 1, 0, 199, 250, 250]);
        let bar = |line: usize, mark: char| table.lines().nth(line).unwrap().matches(mark).count();
        assert_eq!((bar(1, '#'), bar(2, '#'), bar(3, '#'), bar(6, '.')), (12, 1, 0, 10));
    }

    #[test]
    fn a_window_that_is_overfull_is_drawn_all_the_same() {
        let parts = Parts {
            window: 100,
            fixed: 300,
            core_memory: 0,
            summary: 0,
            messages: 0,
            reserve: 0,
            warn_from: 60,
            evict_above: 65,
        };
        assert!(parts.drawn().lines().all(|line| line.matches('#').count() <= BAR_COLUMNS));
    }
}
