//! Calls that the user asks for in so many words: "put this into your archive", "search your archive for the number". Pure.
//!
//! Small models answer that they have done so instead of doing it. Where a message names the store and what is to be done with
//! it, the first step of its turn is such a call.

use crate::functions::Function;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskedFor {
    /// A passage in archival storage.
    Archiving,
    /// A look into archival storage or at what was said.
    Search,
    /// An edit of core memory.
    Saving,
}

/// Names of a store, and what stands before them where it is the agent's: "the history of Ghent" and "the archive" of a
/// program are others.
type Store = (&'static [&'static str], &'static [&'static str]);
const ARCHIVE: Store = (&["archive", "archives", "archival"], &["your"]);
const ARCHIVAL: Store = (&["archival"], &["in", "into"]);
const SAID: Store = (&["conversation", "conversations", "chat", "messages", "history"], &["our", "your"]);
const CORE: Store = (&["core"], &["your", "in", "into"]);
const PUTTING: [&str; 9] = ["add", "archive", "insert", "keep", "note", "put", "save", "store", "write"];
const EDITING: [&str; 3] = ["correct", "remember", "update"];
const LOOKING: [&str; 6] = ["browse", "check", "look", "query", "scan", "search"];
/// Who stands before a verb that tells instead of asking: "I keep the archive of our town".
const TELLERS: [&str; 8] = ["i", "we", "they", "he", "she", "who", "d", "ll"];

impl AskedFor {
    /// What a message asks for; none where it does not say so.
    pub(super) fn of(message: &str) -> Option<Self> {
        let lower = message.to_lowercase();
        let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let before = |at: usize| at.checked_sub(1).and_then(|before| words.get(before).copied());
        let place_of = |list: &[&str], is_so: &dyn Fn(Option<&str>) -> bool| {
            words.iter().enumerate().find(|(at, word)| list.contains(word) && is_so(before(*at))).map(|(at, _)| at)
        };
        let verb = |list| place_of(list, &|before| before.is_none_or(|before| !TELLERS.contains(&before)));
        let store =
            |(names, owners): Store| place_of(names, &|before| before.is_some_and(|before| owners.contains(&before)));
        let names_archive = store(ARCHIVE).or_else(|| store(ARCHIVAL));
        if let (Some(looks), Some(place)) = (verb(&LOOKING), names_archive.or_else(|| store(SAID)))
            && looks < place
        {
            return Some(Self::Search);
        }
        match (verb(&PUTTING), names_archive) {
            (Some(puts), Some(place)) if puts < place => return Some(Self::Archiving),
            // "Archive this: .."
            _ if matches!(*words, ["archive", "this" | "that" | "it", ..]) => return Some(Self::Archiving),
            _ => {}
        }
        let saves = verb(&PUTTING).or_else(|| verb(&EDITING))?;
        let place = store(CORE).filter(|at| words.get(at + 1) == Some(&"memory"))?;
        (saves < place).then_some(Self::Saving)
    }

    /// The functions that do it.
    pub(super) const fn functions(self) -> &'static [Function] {
        match self {
            Self::Archiving => &[Function::ArchivalMemoryInsert],
            Self::Search => &[Function::ArchivalMemorySearch, Function::ConversationSearch],
            Self::Saving => &[Function::CoreMemoryAppend, Function::CoreMemoryReplace],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AskedFor::{self, Archiving, Saving, Search};

    #[test]
    fn a_store_and_what_is_to_be_done_with_it_are_a_request() {
        for (message, asked) in [
            ("Please put this into your archive: the part number is 5517-B.", Archiving),
            ("can you save the recipe in your archival storage?", Archiving),
            ("Archive this: the key hangs behind the door.", Archiving),
            ("Search your archive for the part number, please.", Search),
            ("Could you look through our conversation for the date?", Search),
            ("My name is Torvald. Please save that in your core memory.", Saving),
            ("I have moved. Please correct your core memory.", Saving),
        ] {
            assert_eq!(AskedFor::of(message), Some(asked), "{message}");
        }
        for message in [
            "I keep the archive of our town.",
            "We save on heating, and the archive is cold.",
            "What is an archive?",
            "I search the archives of Ghent for my thesis.",
            "My core memory of school is the smell of chalk.",
            "Put the kettle on.",
            "How can I add a file to the archive?",
            "Add a file to the archive with tar.",
            "Look up the history of Ghent.",
            "Check the chat for spam, how does one do that?",
            "Archive the mailbox, or delete it?",
            "",
        ] {
            assert_eq!(AskedFor::of(message), None, "{message}");
        }
    }
}
