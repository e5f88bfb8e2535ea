//! Core memory: two blocks of text that are always in view, and the edits that the model may make.
//!
//! An edit is planned here, on plain text; whoever stores it has nothing left to check. Characters are Unicode scalar
//! values. A refused edit changes nothing and says what to try ([`EditError`]).

use super::super::error::EditError;
use super::super::text::{folded, similarity};

/// How alike a line must be to what the model asked for, to be taken for it (Dice coefficient of character pairs).
/// Lines of different meaning that share their first half stay below.
const CLOSE_ENOUGH: f64 = 0.8;

/// How much less alike every other line must be, so that the closest is the one meant.
const CLEAR_LEAD: f64 = 0.1;

/// Which block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockLabel {
    /// The agent's own block.
    Persona,
    /// The block about the user.
    Human,
}

impl BlockLabel {
    /// Both, in the order of the prompt.
    pub const ALL: [Self; 2] = [Self::Persona, Self::Human];

    /// The spelling that models and the database use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Persona => "persona",
            Self::Human => "human",
        }
    }

    /// The block with that spelling.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == label)
    }
}

impl std::fmt::Display for BlockLabel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreBlock {
    /// Which.
    pub label: BlockLabel,
    /// What it says, one fact a line.
    pub text: String,
    /// Most characters that an edit may leave in it. The text itself may be longer: a block is always readable.
    pub limit_chars: usize,
}

/// Both blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreMemory {
    /// The agent's own block.
    pub persona: CoreBlock,
    /// The block about the user.
    pub human: CoreBlock,
}

impl CoreMemory {
    /// One of the two.
    #[must_use]
    pub const fn block(&self, label: BlockLabel) -> &CoreBlock {
        match label {
            BlockLabel::Persona => &self.persona,
            BlockLabel::Human => &self.human,
        }
    }

    /// The text that stands in the prompt.
    #[must_use]
    pub fn render(&self) -> String {
        format!(
            "### Core memory (limited in size; more is stored in recall and archival memory)\n{}\n{}",
            self.persona.render(),
            self.human.render()
        )
    }
}

impl CoreBlock {
    /// Length in characters.
    #[must_use]
    pub fn used_chars(&self) -> usize {
        self.text.chars().count()
    }

    /// Characters that an append may still add, its line break included.
    #[must_use]
    pub fn free_chars(&self) -> usize {
        self.limit_chars.saturating_sub(self.used_chars())
    }

    /// The lines that a replace can name: those that are not blank.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| !line.trim().is_empty())
    }

    /// The block as it stands in the prompt.
    #[must_use]
    pub fn render(&self) -> String {
        let Self { label, text, limit_chars } = self;
        format!("<{label} characters=\"{}/{limit_chars}\">\n{text}\n</{label}>", self.used_chars())
    }

    /// The text after `content` is added as a new line.
    ///
    /// # Errors
    /// `content` is empty or stands there already, or the block would be over its limit.
    pub fn appended(&self, content: &str) -> Result<String, EditError> {
        let content = content.trim();
        if content.is_empty() {
            return Err(EditError::Empty { argument: "content" });
        }
        let is_present = |line: &str| self.lines().any(|known| same_line(known, line));
        if content.lines().filter(|line| !line.trim().is_empty()).all(is_present) {
            return Err(EditError::AlreadyPresent { label: self.label, line: content.to_owned() });
        }
        let text = if self.text.trim().is_empty() {
            content.to_owned()
        } else {
            format!("{}\n{content}", self.text.trim_end())
        };
        self.within_limit(text)
    }

    /// The text after `old_content` became `new_content`; an empty `new_content` deletes the line.
    ///
    /// What `old_content` means is looked for in this order: whole lines that are equal; the same characters within
    /// lines, at word borders; whole lines that are equal but for case and white space; the one line that is close.
    ///
    /// # Errors
    /// Nothing like it stands there, nothing would change, or the block would be over its limit.
    pub fn replaced(&self, old_content: &str, new_content: &str) -> Result<String, EditError> {
        let (old, new) = (old_content.trim(), new_content.trim());
        if old.is_empty() {
            return Err(EditError::Empty { argument: "old_content" });
        }
        if old == new {
            return Err(EditError::NoChange);
        }
        let text = self
            .with_lines_replaced(new, |window| window == old, old.lines().count())
            .or_else(|| self.with_words_replaced(old, new))
            .or_else(|| {
                let wanted = folded(old);
                self.with_lines_replaced(new, |window| folded(window) == wanted, old.lines().count())
            })
            .or_else(|| {
                let close = self.close_line(old)?.to_owned();
                self.with_lines_replaced(new, |window| window == close.trim(), 1)
            })
            .ok_or_else(|| EditError::NotFound {
                label: self.label,
                asked: old.to_owned(),
                closest: self.closest_line(old).map(|(line, _)| line.to_owned()),
            })?;
        if text == self.text { Err(EditError::NoChange) } else { self.within_limit(text) }
    }

    /// Replaces every run of `line_count` lines that `matches` (lines joined by line breaks, trimmed); none if no run
    /// does. A new line that stands elsewhere in the block already is not written twice.
    fn with_lines_replaced(&self, new: &str, matches: impl Fn(&str) -> bool, line_count: usize) -> Option<String> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut kept: Vec<&str> = Vec::with_capacity(lines.len() + 1);
        let mut new_at = None;
        let mut found = false;
        let mut at = 0;
        while let Some(rest) = lines.get(at..).filter(|rest| !rest.is_empty()) {
            let is_match = rest.get(..line_count).is_some_and(|window| matches(window.join("\n").trim()));
            if is_match {
                found = true;
                new_at.get_or_insert(kept.len());
                at += line_count;
            } else {
                kept.extend(rest.first());
                at += 1;
            }
        }
        if !found {
            return None;
        }
        let is_elsewhere = kept.iter().any(|line| same_line(line, new));
        if let Some(new_at) = new_at.filter(|_| !new.is_empty() && !is_elsewhere) {
            kept.insert(new_at, new);
        }
        Some(kept.join("\n").trim_matches('\n').to_owned())
    }

    /// Replaces `old` wherever it stands as a whole word or phrase; a line that becomes blank goes.
    fn with_words_replaced(&self, old: &str, new: &str) -> Option<String> {
        let mut text = String::with_capacity(self.text.len());
        let mut copied_to = 0;
        for (at, found) in self.text.match_indices(old) {
            let before = self.text.get(..at).and_then(|before| before.chars().next_back());
            let after = self.text.get(at + found.len()..).and_then(|after| after.chars().next());
            let splits_word = |outside: Option<char>, edge: Option<char>| matches!((outside, edge), (Some(a), Some(b)) if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric());
            if splits_word(before, old.chars().next()) || splits_word(after, old.chars().next_back()) {
                continue;
            }
            text.push_str(self.text.get(copied_to..at)?);
            text.push_str(new);
            copied_to = at + found.len();
        }
        if copied_to == 0 {
            return None;
        }
        text.push_str(self.text.get(copied_to..)?);
        if !new.is_empty() {
            return Some(text);
        }
        // A deletion leaves gaps behind in the lines that it touched; other lines stay as they are.
        let lines = text.lines().filter_map(|line| {
            if self.text.lines().any(|known| known == line) {
                return Some(line.to_owned());
            }
            let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
            words.contains(char::is_alphanumeric).then_some(words)
        });
        Some(lines.collect::<Vec<_>>().join("\n"))
    }

    fn closest_line(&self, wanted: &str) -> Option<(&str, f64)> {
        self.lines().map(|line| (line, similarity(line, wanted))).max_by(|left, right| left.1.total_cmp(&right.1))
    }

    /// The line that is close to `wanted`, if it is the only one.
    fn close_line(&self, wanted: &str) -> Option<&str> {
        let (best, score) = self.closest_line(wanted)?;
        let has_rival = self.lines().any(|line| line != best && similarity(line, wanted) > score - CLEAR_LEAD);
        (score >= CLOSE_ENOUGH && !has_rival).then_some(best)
    }

    /// A text over the limit passes only if it is shorter than the one before: a block that is over its limit for
    /// another reason can be shortened step by step.
    fn within_limit(&self, text: String) -> Result<String, EditError> {
        let asked_chars = text.chars().count();
        let used_chars = self.used_chars();
        if asked_chars > self.limit_chars && asked_chars >= used_chars {
            let (label, limit_chars) = (self.label, self.limit_chars);
            return Err(EditError::OverLimit { label, used_chars, asked_chars, limit_chars });
        }
        Ok(text)
    }
}

/// Whether two lines are equal but for case and white space: core memory holds only one of them.
#[must_use]
pub fn same_line(left: &str, right: &str) -> bool {
    folded(left) == folded(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn human(text: &str) -> CoreBlock {
        CoreBlock { label: BlockLabel::Human, text: text.into(), limit_chars: 100 }
    }

    #[test]
    fn append_joins_with_a_line_break() {
        assert_eq!(human("").appended("Plays chess.").unwrap(), "Plays chess.");
        assert_eq!(human("Plays chess.").appended(" Has a boat. ").unwrap(), "Plays chess.\nHas a boat.");
    }

    #[test]
    fn append_refuses_what_stands_there_already() {
        let error = human("Plays chess.\nHas a boat.").appended("plays  CHESS.").unwrap_err();
        assert!(matches!(error, EditError::AlreadyPresent { .. }));
        assert!(human("Plays chess.").appended("Plays chess.\nHas a boat.").is_ok());
    }

    #[test]
    fn the_limit_counts_characters_not_bytes() {
        assert_eq!(human("").appended(&"é".repeat(100)).unwrap().chars().count(), 100);
        let error = human("x").appended(&"é".repeat(99)).unwrap_err();
        assert_eq!(
            error,
            EditError::OverLimit { label: BlockLabel::Human, used_chars: 1, asked_chars: 101, limit_chars: 100 }
        );
        let text = error.to_string();
        assert!(text.contains("1 of 100") && text.contains("101") && text.contains("archival_memory_insert"), "{text}");
    }

    #[test]
    fn a_block_over_its_limit_can_be_shortened() {
        let block = human(&format!("{}\nlast", "x".repeat(150)));
        assert_eq!(block.replaced("last", "").unwrap().chars().count(), 150);
        assert!(block.replaced("last", "last but longer").is_err());
    }

    #[test]
    fn a_whole_line_goes_before_a_part_of_another() {
        let block = human("Has a boat called Wind.\nHas a boat");
        assert_eq!(block.replaced("Has a boat", "Sold the boat").unwrap(), "Has a boat called Wind.\nSold the boat");
    }

    #[test]
    fn parts_of_lines_are_replaced_at_word_borders_only() {
        let block = human("Boats: two. Boat shed: none.");
        assert_eq!(block.replaced("Boat", "Ship").unwrap(), "Boats: two. Ship shed: none.");
    }

    #[test]
    fn case_and_white_space_do_not_matter_where_nothing_is_equal() {
        assert_eq!(human("Plays   Chess.\nb").replaced("plays chess.", "Plays go.").unwrap(), "Plays go.\nb");
    }

    #[test]
    fn one_close_line_is_taken_and_two_are_not() {
        let block = human("Works at the harbour office.\nPlays chess.");
        let replaced = block.replaced("Works in the harbour office", "Is retired.").unwrap();
        assert_eq!(replaced, "Is retired.\nPlays chess.");
        let block = human("Works at the harbour office A.\nWorks at the harbour office B.");
        let error = block.replaced("Works at the harbour office C.", "x").unwrap_err();
        assert!(error.to_string().contains("closest line is"), "{error}");
    }

    #[test]
    fn an_empty_replacement_deletes_the_line() {
        assert_eq!(human("a b\nc d\ne f").replaced("c d", "").unwrap(), "a b\ne f");
        assert_eq!(human("a b\nc and d\ne f").replaced("and d", "").unwrap(), "a b\nc\ne f");
        assert_eq!(human("only").replaced("only", "").unwrap(), "");
    }

    #[test]
    fn several_lines_can_be_replaced_at_once() {
        assert_eq!(human("a\nb\nc").replaced("a\nb", "x").unwrap(), "x\nc");
    }

    #[test]
    fn a_replacement_that_stands_elsewhere_is_not_written_twice() {
        assert_eq!(
            human("Lives inland.\nLives abroad.").replaced("Lives inland.", "Lives abroad.").unwrap(),
            "Lives abroad."
        );
    }

    #[test]
    fn edits_without_effect_are_refused() {
        assert_eq!(human("a").replaced("a", " a "), Err(EditError::NoChange));
        assert_eq!(human("a").replaced(" ", "b"), Err(EditError::Empty { argument: "old_content" }));
        assert_eq!(human("a").appended(" "), Err(EditError::Empty { argument: "content" }));
        let error = human("").replaced("zzz", "b").unwrap_err();
        assert_eq!(error, EditError::NotFound { label: BlockLabel::Human, asked: "zzz".into(), closest: None });
    }

    #[test]
    fn the_prompt_shows_both_blocks_with_their_meters() {
        let persona = CoreBlock { label: BlockLabel::Persona, text: "I am calm.".into(), limit_chars: 50 };
        let text = CoreMemory { persona, human: human("é") }.render();
        assert_eq!(
            text,
            "### Core memory (limited in size; more is stored in recall and archival memory)\n\
             <persona characters=\"10/50\">\nI am calm.\n</persona>\n<human characters=\"1/100\">\né\n</human>"
        );
    }
}
