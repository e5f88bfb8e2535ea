//! In how many questions the answer can be found at all: no model runs.
//!
//! The user's messages are stored as if they had been said and never answered, and each question is the query. Looked at
//! are the first passages of plain BM25, and the first results of the agent's own search of the conversation: as the
//! model is shown them, cut to an excerpt, and with the whole of each message that was found.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::passages::{Bm25, passages};
use super::report::{groups, share};
use super::{Error, Judge, Question, Scenario, ScenarioName};
use crate::functions::{self, Context, PAGE_SIZE};
use crate::memory::{AgentMemory, Embed, Embedding, NewAgent, Store};
use crate::types::{Body, Call, Cancel, NewMessage};

/// How many passages or results are looked at.
const DEPTHS: [usize; 3] = [1, 5, 10];
/// Pages of results that hold so many.
const PAGES: u64 = 2;
/// Between two messages.
const MINUTE_MS: i64 = 60_000;
/// Between two sessions.
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// The function by which an agent searches what was said.
const SEARCH: &str = "conversation_search";

/// In how many questions an accepted answer stands among the first 1, 5 and 10.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Hits {
    /// In the first.
    pub at_1: usize,
    /// In one of the first 5.
    pub at_5: usize,
    /// In one of the first 10.
    pub at_10: usize,
}

impl Hits {
    fn add(&mut self, first: Option<usize>) {
        for (count, depth) in [&mut self.at_1, &mut self.at_5, &mut self.at_10].into_iter().zip(DEPTHS) {
            *count += usize::from(first.is_some_and(|first| first < depth));
        }
    }

    fn merge(&mut self, other: Self) {
        self.at_1 += other.at_1;
        self.at_5 += other.at_5;
        self.at_10 += other.at_10;
    }
}

/// Figures of a scenario or of a group of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RetrievalRow {
    /// Which.
    pub name: String,
    /// Questions.
    pub questions: usize,
    /// Passages of three sentences, plain BM25.
    pub bm25: Hits,
    /// Results of the agent's search as the model is shown them.
    pub search_shown: Hits,
    /// The same with the whole of each message.
    pub search_whole: Hits,
    /// In how many questions an accepted answer stands in what an agent recollects before it answers.
    pub recollected: usize,
    /// Characters of that, all questions together.
    pub recollected_chars: usize,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RetrievalReport {
    /// Name of the embedder; none where words were searched alone.
    pub embedder: Option<String>,
    /// Each scenario, then the groups.
    pub rows: Vec<RetrievalRow>,
}

/// Searches for the answer of every question; `progress` is told what comes next.
///
/// # Errors
/// Memory or embedder failed.
pub fn retrieval(
    scenarios: &[Scenario],
    mut embedder: Option<&mut (dyn Embed + 'static)>,
    progress: &mut dyn FnMut(&str),
) -> Result<RetrievalReport, Error> {
    let judge = Judge::new()?;
    let mut measured = Vec::with_capacity(scenarios.len());
    for scenario in scenarios {
        progress(&format!("{}: {} questions", scenario.name.as_str(), scenario.questions.len()));
        measured.push((scenario.name, measure(scenario, &judge, embedder.as_deref_mut())?));
    }
    let sum = |name: String, of: &[ScenarioName]| {
        let mut sum = RetrievalRow { name, ..RetrievalRow::default() };
        for (_, row) in measured.iter().filter(|(name, _)| of.contains(name)) {
            sum.questions += row.questions;
            sum.bm25.merge(row.bm25);
            sum.search_shown.merge(row.search_shown);
            sum.search_whole.merge(row.search_whole);
            sum.recollected += row.recollected;
            sum.recollected_chars += row.recollected_chars;
        }
        sum
    };
    let mut names: Vec<ScenarioName> = measured.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let groups = groups(&names).into_iter().map(|(name, of)| sum(name, &of));
    let rows = measured.iter().map(|(_, row)| row.clone()).chain(groups).collect();
    Ok(RetrievalReport { embedder: embedder.map(|embedder| embedder.name().to_owned()), rows })
}

fn measure(
    scenario: &Scenario,
    judge: &Judge,
    mut embedder: Option<&mut (dyn Embed + 'static)>,
) -> Result<RetrievalRow, Error> {
    let cut = passages(scenario.messages());
    let ranks = Bm25::new(&cut);
    let mut memory = told(scenario)?;
    if let Some(embedder) = embedder.as_deref_mut() {
        memory.embed_pending(embedder, &Cancel::default(), &mut |_| {})?;
    }
    let name = scenario.name.as_str().to_owned();
    let mut row = RetrievalRow { name, questions: scenario.questions.len(), ..RetrievalRow::default() };
    for question in &scenario.questions {
        let Question { text, accepted, .. } = question;
        let ranking = ranks.rank(text);
        row.bm25.add(ranking.iter().position(|at| cut.get(*at).is_some_and(|text| judge.is_right(text, accepted))));
        let shown = shown(&mut memory, text, embedder.as_deref_mut())?;
        row.search_shown.add(shown.iter().position(|text| judge.is_right(text, accepted)));
        let whole = whole(&mut memory, text, embedder.as_deref_mut())?;
        row.search_whole.add(whole.iter().position(|text| judge.is_right(text, accepted)));
        let recollected = recollected(&memory, text, embedder.as_deref_mut())?;
        row.recollected += usize::from(judge.is_right(&recollected, accepted));
        row.recollected_chars += recollected.chars().count();
    }
    Ok(row)
}

/// A fresh agent in memory who has heard all sessions.
fn told(scenario: &Scenario) -> Result<AgentMemory, Error> {
    let mut memory = AgentMemory::create(Store::open_in_memory()?, &NewAgent::named("bench", 0))?;
    let mut at_ms = 0;
    let mut messages = Vec::new();
    for session in &scenario.sessions {
        for text in &session.messages {
            messages.push(NewMessage { at_ms, body: Body::User { text: text.clone() }, interrupted: false });
            at_ms += MINUTE_MS;
        }
        at_ms += DAY_MS;
    }
    memory.record(&messages)?;
    Ok(memory)
}

/// The results of the function that a model calls, one text each.
fn shown(
    memory: &mut AgentMemory,
    query: &str,
    mut embedder: Option<&mut (dyn Embed + 'static)>,
) -> Result<Vec<String>, Error> {
    let mut results: Vec<String> = Vec::new();
    for page in 0..PAGES {
        let mut step = memory.step(0)?;
        let mut context =
            Context { embedder: embedder.as_deref_mut(), ..Context::without_embedder(jiff::tz::TimeZone::UTC) };
        let arguments = match json!({"query": query, "page": page}) {
            Value::Object(arguments) => arguments,
            _ => continue,
        };
        let call = Call { name: SEARCH.to_owned(), arguments };
        let outcome = functions::execute(&call, &mut step, &mut context)?;
        // The first line counts the results; what belongs to a result is indented below it.
        for line in outcome.message.lines().skip(1) {
            match results.last_mut().filter(|_| line.starts_with(' ')) {
                Some(result) => {
                    result.push('\n');
                    result.push_str(line);
                }
                None => results.push(line.to_owned()),
            }
        }
    }
    Ok(results)
}

/// The whole texts of the messages that the same search finds.
fn whole(
    memory: &mut AgentMemory,
    query: &str,
    embedder: Option<&mut (dyn Embed + 'static)>,
) -> Result<Vec<String>, Error> {
    let embedding = embedder.map(|embedder| Embedding::of(embedder, query)).transpose()?;
    let step = memory.step(0)?;
    let found = step.conversation_search(query, embedding.as_ref(), 0, PAGE_SIZE * PAGES)?;
    Ok(found.items.into_iter().map(|hit| hit.text).collect())
}

/// What an agent that has none of it in view recollects.
fn recollected(
    memory: &AgentMemory,
    question: &str,
    embedder: Option<&mut (dyn Embed + 'static)>,
) -> Result<String, Error> {
    let mut context = Context { embedder, ..Context::without_embedder(jiff::tz::TimeZone::UTC) };
    let found = functions::recollect(question, &HashSet::new(), memory, &mut context)?;
    Ok(found.map(|found| found.text).unwrap_or_default())
}

impl RetrievalReport {
    /// The figures as a table for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let header = ["@1", "@5", "@10"].map(|depth| format!("{depth:>7}")).concat();
        let mut text = format!("{:28}{:>9}  {:24}{header}", "", "questions", "answer among the first");
        for row in &self.rows {
            let mut beginning = format!("{:28}{:>9}", row.name, row.questions);
            let searches = [
                ("BM25, three sentences", row.bm25),
                ("own search, as shown", row.search_shown),
                ("own search, whole texts", row.search_whole),
            ];
            for (search, Hits { at_1, at_5, at_10 }) in searches {
                let shares = [at_1, at_5, at_10].map(|hits| format!("{:>6.1}%", 100.0 * share(hits, row.questions)));
                let _ = write!(text, "\n{beginning}  {search:24}{}", shares.concat());
                beginning = format!("{:37}", "");
            }
            let chars = row.recollected_chars / row.questions.max(1);
            let recollected = 100.0 * share(row.recollected, row.questions);
            let _ = write!(text, "\n{beginning}  recollected: {recollected:.1}%, in {chars} characters");
        }
        let embedder = self.embedder.as_deref().map_or_else(
            || "no embedder: the own search is of words and windows alone".to_owned(),
            |name| format!("embeddings: {name}"),
        );
        let _ = write!(text, "\n{embedder}");
        text
    }
}
