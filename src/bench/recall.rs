//! How well searches of recall storage find what was said: questions with marked evidence over a conversation.
//!
//! Each file is loaded into a fresh agent in memory as if it had been said, and each question goes through the searches
//! that agents use. A hit at k is an evidence message among the first k single messages; a window that is found is
//! expanded to its turns, each where it ranks. Not responsible for answers: only for what a model would be shown.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::memory::{self, AgentMemory, Embed, Embedding, NewAgent, Store};
use crate::types::{Body, Cancel, MessageId, NewMessage};

/// How many messages of a ranking are looked at.
const DEPTH: usize = 10;
/// Between messages without a time.
const MINUTE_MS: i64 = 60_000;
/// Largest file that is read; a chat of a lifetime is smaller.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// Why a file could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is larger than anything that makes sense.
    #[error("{} has {size_bytes} bytes; the limit is {MAX_FILE_BYTES}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
    },
    /// It does not hold messages and queries as they are expected.
    #[error("{} cannot be understood: {source}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: serde_json::Error,
    },
    /// It asks nothing that can be answered.
    #[error("{} has {messages} messages and no query with evidence among them", path.display())]
    NothingToAsk {
        /// The file.
        path: PathBuf,
        /// How many messages it has.
        messages: usize,
    },
    /// The memory or the embedder failed.
    #[error(transparent)]
    Memory(#[from] memory::Error),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "check the path".to_owned(),
            Self::TooLarge { .. } => "split it: several files can be given".to_owned(),
            Self::BadFile { .. } | Self::NothingToAsk { .. } => {
                "it looks like this: {\"messages\": [{\"id\", \"role\", \"name\", \"text\", \"time\"}], \
                 \"queries\": [{\"text\", \"evidence\": [ids]}]}"
                    .to_owned()
            }
            Self::Memory(error) => error.hint().to_string(),
        }
    }
}

/// What a file holds. More fields may be there.
#[derive(Debug, Deserialize)]
struct Conversation {
    messages: Vec<Turn>,
    queries: Vec<Query>,
}

#[derive(Debug, Deserialize)]
struct Turn {
    id: Id,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    name: Option<String>,
    text: String,
    #[serde(default)]
    time: Option<Time>,
}

#[derive(Debug, Deserialize)]
struct Query {
    text: String,
    #[serde(default)]
    evidence: Vec<Id>,
}

/// Ids are compared as they are spelled: the number 1 and the text "1" are the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "Spelled")]
struct Id(String);

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Spelled {
    Number(serde_json::Number),
    Text(String),
}

impl From<Spelled> for Id {
    fn from(spelled: Spelled) -> Self {
        match spelled {
            Spelled::Number(number) => Self(number.to_string()),
            Spelled::Text(text) => Self(text),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Time {
    Milliseconds(i64),
    Text(String),
    Other(IgnoredAny),
}

impl Time {
    /// UTC milliseconds; a time without a zone is taken for UTC. None for any other spelling.
    fn at_ms(&self) -> Option<i64> {
        match self {
            Self::Milliseconds(at_ms) => Some(*at_ms),
            Self::Other(_) => None,
            Self::Text(text) => {
                let instant = text.parse::<jiff::Timestamp>().ok();
                let civil = || {
                    let time = text.parse::<jiff::civil::DateTime>().ok()?;
                    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
                };
                instant.or_else(civil).map(jiff::Timestamp::as_millisecond)
            }
        }
    }
}

/// A way to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// BM25 over single turns.
    Bm25,
    /// Cosine of the embeddings of single turns.
    Embeddings,
    /// What agents use: windows of turns, fused with embeddings where there is an embedder.
    Fusion,
}

impl Method {
    const ALL: [Self; 3] = [Self::Bm25, Self::Embeddings, Self::Fusion];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Bm25 => "bm25",
            Self::Embeddings => "embeddings",
            Self::Fusion => "fusion",
        }
    }
}

/// Shares of the queries, 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// The first message is evidence.
    #[serde(rename = "hit@1")]
    pub hit_at_1: f64,
    /// One of the first 5 is.
    #[serde(rename = "hit@5")]
    pub hit_at_5: f64,
    /// One of the first 10 is.
    #[serde(rename = "hit@10")]
    pub hit_at_10: f64,
    /// All evidence is among the first 10.
    #[serde(rename = "all_evidence@10")]
    pub all_evidence_at_10: f64,
    /// From the text of a query to its ranking, the embedding of the query included.
    pub mean_latency_ms: f64,
}

/// Figures of each method.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Methods {
    /// See [`Method::Bm25`].
    pub bm25: Figures,
    /// See [`Method::Embeddings`]; none without an embedder.
    pub embeddings: Option<Figures>,
    /// See [`Method::Fusion`].
    pub fusion: Figures,
}

/// What was measured on a file, or on all of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The file; `all` for the sum.
    pub file: String,
    /// Messages in it.
    pub messages: usize,
    /// Queries that were asked.
    pub queries: usize,
    /// Queries without evidence among the messages; they are not asked.
    pub skipped_queries: usize,
    /// Ids of evidence, each counted once for its query, that no message has: they count for nothing.
    pub unknown_evidence: usize,
    /// Figures of each method.
    pub methods: Methods,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name of the embedder; none where words were searched alone.
    pub embedder: Option<String>,
    /// All queries of all files together.
    #[serde(flatten)]
    pub pooled: Row,
    /// Each file by itself.
    pub files: Vec<Row>,
}

/// Sums over queries.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    queries: usize,
    hits: [usize; 3],
    all_evidence: usize,
    latency_ms: f64,
}

impl Sums {
    fn add(&mut self, ranking: &[MessageId], evidence: &[MessageId], latency_ms: f64) {
        let ranking = ranking.get(..DEPTH).unwrap_or(ranking);
        let first = ranking.iter().position(|id| evidence.contains(id));
        for (hits, depth) in self.hits.iter_mut().zip([1, 5, DEPTH]) {
            *hits += usize::from(first.is_some_and(|first| first < depth));
        }
        self.all_evidence += usize::from(evidence.iter().all(|id| ranking.contains(id)));
        self.queries += 1;
        self.latency_ms += latency_ms;
    }

    fn merge(&mut self, other: &Self) {
        self.queries += other.queries;
        for (own, other) in self.hits.iter_mut().zip(other.hits) {
            *own += other;
        }
        self.all_evidence += other.all_evidence;
        self.latency_ms += other.latency_ms;
    }

    #[allow(clippy::cast_precision_loss)]
    fn figures(&self) -> Figures {
        let share = |count: usize| count as f64 / self.queries.max(1) as f64;
        let [one, five, ten] = self.hits;
        Figures {
            hit_at_1: share(one),
            hit_at_5: share(five),
            hit_at_10: share(ten),
            all_evidence_at_10: share(self.all_evidence),
            mean_latency_ms: self.latency_ms / self.queries.max(1) as f64,
        }
    }
}

type SumsByMethod = HashMap<Method, Sums>;

/// Measures every file; `progress` is told what comes next.
///
/// # Errors
/// A file cannot be read or understood; memory or embedder failed.
pub fn run(
    files: &[PathBuf],
    mut embedder: Option<&mut (dyn Embed + 'static)>,
    progress: &mut dyn FnMut(&str),
) -> Result<Report, Error> {
    let mut all = SumsByMethod::new();
    let mut rows: Vec<Row> = Vec::new();
    for path in files {
        let conversation = read(path)?;
        progress(&format!("{}: {} messages", path.display(), conversation.messages.len()));
        let messages = conversation.messages.len();
        let (sums, left_out) = measure(&conversation, embedder.as_deref_mut())?;
        if sums.is_empty() {
            return Err(Error::NothingToAsk { path: path.clone(), messages });
        }
        for (method, sums) in &sums {
            all.entry(*method).or_default().merge(sums);
        }
        rows.push(row(path.display().to_string(), messages, left_out, &sums));
    }
    let left_out = LeftOut {
        queries: rows.iter().map(|row| row.skipped_queries).sum(),
        evidence: rows.iter().map(|row| row.unknown_evidence).sum(),
    };
    let pooled = row("all".to_owned(), rows.iter().map(|row| row.messages).sum(), left_out, &all);
    Ok(Report { embedder: embedder.map(|embedder| embedder.name().to_owned()), pooled, files: rows })
}

/// What of a file counts for nothing.
#[derive(Debug, Clone, Copy, Default)]
struct LeftOut {
    queries: usize,
    evidence: usize,
}

fn row(file: String, messages: usize, left_out: LeftOut, sums: &SumsByMethod) -> Row {
    let figures = |method: Method| sums.get(&method).map(Sums::figures);
    let methods = Methods {
        bm25: figures(Method::Bm25).unwrap_or_default(),
        embeddings: figures(Method::Embeddings),
        fusion: figures(Method::Fusion).unwrap_or_default(),
    };
    let queries = sums.get(&Method::Fusion).map_or(0, |sums| sums.queries);
    Row { file, messages, queries, skipped_queries: left_out.queries, unknown_evidence: left_out.evidence, methods }
}

fn read(path: &Path) -> Result<Conversation, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let size_bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if size_bytes > MAX_FILE_BYTES {
        return Err(Error::TooLarge { path: path.to_owned(), size_bytes });
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    serde_json::from_slice(bytes).map_err(|source| Error::BadFile { path: path.to_owned(), source })
}

/// The sums of each method, and what was left out.
fn measure(
    conversation: &Conversation,
    mut embedder: Option<&mut (dyn Embed + 'static)>,
) -> Result<(SumsByMethod, LeftOut), Error> {
    let (mut memory, ids) = load(&conversation.messages)?;
    if let Some(embedder) = embedder.as_deref_mut() {
        memory.embed_pending(embedder, &Cancel::default(), &mut |_| {})?;
    }
    let (mut sums, mut left_out) = (SumsByMethod::new(), LeftOut::default());
    for query in &conversation.queries {
        let wanted: HashSet<&Id> = query.evidence.iter().collect();
        let evidence: Vec<MessageId> = wanted.iter().filter_map(|id| ids.get(*id).copied()).collect();
        left_out.evidence += wanted.len() - evidence.len();
        if evidence.is_empty() {
            left_out.queries += 1;
            continue;
        }
        for method in Method::ALL {
            if method == Method::Embeddings && embedder.is_none() {
                continue;
            }
            let begun = Instant::now();
            let ranking = search(&memory, &query.text, method, embedder.as_deref_mut())?;
            let latency_ms = begun.elapsed().as_secs_f64() * 1000.0;
            sums.entry(method).or_default().add(&ranking, &evidence, latency_ms);
        }
    }
    Ok((sums, left_out))
}

fn search(
    memory: &AgentMemory,
    query: &str,
    method: Method,
    embedder: Option<&mut (dyn Embed + 'static)>,
) -> Result<Vec<MessageId>, Error> {
    if method == Method::Bm25 {
        return Ok(memory.view().rank_single_turns(query, DEPTH)?);
    }
    let Some(embedder) = embedder else { return Ok(memory.view().rank_messages(query, None, DEPTH)?) };
    let embedding = Embedding::of(embedder, query)?;
    if method == Method::Embeddings {
        return Ok(memory.nearest_messages(&embedding, DEPTH)?.into_iter().map(|(id, _)| id).collect());
    }
    Ok(memory.rank_messages(query, &embedding, DEPTH)?)
}

/// A fresh agent in memory who has heard all of it, and the messages by the ids of the file.
fn load(turns: &[Turn]) -> Result<(AgentMemory, HashMap<Id, MessageId>), Error> {
    let mut memory = AgentMemory::create(Store::open_in_memory()?, &NewAgent::named("bench", 0))?;
    let mut ids = HashMap::new();
    let mut step = memory.step(0)?;
    let mut at_ms = 0;
    for turn in turns {
        let said_at_ms = turn.time.as_ref().and_then(Time::at_ms);
        at_ms = said_at_ms.unwrap_or_else(|| i64::saturating_add(at_ms, MINUTE_MS));
        let is_agent = turn.role.as_deref().is_some_and(|role| !role.trim().eq_ignore_ascii_case("user"));
        let text = turn.text.clone();
        let body = if is_agent {
            Body::Assistant { thoughts: None, text: Some(text), call: None }
        } else {
            Body::User { text }
        };
        let message = NewMessage { at_ms, body, interrupted: false };
        let message = step.record_said_by(turn.name.as_deref().unwrap_or_default(), &message)?;
        ids.insert(turn.id.clone(), message.id);
    }
    step.commit()?;
    Ok((memory, ids))
}

impl Report {
    /// The figures as a table for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let header = ["hit@1", "hit@5", "hit@10", "all@10", "ms"].map(|title| format!("{title:>8}")).concat();
        let mut lines = vec![format!("{:24}{:>9}{:>9}  {:11}{header}", "file", "messages", "queries", "method")];
        let pooled = (self.files.len() != 1).then_some(&self.pooled);
        for row in self.files.iter().chain(pooled) {
            let name: String = Path::new(&row.file).file_name().map_or_else(
                || row.file.clone(),
                |name| name.to_string_lossy().chars().filter(|c| !c.is_control()).take(23).collect(),
            );
            let mut beginning = format!("{name:24}{:9}{:9}", row.messages, row.queries);
            let methods = [
                (Method::Bm25, Some(row.methods.bm25)),
                (Method::Embeddings, row.methods.embeddings),
                (Method::Fusion, Some(row.methods.fusion)),
            ];
            for (method, figures) in methods {
                let Some(figures) = figures else { continue };
                let Figures { hit_at_1, hit_at_5, hit_at_10, all_evidence_at_10, mean_latency_ms } = figures;
                let shares = [hit_at_1, hit_at_5, hit_at_10, all_evidence_at_10].map(|share| format!("{share:8.3}"));
                lines.push(format!("{beginning}  {:11}{}{mean_latency_ms:8.2}", method.as_str(), shares.concat()));
                beginning = format!("{:42}", "");
            }
        }
        lines.push(match &self.embedder {
            Some(embedder) => format!("embeddings: {embedder}"),
            None => "no embedder: fusion is of words and windows alone".to_owned(),
        });
        if self.pooled.skipped_queries > 0 {
            lines.push(format!("{} queries have no evidence among the messages", self.pooled.skipped_queries));
        }
        if self.pooled.unknown_evidence > 0 {
            lines.push(format!("{} ids of evidence name no message", self.pooled.unknown_evidence));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_count_single_messages_and_all_evidence_needs_each() {
        let ids = |ids: &[i64]| ids.iter().map(|id| MessageId(*id)).collect::<Vec<_>>();
        let mut sums = Sums::default();
        sums.add(&ids(&[9, 1, 2, 3, 4, 5]), &ids(&[1]), 2.0);
        sums.add(&ids(&[9, 8, 7, 6, 5, 1]), &ids(&[1, 42]), 4.0);
        let figures = sums.figures();
        assert_eq!((figures.hit_at_1, figures.hit_at_5, figures.hit_at_10), (0.0, 0.5, 1.0));
        assert_eq!((figures.all_evidence_at_10, figures.mean_latency_ms), (0.5, 3.0));
    }

    #[test]
    fn an_id_is_the_same_as_a_number_and_as_text() {
        let id = |json: &str| serde_json::from_str::<Id>(json).unwrap();
        assert_eq!(id("1"), id("\"1\""));
        assert_ne!(id("1"), id("\"01\""));
        assert_eq!(id("18446744073709551615"), id("\"18446744073709551615\""));
        assert!(serde_json::from_str::<Id>("null").is_err());
    }

    #[test]
    fn times_are_read_in_both_spellings() {
        let at_ms = |json: &str| serde_json::from_str::<Time>(json).unwrap().at_ms();
        assert_eq!(at_ms("1683554160000"), Some(1_683_554_160_000));
        assert_eq!(at_ms("\"2023-05-08T13:56:00Z\""), Some(1_683_554_160_000));
        assert_eq!(at_ms("\"2023-05-08T15:56:00+02:00\""), Some(1_683_554_160_000));
        assert_eq!(at_ms("\"2023-05-08 13:56:00\""), Some(1_683_554_160_000));
        assert_eq!(at_ms("\"yesterday\""), None);
        assert_eq!(at_ms("1.5"), None);
    }
}
