//! Marks what was said before it changed. Pure: compares messages with notes that were replaced.
//!
//! Asked where they live, a small model answers by "I live in Lyon" although a note says Turin: what was said is longer, and
//! in the user's own words. So a message gets the note as it is now behind it, where it says what the note said before.

use std::collections::HashSet;

use crate::memory::{BlockEdit, BlockLabel};
use crate::types::MessageId;

use super::super::language::{all_names, is_form_of, meaning_words, words};

/// Edits that are looked at, the newest first.
pub(super) const LOOKED_AT: usize = 200;

/// A note about the user that took the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// What only the old one says: names and numbers where it has some.
    gone: HashSet<String>,
    /// Where the old one has none: what both speak of, of which a message has to speak as well.
    kept: Vec<String>,
    /// Words with a meaning that the new one has and the old one had not.
    come: HashSet<String>,
    /// The new one.
    now: String,
    /// What was said before this has changed.
    since: Option<MessageId>,
}

impl Change {
    /// None where the new note says all that the old one said.
    fn of(old: &str, new: &str, since: Option<MessageId>) -> Option<Self> {
        let (old_words, new_words): (Vec<String>, Vec<String>) = (words(old).collect(), words(new).collect());
        // Names in another form are other names.
        let mut gone: HashSet<String> = all_names(old).filter(|name| !new_words.contains(name)).collect();
        let mut kept = Vec::new();
        if gone.is_empty() {
            let is_kept = |word: &String| new_words.iter().any(|new| is_form_of(new, word));
            let (both, lost) = meaning_words(old).into_iter().partition(is_kept);
            kept = both;
            gone = Vec::into_iter(lost).collect();
        }
        let telling = meaning_words(new).into_iter().chain(all_names(new));
        let come = telling.filter(|word| !old_words.contains(word)).collect();
        (!gone.is_empty()).then(|| Self { gone, kept, come, now: new.to_owned(), since })
    }
}

/// The replacements among `edits`, which come newest first, oldest first; what a note became in the end stands for it.
pub(super) fn changes(edits: &[BlockEdit]) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for edit in edits.iter().rev().filter(|edit| edit.label == BlockLabel::Human) {
        let (old, new) = (lines_of_only(&edit.before, &edit.after), lines_of_only(&edit.after, &edit.before));
        if let ([old], [new]) = (&*old, &*new) {
            changes
                .iter_mut()
                .filter(|change| change.now == *old)
                .for_each(|change| (*new).clone_into(&mut change.now));
            changes.extend(Change::of(old, new, edit.message_id));
        } else {
            changes.retain(|change| !old.contains(&change.now.as_str()));
        }
    }
    changes
}

fn lines_of_only<'a>(one: &'a str, other: &str) -> Vec<&'a str> {
    one.lines().filter(|line| !other.lines().any(|kept| kept == *line)).collect()
}

/// The notes as they are now, of which a message says what they said before it, and nothing of what has come.
pub(super) fn by_now<'a>((id, said): (MessageId, &str), changes: &'a [Change]) -> Vec<&'a str> {
    let said: HashSet<String> = words(said).collect();
    let speaks_of =
        |kept: &[String]| kept.is_empty() || kept.iter().any(|kept| said.iter().any(|word| is_form_of(word, kept)));
    let is_outdated = |change: &&Change| {
        change.since.is_none_or(|since| id < since)
            && !change.gone.is_disjoint(&said)
            && change.come.is_disjoint(&said)
            && speaks_of(&change.kept)
    };
    let mut now: Vec<&str> = changes.iter().filter(is_outdated).map(|change| change.now.as_str()).collect();
    now.dedup();
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(before: &str, after: &str) -> BlockEdit {
        BlockEdit {
            label: BlockLabel::Human,
            before: before.to_owned(),
            after: after.to_owned(),
            at_ms: 0,
            message_id: Some(MessageId(10)),
            cause: String::new(),
        }
    }

    /// What a message before the edits is told to have become.
    fn now<'a>(said: &str, changes: &'a [Change]) -> Vec<&'a str> {
        by_now((MessageId(1), said), changes)
    }

    #[test]
    fn what_was_said_before_a_note_was_replaced_is_marked() {
        let changes = changes(&[edit("The user lives in Lyon.\nX.", "The user lives in Turin.\nX.")]);
        assert_eq!(now("Hello, I'm Rosa and live in Lyon.", &changes), ["The user lives in Turin."]);
        assert!(now("I moved from Lyon to Turin.", &changes).is_empty());
        assert!(now("I live with my sister.", &changes).is_empty());
        assert!(by_now((MessageId(11), "Back to Lyon for Christmas!"), &changes).is_empty(), "said since");
    }

    #[test]
    fn each_note_that_a_message_told_of_is_marked() {
        let edits = [
            edit("The user is a nurse at Alba.", "The user is a nurse at Brock."),
            edit("The user lives in Lyon.", "The user lives in Turin."),
        ];
        let told = ["The user lives in Turin.", "The user is a nurse at Brock."];
        assert_eq!(now("I live in Lyon and am a nurse at Alba.", &changes(&edits)), told);
    }

    #[test]
    fn words_that_name_nothing_count_with_what_they_are_said_of() {
        let changes = changes(&[edit("The user studies law.", "The user studies botany.")]);
        assert_eq!(now("I study law in Delft.", &changes), ["The user studies botany."]);
        assert!(now("My uncle broke the law.", &changes).is_empty());
    }

    #[test]
    fn what_a_note_became_in_the_end_is_told() {
        let edits = [
            edit("The exam is on Friday.", "The exam is on Tuesday."),
            edit("The exam is on Monday.", "The exam is on Friday."),
        ];
        let changes = changes(&edits);
        assert_eq!(now("I have to prepare for my exam on Monday.", &changes), ["The exam is on Tuesday."]);
        assert_eq!(now("It is on Friday, sorry.", &changes), ["The exam is on Tuesday."]);
        let codes = super::changes(&[edit("The code is 48213.", "The code is 48217.")]);
        assert_eq!(now("The code is 48213.", &codes), ["The code is 48217."], "names are alike only as a whole");
    }

    #[test]
    fn a_note_that_is_gone_stands_for_nothing() {
        let edits = [edit("The exam is on Friday.", ""), edit("The exam is on Monday.", "The exam is on Friday.")];
        assert!(changes(&edits).is_empty());
    }

    #[test]
    fn additions_and_words_in_another_form_mark_nothing() {
        assert!(changes(&[edit("One.", "One.\nThe user has a dog.")]).is_empty());
        assert!(changes(&[edit("The user studies law.", "The user study law in Delft.")]).is_empty());
        assert!(changes(&[edit("The user studies law.", "")]).is_empty());
    }
}
