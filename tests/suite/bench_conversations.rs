//! The conversations of `benches/conversations` and of the folder in it have the form that its README tells.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conversation {
    name: String,
    about: String,
    language: String,
    kinds: Vec<String>,
    sessions: Vec<Session>,
    #[serde(default)]
    core_any: BTreeMap<String, Vec<Vec<String>>>,
    #[serde(default)]
    core_none: BTreeMap<String, Vec<String>>,
    core_max_added_chars: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    turns: Vec<Turn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    user: String,
    reply_any: Option<Vec<String>>,
    reply_none: Option<Vec<String>>,
}

impl Conversation {
    fn turns(&self) -> impl Iterator<Item = &Turn> {
        self.sessions.iter().flat_map(|session| &session.turns)
    }

    fn checks(&self) -> usize {
        let of_replies = self.turns().map(|turn| turn.reply_any.iter().chain(&turn.reply_none).count()).sum::<usize>();
        let of_memory = self.core_any.values().map(Vec::len).sum::<usize>() + self.core_none.len();
        of_replies + of_memory + self.core_max_added_chars.len()
    }

    /// All texts that are looked for.
    fn needles(&self) -> impl Iterator<Item = &String> {
        let of_replies = self.turns().flat_map(|turn| turn.reply_any.iter().chain(&turn.reply_none)).flatten();
        of_replies.chain(self.core_any.values().flatten().flatten()).chain(self.core_none.values().flatten())
    }
}

fn all() -> Vec<(String, Conversation)> {
    [in_folder("benches/conversations"), in_folder("benches/conversations/everyday")].into_iter().flatten().collect()
}

fn in_folder(folder: &str) -> Vec<(String, Conversation)> {
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let parsed = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_stem().unwrap().to_string_lossy().into_owned(), parsed)
        })
        .collect()
}

#[test]
fn every_conversation_says_what_it_tests_and_checks_it() {
    for (stem, conversation) in all() {
        assert_eq!(conversation.name, stem);
        assert!(!conversation.about.is_empty() && !conversation.kinds.is_empty(), "{stem}");
        assert_eq!(conversation.language.len(), 2, "{stem}");
        assert!(conversation.checks() >= 3, "{stem} has {} checks", conversation.checks());
        assert!(conversation.sessions.iter().all(|session| !session.turns.is_empty()), "{stem}");
        assert!(conversation.turns().all(|turn| !turn.user.trim().is_empty()), "{stem}");
        assert!(conversation.needles().all(|needle| !needle.trim().is_empty()), "{stem}");
        let blocks = conversation.core_any.keys().chain(conversation.core_none.keys());
        let blocks = blocks.chain(conversation.core_max_added_chars.keys());
        assert!(blocks.into_iter().all(|block| ["human", "persona"].contains(&block.as_str())), "{stem}");
    }
}

#[test]
fn the_set_is_large_and_varied() {
    let all = all();
    assert!(all.len() >= 150, "{}", all.len());
    let mut kinds: HashMap<&str, usize> = HashMap::new();
    for (_, conversation) in &all {
        for kind in &conversation.kinds {
            *kinds.entry(kind).or_default() += 1;
        }
    }
    for kind in
        ["two-facts", "correction", "distractor", "small-talk", "never-said", "persona", "long-gap", "repetition"]
    {
        assert!(kinds.get(kind).is_some_and(|count| *count >= 5), "{kind}: {kinds:?}");
    }
    assert!(all.iter().filter(|(_, conversation)| conversation.language != "en").count() >= 15);
}
