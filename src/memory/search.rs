//! Full-text search over recall and archival storage: from any string to ranked rows.
//!
//! Three ways, each only where the one before leaves something out:
//! 1. FTS5 with stemming (`porter unicode61`), every piece of the query quoted, joined by OR, ranked by BM25;
//! 2. trigrams for substrings, where 1 found nothing, and for scripts without spaces, of which 1 sees whole runs only;
//! 3. a scan for what is too short for trigrams: one or two characters of such scripts, and symbols.

use std::collections::HashSet;

use rusqlite::ToSql;
use rusqlite::types::Value;

use super::View;

/// Most terms that a query is asked for in each of the three ways: a pasted page is a legal query, but not worth a
/// thousand terms.
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
    /// Condition for a row `t` of `rows` that `:agent` may find, if it is not hidden.
    pub(super) visible: &'static str,
    /// Most rows that are scored for a query, shared among its terms; of words that stand in more, the newest rows count.
    pub(super) scored_rows: usize,
    /// Whether all rows are visible to `:agent`, so that none needs to be looked up: one row, one column.
    pub(super) all_visible: &'static str,
}

/// Ids of the matching rows from the one numbered `skip` in the order of their rank, at most `take`, and how many match.
pub(super) fn ranked(
    view: &View<'_>,
    index: &Index,
    query: &str,
    skip: u64,
    take: u64,
) -> rusqlite::Result<(Vec<i64>, u64)> {
    let terms = Terms::of(query);
    let mut ranking = Ranking::new(*view, index, skip, take)?;
    ranking.add_matching(index.words, ":words", &terms.for_words())?;
    let nothing_yet = ranking.total == 0;
    ranking.add_without_words(&terms, nothing_yet)
}

/// Rows that a caller has found by words (and otherwise) and ranked itself.
#[derive(Debug, Default)]
pub(super) struct WordMatches {
    /// What is found, best first: rows that match a term, and others.
    pub(super) rows: Vec<i64>,
    /// Those of `rows` that match no term.
    pub(super) without_words: Vec<i64>,
    /// Whether all rows that match a term are in `rows`; the oldest may be missing.
    pub(super) is_complete: bool,
}

/// As [`ranked`], the search by words done by the caller.
pub(super) fn ranked_after(
    view: &View<'_>,
    index: &Index,
    terms: &Terms,
    found: &WordMatches,
    skip: u64,
    take: u64,
) -> rusqlite::Result<(Vec<i64>, u64)> {
    let mut ranking = Ranking::new(*view, index, skip, take)?;
    ranking.add_found(&terms.for_words(), found)?;
    let nothing_yet = found.rows.len() == found.without_words.len();
    ranking.add_without_words(terms, nothing_yet)
}

type Parameters = Vec<(String, Value)>;

/// A page in the making: each way of searching adds the rows that those before it have not found.
struct Ranking<'a> {
    view: View<'a>,
    index: &'a Index,
    /// See [`Index::all_visible`].
    all_visible: bool,
    skip: u64,
    take: u64,
    /// Condition that leaves out what was found before, and its parameters.
    not_found_before: String,
    found_before: Parameters,
    ids: Vec<i64>,
    total: u64,
}

impl<'a> Ranking<'a> {
    fn new(view: View<'a>, index: &'a Index, skip: u64, take: u64) -> rusqlite::Result<Self> {
        let all_visible = view.connection.prepare_cached(index.all_visible)?.query_row([], |row| row.get(0))?;
        let (not_found_before, found_before) = (String::new(), Vec::new());
        Ok(Self { view, index, all_visible, skip, take, not_found_before, found_before, ids: Vec::new(), total: 0 })
    }

    /// What is found without whole words; `nothing_yet` if no word is found.
    fn add_without_words(mut self, terms: &Terms, nothing_yet: bool) -> rusqlite::Result<(Vec<i64>, u64)> {
        let before = self.total;
        self.add_matching(self.index.trigrams, ":trigrams", &terms.for_trigrams(nothing_yet))?;
        self.add_scanned(&terms.for_scan(nothing_yet && self.total == before))?;
        Ok((self.ids, self.total))
    }

    /// The rows that the caller has found, then those with a term of `words` that it has not read.
    fn add_found(&mut self, words: &[String], found: &WordMatches) -> rusqlite::Result<()> {
        if !found.without_words.is_empty() {
            let ids = found.without_words.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            self.not_found_before.push_str(&format!(" AND rowid NOT IN ({ids})"));
        }
        let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        self.ids.extend(found.rows.iter().skip(count(self.skip)).take(count(self.take)));
        self.total = found.rows.len() as u64;
        if words.is_empty() || found.rows.len() == found.without_words.len() {
            return Ok(());
        }
        let Index { words: table, rows, visible, .. } = self.index;
        let matching = format!("{table} WHERE {table} MATCH :words");
        let own = (":words".to_owned(), Value::Text(any_of(words)));
        if !found.is_complete {
            let sql = format!(
                "SELECT rowid FROM {matching} AND (:all_visible OR EXISTS (SELECT 1 FROM {rows} t
                 WHERE t.id = {table}.rowid AND {visible})) ORDER BY rowid DESC"
            );
            let parameters = vec![
                own.clone(),
                (":all_visible".to_owned(), self.all_visible.into()),
                (":agent".to_owned(), self.view.agent.into()),
            ];
            let known: HashSet<i64> = found.rows.iter().copied().collect();
            let mut statement = self.view.connection.prepare_cached(&sql)?;
            for row in statement.query_map(&*named(&parameters), |row| row.get::<_, i64>(0))? {
                let row = row?;
                if known.contains(&row) {
                    continue;
                }
                if self.total >= self.skip && (self.ids.len() as u64) < self.take {
                    self.ids.push(row);
                }
                self.total += 1;
            }
        }
        self.found_before.push(own);
        self.not_found_before.push_str(&format!(" AND rowid NOT IN (SELECT rowid FROM {matching})"));
        Ok(())
    }

    /// The rows that the full-text index `table` finds; what is hidden is not in it.
    fn add_matching(&mut self, table: &str, parameter: &str, terms: &[String]) -> rusqlite::Result<()> {
        if terms.is_empty() {
            return Ok(());
        }
        let matching = format!("{table} WHERE {table} MATCH {parameter}");
        let Index { rows, visible, .. } = self.index;
        let source = format!(
            "{matching} AND (:all_visible OR EXISTS (SELECT 1 FROM {rows} t WHERE t.id = {table}.rowid
             AND {visible})){}",
            self.not_found_before
        );
        let own = (parameter.to_owned(), Value::Text(any_of(terms)));
        let mut parameters = self.found_before.clone();
        parameters.push(own.clone());
        parameters.push((":all_visible".to_owned(), self.all_visible.into()));
        parameters.push((":agent".to_owned(), self.view.agent.into()));
        let connection = self.view.connection;
        let count: i64 = connection
            .prepare_cached(&format!("SELECT count(*) FROM {source}"))?
            .query_row(&*named(&parameters), |row| row.get(0))?;
        if count == 0 {
            return Ok(());
        }
        let count = u64::try_from(count).unwrap_or(0);
        self.found_before.push(own);
        self.not_found_before.push_str(&format!(" AND rowid NOT IN (SELECT rowid FROM {matching})"));
        let (skip, take) = self.page_of_next();
        self.total += count;
        if skip >= count || take == 0 {
            return Ok(());
        }
        let limit = |rows: u64| Value::Integer(i64::try_from(rows).unwrap_or(i64::MAX));
        parameters.push((":skip".to_owned(), limit(skip)));
        parameters.push((":take".to_owned(), limit(take)));
        let mut statement = connection.prepare_cached(&format!(
            "SELECT rowid FROM {source} ORDER BY rank, rowid DESC LIMIT :take OFFSET :skip"
        ))?;
        for id in statement.query_map(&*named(&parameters), |row| row.get(0))? {
            self.ids.push(id?);
        }
        Ok(())
    }

    /// Reads every row, once; those with the most terms come first, among them the newest. SQLite knows the small letters
    /// of ASCII alone, so the texts are compared here.
    fn add_scanned(&mut self, terms: &[String]) -> rusqlite::Result<()> {
        if terms.is_empty() {
            return Ok(());
        }
        let Index { rows, text, visible, .. } = self.index;
        let sql = format!(
            "SELECT rowid, {text} FROM {rows} t WHERE {visible} AND hidden = 0 AND {text} IS NOT NULL{}",
            self.not_found_before
        );
        let mut parameters = self.found_before.clone();
        parameters.push((":agent".to_owned(), self.view.agent.into()));
        let mut statement = self.view.connection.prepare(&sql)?;
        let mut read = statement.query(&*named(&parameters))?;
        let mut found: Vec<(usize, i64)> = Vec::new();
        while let Some(row) = read.next()? {
            let text = row.get_ref(1)?.as_str()?.to_lowercase();
            let score = terms.iter().filter(|term| text.contains(*term)).count();
            if score > 0 {
                found.push((score, row.get(0)?));
            }
        }
        found.sort_unstable_by(|left, right| right.cmp(left));
        let (skip, take) = self.page_of_next();
        let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        self.ids.extend(found.iter().skip(count(skip)).take(count(take)).map(|(_, id)| id));
        self.total += found.len() as u64;
        Ok(())
    }

    /// What the page still needs of the rows that are found next: how many to skip, how many to take.
    fn page_of_next(&self) -> (u64, u64) {
        (self.skip.saturating_sub(self.total), self.take.saturating_sub(self.ids.len() as u64))
    }
}

/// The full-text expression for rows that hold any of the terms.
fn any_of(terms: &[String]) -> String {
    terms.iter().map(|term| format!("\"{term}\"")).collect::<Vec<_>>().join(" OR ")
}

fn named(parameters: &Parameters) -> Vec<(&str, &dyn ToSql)> {
    parameters.iter().map(|(name, value)| (name.as_str(), value as &dyn ToSql)).collect()
}

/// What a query is made of. No piece holds a double quote, so each can be quoted as it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    /// Pieces with letters or digits, of scripts that put spaces between words.
    words: Vec<String>,
    /// Runs of scripts that do not.
    runs: Vec<String>,
    /// Pieces without letters or digits.
    symbols: Vec<String>,
}

impl Terms {
    pub(super) fn of(query: &str) -> Self {
        let mut terms = Self::default();
        let clean: String = query.chars().map(|c| if c == '"' || c.is_control() { ' ' } else { c }).collect();
        for piece in clean.split_whitespace() {
            let piece = piece.to_lowercase();
            let mut rest = piece.as_str();
            while let Some(first) = rest.chars().next() {
                if terms.count() == MAX_TERMS {
                    break;
                }
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

    fn count(&self) -> usize {
        self.words.len() + self.runs.len() + self.symbols.len()
    }

    /// Takes out words that are names of speakers, and gives them back; the last word stays.
    pub(super) fn take_names(&mut self, is_name: impl Fn(&str) -> bool) -> Vec<String> {
        let bare = |word: &str| {
            let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("\u{2019}s")).unwrap_or(word);
            word.trim_end_matches(['\'', '\u{2019}']).to_owned()
        };
        let names: Vec<String> = self.words.iter().map(|word| bare(word)).filter(|word| is_name(word)).collect();
        if names.len() < self.words.len() || !self.runs.is_empty() {
            self.words.retain(|word| !is_name(&bare(word)));
        }
        names
    }

    /// Pieces that the index of words is asked for; none is empty.
    pub(super) fn for_words(&self) -> Vec<String> {
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
        terms.truncate(MAX_TERMS);
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
    use proptest::prelude::*;

    use super::*;
    use crate::memory::{AgentMemory, NewAgent, Store};
    use crate::types::{Body, NewMessage};

    #[test]
    fn a_query_falls_into_words_runs_and_symbols() {
        let terms = Terms::of("What is \"C++\" für 生日party, 🎂 don't?");
        assert_eq!(terms.words, ["c++", "für", "party", "don't"]);
        assert_eq!(terms.runs, ["生日"]);
        assert_eq!(terms.symbols, ["🎂"]);
    }

    #[test]
    fn a_page_of_text_is_asked_for_a_bounded_number_of_terms() {
        let english = "heron lake ".repeat(1000);
        let chinese = "天气很好，我们去湖边看鹭。".repeat(1000);
        for page in [english, chinese.clone(), format!("{chinese} abc").repeat(2)] {
            let terms = Terms::of(&page);
            for asked in [terms.for_words(), terms.for_trigrams(true), terms.for_scan(true)] {
                assert!(asked.len() <= MAX_TERMS, "{} terms", asked.len());
            }
            assert!(!terms.for_words().is_empty());
        }
    }

    #[test]
    fn capitals_of_every_alphabet_are_found_inside_of_words() {
        let mut memory = AgentMemory::create(Store::open_in_memory().unwrap(), &NewAgent::named("a", 0)).unwrap();
        for text in ["Der Ölpreis steigt.", "Das Ende."] {
            let body = Body::User { text: text.to_owned() };
            memory.record(&[NewMessage { at_ms: 0, body, interrupted: false }]).unwrap();
        }
        for query in ["öl", "ÖL"] {
            assert_eq!(memory.view().search(query, 0, 5).unwrap().total, 1, "{query}");
        }
    }

    #[test]
    fn names_of_speakers_are_no_search_terms_unless_nothing_else_is_asked() {
        let is_name = |word: &str| word == "ada" || word == "sam";
        let mut terms = Terms::of("Where does Ada's brother live?");
        assert_eq!(
            (terms.take_names(is_name), terms.words),
            (vec!["ada".to_owned()], vec!["brother".into(), "live".into()])
        );
        let mut terms = Terms::of("Ada");
        assert_eq!((terms.take_names(is_name), terms.words), (vec!["ada".to_owned()], vec!["ada".to_owned()]));
    }

    #[test]
    fn common_words_count_only_where_there_are_no_others() {
        assert_eq!(Terms::of("where is the boat").words, ["boat"]);
        assert_eq!(Terms::of("who are you").words, ["who", "are", "you"]);
    }

    /// What [`Ranking`] gives page by page, found all at once and sorted out here.
    fn all_ranked(view: &View<'_>, index: &Index, query: &str) -> Vec<i64> {
        let terms = Terms::of(query);
        let Index { rows, text, .. } = index;
        let matching = |table: &str, terms: &[String]| -> Vec<i64> {
            let expression = terms.iter().map(|term| format!("\"{term}\"")).collect::<Vec<_>>().join(" OR ");
            let sql = format!(
                "SELECT t.id FROM {table} JOIN {rows} t ON t.id = {table}.rowid
                 WHERE {table} MATCH ?1 AND t.agent_id = ?2 AND t.hidden = 0 ORDER BY {table}.rank, t.id DESC"
            );
            if terms.is_empty() {
                return Vec::new();
            }
            let mut statement = view.connection.prepare(&sql).unwrap();
            statement.query_map((expression, view.agent), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let scanned = |terms: &[String]| -> Vec<i64> {
            let sql = format!("SELECT id, {text} FROM {rows} WHERE agent_id = ?1 AND hidden = 0");
            let mut statement = view.connection.prepare(&sql).unwrap();
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?.to_lowercase()));
            let mut scored: Vec<(usize, i64)> = (statement.query_map([view.agent], read).unwrap().map(Result::unwrap))
                .map(|(id, text)| (terms.iter().filter(|term| text.contains(*term)).count(), id))
                .filter(|(score, _)| *score > 0)
                .collect();
            scored.sort_unstable_by(|a, b| b.cmp(a));
            scored.into_iter().map(|(_, id)| id).collect()
        };
        let mut ids = Vec::new();
        let mut add = |found: Vec<i64>| {
            for id in found {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
            ids.is_empty()
        };
        let nothing = add(matching(index.words, &terms.for_words()));
        let nothing = add(matching(index.trigrams, &terms.for_trigrams(nothing)));
        add(scanned(&terms.for_scan(nothing)));
        ids
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn pages_are_the_whole_ranking_cut_up(
            texts in proptest::collection::vec((0..3_usize, proptest::collection::vec(0..11_usize, 1..8)), 0..60),
            query in proptest::collection::vec(0..11_usize, 1..5),
            page_size in 1..7_u64,
            agents in 1..3_usize,
        ) {
            const PIECES: [&str; 11] =
                ["heron", "herons", "lake", "日", "生日", "生日蛋糕", "🎂", "++", "ok", "Öl", "Ölpreis"];
            let write = |pieces: &[usize]| pieces.iter().map(|piece| PIECES[*piece]).collect::<Vec<_>>().join(" ");
            let mut memory = AgentMemory::create(Store::open_in_memory().unwrap(), &NewAgent::named("a0", 0)).unwrap();
            for (of, pieces) in &texts {
                let name = format!("a{}", of % agents);
                let store = memory.into_store();
                memory = match store.has_agent(&name).unwrap() {
                    true => AgentMemory::open(store, &name).unwrap(),
                    false => AgentMemory::create(store, &NewAgent::named(&name, 0)).unwrap(),
                };
                let body = Body::User { text: write(pieces) };
                memory.record(&[NewMessage { at_ms: 0, body, interrupted: false }]).unwrap();
            }
            let query = write(&query);
            let index = &super::super::recall::INDEX;
            let expected = all_ranked(&memory.view(), index, &query);
            for page in 0..=expected.len() as u64 / page_size + 1 {
                let (found, total) = ranked(&memory.view(), index, &query, page * page_size, page_size).unwrap();
                prop_assert_eq!(total, expected.len() as u64);
                let wanted: Vec<i64> =
                    expected.iter().copied().skip((page * page_size) as usize).take(page_size as usize).collect();
                prop_assert_eq!(found, wanted, "{:?} page {}", &query, page);
            }
        }
    }

    #[test]
    fn pages_are_counted_up() {
        let count = |total| Page::<()>::new(Vec::new(), total, 0, 5).page_count;
        assert_eq!([count(0), count(1), count(5), count(6)], [0, 1, 1, 2]);
    }
}
