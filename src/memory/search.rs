//! Full-text search over recall and archival storage: from any string to ranked rows.
//!
//! Three ways, each only where the one before leaves something out:
//! 1. FTS5 with stemming (`porter unicode61`), every piece of the query quoted, joined by OR, ranked by BM25;
//! 2. trigrams for substrings, where 1 found nothing, and for scripts without spaces, of which 1 sees whole runs only;
//! 3. a scan for what is too short for trigrams: one or two characters of such scripts, and symbols.

use std::collections::HashSet;

use rusqlite::{Connection, named_params, params_from_iter};

/// Most pieces of a query that are looked at: a pasted page is a legal query, but not worth a thousand terms.
const MAX_TERMS: usize = 48;

/// English words that stand in most sentences. Left out of a query that has others: they would make every message a
/// hit and the totals meaningless.
const COMMON_WORDS: &[&str] = &[
    "a", "about", "all", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did",
    "do", "does", "for", "from", "had", "has", "have", "he", "her", "him", "his", "how", "i", "if", "in", "is", "it",
    "its", "me", "my", "of", "on", "or", "our", "she", "should", "so", "that", "the", "their", "them", "they", "this",
    "to", "us", "user", "was", "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will",
    "with", "would", "you", "your", "user's", "what's", "i'm", "it's",
];

/// One page of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The results on this page; empty past the last one.
    pub items: Vec<T>,
    /// Results on all pages.
    pub total: u64,
    /// This page, from 0.
    pub page: u64,
    /// How many pages there are.
    pub page_count: u64,
}

impl<T> Page<T> {
    pub(super) fn new(items: Vec<T>, total: u64, page: u64, page_size: u64) -> Self {
        Self { items, total, page, page_count: total.div_ceil(page_size.max(1)) }
    }
}

/// The tables that one kind of search reads. All parts are constants of this program.
pub(super) struct Index {
    pub(super) words: &'static str,
    pub(super) trigrams: &'static str,
    pub(super) rows: &'static str,
    pub(super) text: &'static str,
}

/// Ids of all rows that match, best first.
pub(super) fn ranked_ids(
    connection: &Connection,
    agent: i64,
    index: &Index,
    query: &str,
) -> rusqlite::Result<Vec<i64>> {
    let terms = Terms::of(query);
    let mut ids = Vec::new();
    let mut seen = HashSet::new();
    let mut add = |found: Vec<i64>| {
        for id in found {
            if seen.insert(id) {
                ids.push(id);
            }
        }
        !ids.is_empty()
    };
    let found_words = add(matching(connection, agent, index, index.words, &terms.for_words())?);
    let found = add(matching(connection, agent, index, index.trigrams, &terms.for_trigrams(!found_words))?);
    add(scan(connection, agent, index, &terms.for_scan(!found))?);
    Ok(ids)
}

fn matching(
    connection: &Connection,
    agent: i64,
    index: &Index,
    table: &str,
    terms: &[String],
) -> rusqlite::Result<Vec<i64>> {
    if terms.is_empty() {
        return Ok(Vec::new());
    }
    let expression = terms.iter().map(|term| format!("\"{term}\"")).collect::<Vec<_>>().join(" OR ");
    let rows = index.rows;
    connection
        .prepare_cached(&format!(
            "SELECT t.id FROM {table} JOIN {rows} t ON t.id = {table}.rowid
             WHERE {table} MATCH :expression AND t.agent_id = :agent AND t.hidden = 0
             ORDER BY {table}.rank, t.id DESC"
        ))?
        .query_map(named_params! {":expression": expression, ":agent": agent}, |row| row.get(0))?
        .collect()
}

/// Reads every row; those with the most terms come first, among them the newest.
fn scan(connection: &Connection, agent: i64, index: &Index, terms: &[String]) -> rusqlite::Result<Vec<i64>> {
    if terms.is_empty() {
        return Ok(Vec::new());
    }
    let Index { rows, text, .. } = index;
    let score = (2..terms.len() + 2).map(|at| format!("(instr(lower(t.{text}), ?{at}) > 0)")).collect::<Vec<_>>();
    let score = score.join(" + ");
    let sql = format!(
        "SELECT id FROM (SELECT t.id AS id, {score} AS score FROM {rows} t
         WHERE t.agent_id = ?1 AND t.hidden = 0 AND t.{text} IS NOT NULL)
         WHERE score > 0 ORDER BY score DESC, id DESC"
    );
    let agent = rusqlite::types::Value::Integer(agent);
    let values = std::iter::once(agent).chain(terms.iter().map(|term| rusqlite::types::Value::Text(term.clone())));
    connection.prepare(&sql)?.query_map(params_from_iter(values), |row| row.get(0))?.collect()
}

/// What a query is made of. No piece holds a double quote, so each can be quoted as it is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Terms {
    /// Pieces with letters or digits, of scripts that put spaces between words.
    words: Vec<String>,
    /// Runs of scripts that do not.
    runs: Vec<String>,
    /// Pieces without letters or digits.
    symbols: Vec<String>,
}

impl Terms {
    fn of(query: &str) -> Self {
        let mut terms = Self::default();
        let clean: String = query.chars().map(|c| if c == '"' || c.is_control() { ' ' } else { c }).collect();
        for piece in clean.split_whitespace().take(MAX_TERMS) {
            let piece = piece.to_lowercase();
            let mut rest = piece.as_str();
            while let Some(first) = rest.chars().next() {
                let is_run = is_unspaced(first);
                let end = rest.find(|c| is_unspaced(c) != is_run).unwrap_or(rest.len());
                let (part, after) = rest.split_at(end);
                rest = after;
                if is_run {
                    terms.runs.push(part.to_owned());
                } else if part.contains(char::is_alphanumeric) {
                    terms.words.push(part.trim_matches(is_sentence_mark).to_owned());
                } else if piece.len() == part.len() {
                    terms.symbols.push(part.to_owned());
                }
            }
        }
        if terms.words.iter().any(|word| !is_common(word)) || !terms.runs.is_empty() {
            terms.words.retain(|word| !is_common(word));
        }
        terms
    }

    fn for_words(&self) -> Vec<String> {
        self.words.iter().chain(&self.runs).cloned().collect()
    }

    /// Pieces of three characters and more; those with spaces between words only if nothing was found yet.
    fn for_trigrams(&self, nothing_yet: bool) -> Vec<String> {
        let long_enough = |term: &&String| term.chars().count() >= 3;
        let mut terms: Vec<String> = self.symbols.iter().filter(long_enough).cloned().collect();
        for run in &self.runs {
            terms.extend(windows(run, 3));
        }
        if nothing_yet {
            terms.extend(self.words.iter().filter(long_enough).cloned());
        }
        terms
    }

    /// Pieces that are too short for trigrams; parts of longer ones only if nothing was found yet.
    fn for_scan(&self, nothing_yet: bool) -> Vec<String> {
        let is_short = |term: &&String| term.chars().count() < 3;
        let mut terms: Vec<String> = self.symbols.iter().chain(&self.runs).filter(is_short).cloned().collect();
        if nothing_yet {
            for run in &self.runs {
                terms.extend(windows(run, 2));
            }
            // A single letter stands in every message.
            terms.extend(self.words.iter().filter(|word| is_short(word) && word.chars().count() == 2).cloned());
        }
        terms.truncate(MAX_TERMS);
        terms
    }
}

/// All stretches of `length` characters, at most [`MAX_TERMS`].
fn windows(run: &str, length: usize) -> Vec<String> {
    let chars: Vec<char> = run.chars().collect();
    chars.windows(length).take(MAX_TERMS).map(|window| window.iter().collect()).collect()
}

fn is_common(word: &str) -> bool {
    COMMON_WORDS.contains(&word)
}

fn is_sentence_mark(c: char) -> bool {
    matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '(' | ')' | '\'')
}

/// Whether a character belongs to a script that is written without spaces between words, or (Hangul) glues particles
/// to them.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0e00..=0x0eff // Thai, Lao
        | 0x1000..=0x109f // Myanmar
        | 0x1780..=0x17ff // Khmer
        | 0x1100..=0x11ff | 0xac00..=0xd7af // Hangul
        | 0x3040..=0x30ff // Hiragana, Katakana
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff // Han
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_falls_into_words_runs_and_symbols() {
        let terms = Terms::of("What is \"C++\" für 生日party, 🎂 don't?");
        assert_eq!(terms.words, ["c++", "für", "party", "don't"]);
        assert_eq!(terms.runs, ["生日"]);
        assert_eq!(terms.symbols, ["🎂"]);
    }

    #[test]
    fn common_words_count_only_where_there_are_no_others() {
        assert_eq!(Terms::of("where is the boat").words, ["boat"]);
        assert_eq!(Terms::of("who are you").words, ["who", "are", "you"]);
    }

    #[test]
    fn pages_are_counted_up() {
        let count = |total| Page::<()>::new(Vec::new(), total, 0, 5).page_count;
        assert_eq!([count(0), count(1), count(5), count(6)], [0, 1, 1, 2]);
    }
}
