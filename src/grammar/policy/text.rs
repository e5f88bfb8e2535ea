//! Free text in which no line begins like a call that is only spelled.
//!
//! Strategy: each line is read by a small deterministic automaton, written as right-linear rules. Its states say how
//! far the line has come in the spelling of a call; a character that leaves the spelling leads to the unguarded rest
//! of the line, a character that would complete it has no rule. A line may end in every state but directly behind a
//! function's name in quotes or brackets.

use std::collections::BTreeMap;

use super::RuleSet;
use crate::grammar::ir::CharSet;
use crate::grammar::policy::literal;

/// Keys under which call formats write a function's name, or an object that holds it.
const KEYS: [&str; 11] = [
    "name",
    "function",
    "function_call",
    "function_name",
    "tool",
    "tool_call",
    "tool_calls",
    "tool_name",
    "call",
    "action",
    "type",
];

/// Indentation of a line, at most.
const INDENT_CHARS: usize = 40;
/// Brackets, colons, commas and spaces in a row at the beginning of a line, at most.
const OPENING_CHARS: usize = 60;
/// Blanks between a name or key and what follows it, at most.
const GAP_CHARS: usize = 8;
/// Letters of the language behind a fence, at most.
const LANGUAGE_CHARS: usize = 24;
/// A text of short lines may have a line for so many of its characters.
const CHARS_PER_LINE: usize = 10;
/// Lines that every text may have.
const LEAST_LINES: usize = 16;

/// What opens an object, a list or a call, or stands between two parts of one.
const OPENING: &str = "{[(:, \t";

/// Rules for a text to the user; gives back the name of the rule, `text`.
///
/// The text begins with a character that is not white space and holds no control characters but line ends and tabs.
/// No line of it begins (behind blanks) with `call_tag`, nor with an opening bracket, quote, fence with or without a
/// language, or a key such as `"name":`, in any sequence, that is followed by one of `function_names`; nor with one of
/// them and then `(` or `{`. All else may be written, code and JSON included.
///
/// Units: a line has at most about `max_chars` characters, and there are at most `max_chars / 10` lines (but 16 are
/// always allowed): a text of many long lines can thus become longer than `max_chars`.
pub fn text_rule(rules: &mut RuleSet, max_chars: usize, function_names: &[String], call_tag: Option<&str>) -> String {
    let name = "text".to_owned();
    if rules.has(&name) {
        return name;
    }
    let lines = (max_chars / CHARS_PER_LINE).max(LEAST_LINES);
    rules.define(&name, &format!(r#"text-start ("\n" [ \t]{{0,{INDENT_CHARS}}} text-line){{0,{lines}}}"#));
    rules.define("text-line", "text-start | \"\"");
    rules.define("text-rest", &format!(r"[\t -~\u00A0-\U0010FFFF]{{0,{max_chars}}}"));
    rules.define("text-wide", r"[\u00A0-\U0010FFFF] text-rest");
    rules.define(
        "text-wide-solid",
        r"[\u00A1-\u167F\u1681-\u1FFF\u200B-\u2027\u202A-\u202E\u2030-\u205E\u2060-\u2FFF\u3001-\U0010FFFF] text-rest",
    );

    let names = || function_names.iter().map(|name| (name.as_str(), Word::Name));
    let bare = Trie::new(names());
    let strict = Trie::new(names());
    let quoted = Trie::new(names().chain(KEYS.map(|key| (key, Word::Key))));
    let tag = Trie::new(call_tag.map(|tag| (tag, Word::Tag)));

    let mut start = State::default();
    start.on("{[(:,", "text-open").on("\"'", "text-q").on("`", "text-tick");
    tag.enter(&mut start, "text-t");
    bare.enter(&mut start, "text-b");
    start.refuse(" \t").define_start(rules, "text-start");

    let mut open = State::default();
    open.on("\"'", "text-q").refuse(OPENING);
    tag.enter(&mut open, "text-t");
    strict.enter(&mut open, "text-u");
    open.define(rules, "text-opened");
    rules.define("text-open", &format!(r"[{{\[(:, \t]{{0,{OPENING_CHARS}}} text-opened"));

    let mut tick = State::default();
    tick.on("`", "text-tick-2");
    bare.enter(&mut tick, "text-b");
    tick.define(rules, "text-tick");
    State::default().on("`", "text-fence").define(rules, "text-tick-2");
    rules.define("text-fence", &format!("[-A-Za-z0-9_+#.]{{0,{LANGUAGE_CHARS}}} text-fenced"));
    let mut fenced = State::default();
    fenced.on(" \t", "text-open").on("\"'", "text-q").refuse("({+-#._").refuse_word();
    fenced.define(rules, "text-fenced");

    let mut key = State::default();
    key.on(":,", "text-open").refuse(" \t").define(rules, "text-keyed");
    rules.define("text-key", &format!(r"[ \t]{{0,{GAP_CHARS}}} text-keyed"));
    State::default().refuse(" \t({").define(rules, "text-called");
    rules.define("text-call", &format!(r"[ \t]{{1,{GAP_CHARS}}} text-called"));

    tag.define(rules, "text-t", |_, state| {
        // A tag has no state behind it: its last character is refused where it would be written.
        state.refuse_all = true;
    });
    bare.define(rules, "text-b", |_, state| {
        state.refuse("({ \t").branches.push("text-call".into());
    });
    strict.define(rules, "text-u", |_, state| state.only_word = true);
    quoted.define(rules, "text-q", |word, state| match word {
        Word::Key => {
            state.on("\"'", "text-key");
        }
        Word::Name | Word::Tag => state.only_word = true,
    });
    let mut root = State::default();
    quoted.enter(&mut root, "text-q");
    root.define(rules, "text-q");
    name
}

/// What a spelled word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Name,
    Key,
    Tag,
}

/// A state of the automaton in the making: where each character leads.
#[derive(Default)]
struct State {
    /// Characters that stay within the spelling, by target rule.
    moves: Vec<(String, String)>,
    /// Further alternatives as they are.
    branches: Vec<String>,
    /// ASCII characters that may not leave the spelling.
    refused: String,
    /// Only a character that makes the word longer may follow, and the line may not end.
    only_word: bool,
    /// Nothing may follow: the state cannot be entered.
    refuse_all: bool,
}

impl State {
    fn on(&mut self, characters: &str, target: &str) -> &mut Self {
        self.moves.push((characters.to_owned(), target.to_owned()));
        self
    }

    fn refuse(&mut self, characters: &str) -> &mut Self {
        self.refused.push_str(characters);
        self
    }

    fn refuse_word(&mut self) -> &mut Self {
        self.refused.extend(('0'..='9').chain('A'..='Z').chain('a'..='z').chain(['_']));
        self
    }

    /// The alternatives that stay within the spelling.
    fn inner(&self) -> Vec<String> {
        let mut alternatives: Vec<String> = Vec::new();
        for (characters, target) in &self.moves {
            let item = if characters.chars().count() == 1 {
                literal(characters)
            } else {
                class(&characters.chars().map(range).collect::<Vec<_>>())
            };
            alternatives.push(format!("{item} {target}"));
        }
        alternatives.extend(self.branches.iter().cloned());
        alternatives
    }

    /// The characters that leave the spelling, ASCII and beyond.
    fn outer(&self) -> (String, Option<String>) {
        let taken: Vec<(u32, u32)> = (self.moves.iter().flat_map(|(characters, _)| characters.chars()))
            .chain(self.refused.chars())
            .map(range)
            .collect();
        let outside = |rest: &[(u32, u32)]| {
            let all = CharSet::from_ranges([taken.as_slice(), rest].concat());
            all.complement().to_string()
        };
        if self.only_word {
            return (outside(&[(0, 0x2F), (0x3A, 0x40), (0x5B, 0x5E), (0x60, 0x60), (0x7B, LAST)]), None);
        }
        let beyond = taken.iter().any(|(character, _)| *character > 0x7F).then(|| outside(&[(0, 0x9F)]));
        (outside(&[(0, 8), (0xA, 0x1F), (0x7F, LAST)]), beyond)
    }

    fn define(&self, rules: &mut RuleSet, name: &str) {
        let mut alternatives = self.inner();
        let (ascii, beyond) = self.outer();
        if self.only_word {
            alternatives.push(format!("{ascii} text-rest"));
        } else if let Some(beyond) = beyond {
            alternatives.extend([format!("{ascii} text-rest"), format!("{beyond} text-rest"), "\"\"".to_owned()]);
        } else {
            // States that few characters tell apart share what leaves them.
            let leave = format!("text-{}", rules.leaves.len());
            let leave = rules.leaves.entry(ascii.clone()).or_insert(leave).clone();
            rules.define(&leave, &format!("{ascii} text-rest | text-wide | \"\""));
            alternatives.push(leave);
        }
        rules.define(name, &alternatives.join(" | "));
    }

    /// The state at the beginning of a line: the line is not empty and does not begin with white space.
    fn define_start(&self, rules: &mut RuleSet, name: &str) {
        let mut alternatives = self.inner();
        let (ascii, beyond) = self.outer();
        let wide = beyond.map_or_else(|| "text-wide-solid".to_owned(), |beyond| format!("{beyond} text-rest"));
        alternatives.extend([format!("{ascii} text-rest"), wide]);
        rules.define(name, &alternatives.join(" | "));
    }
}

const LAST: u32 = 0x10_FFFF;

fn range(character: char) -> (u32, u32) {
    (u32::from(character), u32::from(character))
}

fn class(ranges: &[(u32, u32)]) -> String {
    CharSet::from_ranges(ranges.to_vec()).to_string()
}

/// Words by their shared beginnings; the nodes are numbered, the root is 0.
struct Trie {
    nodes: Vec<(BTreeMap<char, usize>, Option<Word>)>,
}

impl Trie {
    fn new<'a>(words: impl IntoIterator<Item = (&'a str, Word)>) -> Self {
        let mut nodes: Vec<(BTreeMap<char, usize>, Option<Word>)> = vec![(BTreeMap::new(), None)];
        for (word, kind) in words {
            let mut at = 0;
            for character in word.chars() {
                let fresh = nodes.len();
                let Some((children, _)) = nodes.get_mut(at) else { break };
                at = *children.entry(character).or_insert(fresh);
                if at == fresh {
                    nodes.push((BTreeMap::new(), None));
                }
            }
            // A function may have the name of a key; then it counts as a function.
            if let Some((_, known)) = nodes.get_mut(at).filter(|_| at > 0) {
                known.get_or_insert(kind);
            }
        }
        Self { nodes }
    }

    /// Adds the first characters of all words to `state`.
    fn enter(&self, state: &mut State, prefix: &str) {
        self.moves(0, state, prefix);
    }

    fn moves(&self, node: usize, state: &mut State, prefix: &str) {
        for (character, child) in self.nodes.get(node).map(|(children, _)| children).into_iter().flatten() {
            let is_tag_end = self.nodes.get(*child).is_some_and(|(_, word)| *word == Some(Word::Tag));
            if is_tag_end {
                state.refused.push(*character);
            } else {
                state.on(&character.to_string(), &format!("{prefix}{child}"));
            }
        }
    }

    /// Defines a rule for each node but the root; `finish` says what the end of a word does.
    fn define(&self, rules: &mut RuleSet, prefix: &str, finish: impl Fn(Word, &mut State)) {
        for (index, (_, word)) in self.nodes.iter().enumerate().skip(1) {
            let mut state = State::default();
            self.moves(index, &mut state, prefix);
            if let Some(word) = word {
                finish(*word, &mut state);
            }
            if !state.refuse_all {
                state.define(rules, &format!("{prefix}{index}"));
            }
        }
    }
}
