//! Free text in which no line begins like a call that is only spelled.
//!
//! Strategy: each line is read by a small deterministic automaton, written as right-linear rules. Its states say how
//! far the line has come in the spelling of a call; a character that leaves the spelling leads to the unguarded rest
//! of the line, a character that would complete it has no rule. A line may end in every state but directly behind a
//! function's name in quotes or brackets. Blanks at the end of a line belong to the line break, so that the last line,
//! which none follows, cannot end in them.

use std::collections::BTreeMap;

use super::{RuleSet, SPACES, literal};
use crate::grammar::ir::CharSet;

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

/// Keys under which call formats write the arguments, which may stand in front of the name.
const ARGUMENTS_KEYS: [&str; 4] = ["arguments", "parameters", "params", "args"];

/// Blanks before a line, behind it, or between two of its opening brackets, at most.
const BLANK_CHARS: usize = 40;
/// Line ends in a row, at most: two blank lines stand between parts of a program.
const BREAK_LINES: usize = 3;
/// Brackets, colons and commas in a row at the beginning of a line, at most.
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
const OPENING: &str = "{[(:,";
const BLANKS: &str = " \t";

/// What a text to the user may not look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextGuard<'a> {
    /// Names of all functions.
    pub function_names: &'a [String],
    /// Spellings that open a call.
    pub call_tags: &'a [&'a str],
    /// First key of calls that are bare JSON objects: no text begins with `{`, any white space and this key in quotes.
    pub call_key: Option<&'a str>,
    /// Whether the key, and keys of arguments with it, are guarded so at the beginning of every line, behind brackets and
    /// fences as well.
    pub guards_every_line: bool,
}

/// Rules for a text to the user; gives back the name of the rule, `text`. A set of rules holds one text only.
///
/// The text neither begins nor ends with white space and holds no control characters but line ends and tabs. No line of
/// it begins (behind blanks) with a call's tag, nor with an opening bracket, quote, fence with or without a language,
/// or a key such as `"name":`, in any sequence, that is followed by a function's name, or by an invented one that begins
/// with a name of several words; nor with a function's name and then `(`, `{` or `_`. The text itself does not begin
/// with `{{"`: templates of several models show calls with doubled braces, and small models copy them. At most two blank
/// lines follow one another. All else may be written, code and JSON included.
///
/// Units: a line has at most about `max_chars` characters, and there are at most `max_chars / 10` lines that are not
/// blank (but 16 are always allowed): a text of many long lines can thus become longer than `max_chars`.
pub fn text_rule(rules: &mut RuleSet, max_chars: usize, guard: TextGuard<'_>) -> String {
    let name = "text".to_owned();
    if rules.has(&name) {
        return name;
    }
    let words = Words::new(guard);
    define_lines(rules, max_chars);
    define_openings(rules, &words);
    define_words(rules, &words);
    define_brace(rules, &words);
    rules.define(&name, r#"text-plain text-more | "{" (text-brace text-more | text-break text-below text-more | "")"#);
    name
}

/// The beginning of the whole text, where a brace may open a call.
fn define_brace(rules: &mut RuleSet, words: &Words) {
    let first_key = if words.quoted_first.is_some() { "text-f" } else { "text-q" };
    start(words, &OPENING.replace('{', ""), "text-q").define_start(rules, "text-plain");
    // The object's first key may stand in the line of the brace or in the next.
    start(words, OPENING, first_key).define_start(rules, "text-below");
    let mut doubled = State { goes_on: true, ..State::default() };
    doubled.on(OPENING, "text-open").on("'", "text-q").refuse("\"").refuse(BLANKS);
    let mut braced = State { goes_on: true, ..State::default() };
    braced.on(&OPENING.replace('{', ""), "text-open").on("{", "text-double").on("'", "text-q").refuse(BLANKS);
    braced.on("\"", first_key);
    for (state, name) in [(&mut doubled, "text-doubled"), (&mut braced, "text-braced")] {
        words.tag.enter(state, "text-t");
        words.strict.enter(state, "text-u");
        state.define(rules, name);
    }
    let blanks = format!(r"[ \t]{{0,{BLANK_CHARS}}}");
    rules.define("text-double", &format!("({blanks} text-doubled)?"));
    rules.define("text-brace", &format!("{blanks} text-braced"));
}

/// Lines, their breaks, and what stands in a line when nothing has to be guarded any more.
fn define_lines(rules: &mut RuleSet, max_chars: usize) {
    let lines = (max_chars / CHARS_PER_LINE).max(LEAST_LINES);
    let blanks = format!(r"[ \t]{{0,{BLANK_CHARS}}}");
    rules.define("text-break", &format!(r#"{blanks} ("\n" {blanks}){{1,{BREAK_LINES}}}"#));
    rules.define("text-more", &format!("(text-break text-start){{0,{lines}}}"));
    rules.define("text-solid", &format!(r"[^\x00-\x20\x7F-\x9F{SPACES}]"));
    rules.define("text-tail", &format!(r"[\t -~\u00A0-\U0010FFFF]{{0,{max_chars}}} text-solid"));
    rules.define("text-rest", "text-tail | \"\"");
    rules.define("text-wide-solid", &format!(r"[^\x00-\x9F{SPACES}] text-rest"));
    rules.define("text-wide", &format!("text-wide-solid | [{SPACES}] text-tail"));
}

/// The beginning of a line: where brackets, quotes and fences lead.
fn define_openings(rules: &mut RuleSet, words: &Words) {
    start(words, OPENING, "text-q").define_start(rules, "text-start");

    let mut open = State { goes_on: true, ..State::default() };
    open.on("\"'", "text-q").refuse(OPENING).refuse(BLANKS);
    words.tag.enter(&mut open, "text-t");
    words.strict.enter(&mut open, "text-u");
    open.define(rules, "text-opened");
    let blanks = format!(r"[ \t]{{0,{BLANK_CHARS}}}");
    let brackets = format!(r"({blanks} [{{\[(:,])");
    rules.define("text-open", &format!("{brackets}{{0,{OPENING_CHARS}}} ({blanks} text-opened)?"));
    rules.define(
        "text-opening",
        &format!("{brackets}{{1,{OPENING_CHARS}}} ({blanks} text-opened)? | {blanks} text-opened"),
    );

    let mut tick = State::default();
    tick.on("`", "text-tick-2");
    words.bare.enter(&mut tick, "text-b");
    tick.define(rules, "text-tick");
    State::default().on("`", "text-fence").define(rules, "text-tick-2");
    rules.define("text-fence", &format!("[-A-Za-z0-9_+#.]{{0,{LANGUAGE_CHARS}}} text-fenced"));
    let mut fenced = State::default();
    fenced.on(BLANKS, "text-opening").on("\"'", "text-q").refuse("({+-#._").refuse_word();
    fenced.define(rules, "text-fenced");

    let mut key = State { goes_on: true, ..State::default() };
    key.on(":,", "text-open").refuse(BLANKS).define(rules, "text-keyed");
    rules.define("text-key", &format!(r"([ \t]{{0,{GAP_CHARS}}} text-keyed)?"));
    let mut called = State { goes_on: true, ..State::default() };
    called.refuse(BLANKS).refuse("({").define(rules, "text-called");
    rules.define("text-call", &format!(r"[ \t]{{1,{GAP_CHARS}}} text-called"));
}

/// The words that are guarded, character by character.
fn define_words(rules: &mut RuleSet, words: &Words) {
    // A tag has no state behind it: its last character is refused where it would be written.
    let whole = |word, state: &mut State| match word {
        Word::Tag => state.refuse_all = true,
        Word::Name | Word::Key | Word::CallKey => state.only_word = true,
    };
    words.tag.define(rules, "text-t", whole);
    words.bare.define(rules, "text-b", |_, state| {
        state.refuse("({_").refuse(BLANKS).branches.push("text-call".into());
    });
    words.strict.define(rules, "text-u", whole);
    let quoted = |word, state: &mut State| match word {
        Word::Key => {
            state.on("\"'", "text-key");
        }
        Word::CallKey => {
            state.refuse("\"'");
        }
        Word::Name | Word::Tag => whole(word, state),
    };
    let first = words.quoted_first.as_ref().map(|trie| (trie, "text-f"));
    for (trie, prefix) in [(&words.quoted, "text-q")].into_iter().chain(first) {
        trie.define(rules, prefix, quoted);
        let mut root = State::default();
        trie.enter(&mut root, prefix);
        root.define(rules, prefix);
    }
}

/// The state at the beginning of a line, where `opening` brackets are possible and a quote leads to `quoted`.
fn start(words: &Words, opening: &str, quoted: &str) -> State {
    let mut state = State::default();
    state.on(opening, "text-open").on("\"", quoted).on("'", "text-q").on("`", "text-tick");
    if !opening.contains('{') {
        state.refuse("{");
    }
    words.tag.enter(&mut state, "text-t");
    words.bare.enter(&mut state, "text-b");
    state
}

/// The guarded words by where they stand.
struct Words {
    /// Tags at the beginning of a line or behind brackets.
    tag: Trie,
    /// Names at the beginning of a line.
    bare: Trie,
    /// Names behind brackets.
    strict: Trie,
    /// Names and keys in quotes.
    quoted: Trie,
    /// The same behind a brace that begins the text, where that could be a call.
    quoted_first: Option<Trie>,
}

impl Words {
    fn new(guard: TextGuard<'_>) -> Self {
        let names = || guard.function_names.iter().map(|name| (name.as_str(), Word::Name));
        // No word of a language begins like `core_memory_append`: what goes on behind it is an invented function.
        let whole = || names().map(|(name, kind)| (name, if name.contains('_') { Word::Tag } else { kind }));
        let keys = || KEYS.iter().map(|key| (*key, Word::Key));
        let of_lines: &[&str] = if guard.guards_every_line { &ARGUMENTS_KEYS } else { &[] };
        let call_keys = || guard.call_key.into_iter().chain(of_lines.iter().copied()).map(|key| (key, Word::CallKey));
        let keys_of_lines = call_keys().filter(|_| guard.guards_every_line);
        Self {
            tag: Trie::new(guard.call_tags.iter().map(|tag| (*tag, Word::Tag))),
            bare: Trie::new(names()),
            strict: Trie::new(whole()),
            quoted: Trie::new(whole().chain(keys_of_lines).chain(keys())),
            quoted_first: guard.call_key.map(|_| Trie::new(whole().chain(call_keys()).chain(keys()))),
        }
    }
}

/// What a spelled word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Name,
    Key,
    /// The key that makes an object a call.
    CallKey,
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
    /// The line may not end: blanks may stand right before.
    goes_on: bool,
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

    /// Alternatives for the characters of `ranges` that leave the spelling, followed by `rest`.
    fn leave(&self, ranges: &[(u32, u32)], rest: &str) -> Option<String> {
        let words = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)];
        let taken = (self.moves.iter().flat_map(|(characters, _)| characters.chars())).chain(self.refused.chars());
        let mut outside = CharSet::from_ranges(ranges.to_vec()).complement().ranges().to_vec();
        if self.only_word {
            outside.extend_from_slice(CharSet::from_ranges(words.to_vec()).complement().ranges());
        }
        outside.extend(taken.map(range));
        let left = CharSet::from_ranges(outside).complement();
        (!left.ranges().is_empty()).then(|| format!("{left} {rest}"))
    }

    /// Alternatives for the characters beyond ASCII that leave the spelling: the rule `shared` where none is taken.
    fn leave_wide(&self, shared: &str) -> Option<String> {
        let taken: String = (self.moves.iter().flat_map(|(characters, _)| characters.chars()))
            .chain(self.refused.chars())
            .filter(|character| !character.is_ascii())
            .map(|character| format!("\\U{:08X}", u32::from(character)))
            .collect();
        match taken.as_str() {
            _ if self.only_word => None,
            "" => Some(shared.to_owned()),
            _ => Some(format!(r"[^\x00-\x9F{SPACES}{taken}] text-rest")),
        }
    }

    fn define(&self, rules: &mut RuleSet, name: &str) {
        let mut leaving: Vec<String> = self.leave(ASCII_SOLID, "text-rest").into_iter().collect();
        leaving.extend(self.leave(ASCII_BLANK, "text-tail"));
        leaving.extend(self.leave_wide("text-wide"));
        if !self.only_word && !self.goes_on {
            leaving.push("\"\"".to_owned());
        }
        // States that few characters tell apart share what leaves them.
        let body = leaving.join(" | ");
        let shared = format!("text-{}", rules.leaves.len());
        let shared = rules.leaves.entry(body.clone()).or_insert(shared).clone();
        rules.define(&shared, &body);
        let mut alternatives = self.inner();
        alternatives.push(shared);
        rules.define(name, &alternatives.join(" | "));
    }

    /// The state at the beginning of a line: the line is not empty and does not begin with white space.
    fn define_start(&self, rules: &mut RuleSet, name: &str) {
        let mut alternatives = self.inner();
        alternatives.extend(self.leave(ASCII_SOLID, "text-rest"));
        alternatives.extend(self.leave_wide("text-wide-solid"));
        rules.define(name, &alternatives.join(" | "));
    }
}

const ASCII_SOLID: &[(u32, u32)] = &[(0x21, 0x7E)];
const ASCII_BLANK: &[(u32, u32)] = &[(9, 9), (0x20, 0x20)];

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
