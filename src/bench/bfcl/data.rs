//! The data of the benchmark: which files of the wheel are kept, and reading those of the memory category.
//!
//! A file holds one JSON object a line. Of a session only what the user says is there: the agent under test says the
//! rest. A question has one message of the user, and its accepted answers stand in a file of their own under its id.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::models::DataSet;

/// Largest file that is read; the largest of the wheel's has 4 MB.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// The questions of the memory category.
const QUESTIONS: &str = "BFCL_v4_memory.json";
/// Their accepted answers.
const ANSWERS: &str = "possible_answer/BFCL_v4_memory.json";

/// The wheel and what is kept of it: the memory category, and the categories that ask for one turn of function calls.
pub const WHEEL: DataSet<'static> = DataSet {
    name: "bfcl-2026.3.23",
    package: "bfcl-eval",
    version: "2026.3.23",
    wheel_bytes: 1_925_664,
    sha256: "3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a",
    prefix: "bfcl_eval/data/",
    members: &[
        QUESTIONS,
        ANSWERS,
        "memory_prereq_conversation/memory_customer.json",
        "memory_prereq_conversation/memory_finance.json",
        "memory_prereq_conversation/memory_healthcare.json",
        "memory_prereq_conversation/memory_notetaker.json",
        "memory_prereq_conversation/memory_student.json",
        "BFCL_v4_irrelevance.json",
        "BFCL_v4_live_irrelevance.json",
        "BFCL_v4_live_multiple.json",
        "BFCL_v4_live_parallel.json",
        "BFCL_v4_live_parallel_multiple.json",
        "BFCL_v4_live_relevance.json",
        "BFCL_v4_live_simple.json",
        "BFCL_v4_multiple.json",
        "BFCL_v4_parallel.json",
        "BFCL_v4_parallel_multiple.json",
        "BFCL_v4_simple_java.json",
        "BFCL_v4_simple_javascript.json",
        "BFCL_v4_simple_python.json",
        "possible_answer/BFCL_v4_live_multiple.json",
        "possible_answer/BFCL_v4_live_parallel.json",
        "possible_answer/BFCL_v4_live_parallel_multiple.json",
        "possible_answer/BFCL_v4_live_simple.json",
        "possible_answer/BFCL_v4_multiple.json",
        "possible_answer/BFCL_v4_parallel.json",
        "possible_answer/BFCL_v4_parallel_multiple.json",
        "possible_answer/BFCL_v4_simple_java.json",
        "possible_answer/BFCL_v4_simple_javascript.json",
        "possible_answer/BFCL_v4_simple_python.json",
    ],
    max_member_bytes: MAX_FILE_BYTES,
};

/// Who talks with the agent, and what about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScenarioName {
    /// A customer of a shop
    Customer,
    /// A banker with an assistant
    Finance,
    /// A patient
    Healthcare,
    /// Notes of a week
    Notetaker,
    /// A student at a university
    Student,
}

impl ScenarioName {
    /// All five, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::Customer, Self::Finance, Self::Healthcare, Self::Notetaker, Self::Student];
    /// Those that may be looked at while an agent is tuned; the other three are kept apart.
    pub const TUNED: [Self; 2] = [Self::Customer, Self::Student];

    /// As the data spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Finance => "finance",
            Self::Healthcare => "healthcare",
            Self::Notetaker => "notetaker",
            Self::Student => "student",
        }
    }
}

/// One talk: what the user says in it, one message after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What it is about.
    pub topic: String,
    /// The messages.
    pub messages: Vec<String>,
}

/// A question about what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its id in the data.
    pub id: String,
    /// What is asked.
    pub text: String,
    /// The accepted answers.
    pub accepted: Vec<String>,
}

/// The sessions of one agent and the questions to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Which.
    pub name: ScenarioName,
    /// In their order.
    pub sessions: Vec<Session>,
    /// In their order.
    pub questions: Vec<Question>,
}

impl Scenario {
    /// What the user says in all sessions.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.sessions.iter().flat_map(|session| &session.messages).map(String::as_str)
    }
}

/// Which questions are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// The first of so many of all scenarios' questions.
    pub every: usize,
    /// At most so many of the chosen scenarios'; none: all.
    pub at_most: Option<usize>,
}

#[derive(Deserialize)]
struct Said {
    role: String,
    content: String,
}

#[derive(Deserialize)]
struct SessionLine {
    id: String,
    topic: String,
    question: Vec<Vec<Said>>,
}

#[derive(Deserialize)]
struct QuestionLine {
    id: String,
    question: Vec<Vec<Said>>,
    scenario: ScenarioName,
}

#[derive(Deserialize)]
struct AnswerLine {
    id: String,
    ground_truth: Vec<String>,
}

/// Reads scenarios from the folder of the data set, in the order of `names`.
///
/// # Errors
/// A file is missing or cannot be understood, a question has no accepted answers, or nothing is left to ask.
pub fn read(folder: &Path, names: &[ScenarioName], selection: Selection) -> Result<Vec<Scenario>, Error> {
    let asked: Vec<QuestionLine> = lines(&folder.join(QUESTIONS))?;
    let answers: Vec<AnswerLine> = lines(&folder.join(ANSWERS))?;
    let mut answers: HashMap<String, Vec<String>> =
        answers.into_iter().map(|line| (line.id, line.ground_truth)).collect();
    let mut questions: HashMap<ScenarioName, Vec<Question>> = HashMap::new();
    for line in asked.into_iter().step_by(selection.every.max(1)) {
        let accepted = answers.remove(&line.id).ok_or_else(|| Error::NoAnswers { id: line.id.clone() })?;
        let text = said_by_user(&line.id, line.question)?.join("\n");
        questions.entry(line.scenario).or_default().push(Question { id: line.id, text, accepted });
    }
    let mut left = selection.at_most.unwrap_or(usize::MAX);
    let mut scenarios = Vec::with_capacity(names.len());
    for name in names {
        let mut questions = questions.remove(name).unwrap_or_default();
        questions.truncate(left);
        left -= questions.len();
        let path = folder.join("memory_prereq_conversation").join(format!("memory_{}.json", name.as_str()));
        let told: Vec<SessionLine> = lines(&path)?;
        let sessions = told.into_iter().map(|line| {
            let messages = said_by_user(&line.id, line.question)?;
            Ok(Session { topic: line.topic, messages })
        });
        let sessions = sessions.collect::<Result<Vec<Session>, Error>>()?;
        if !questions.is_empty() {
            scenarios.push(Scenario { name: *name, sessions, questions });
        }
    }
    if scenarios.is_empty() { Err(Error::NothingToAsk { folder: folder.to_owned() }) } else { Ok(scenarios) }
}

/// The messages of all turns, which the user alone has written.
fn said_by_user(id: &str, turns: Vec<Vec<Said>>) -> Result<Vec<String>, Error> {
    let messages = turns.into_iter().flatten().map(|said| match said.role.as_str() {
        "user" => Ok(said.content),
        _ => Err(Error::NotTheUser { id: id.to_owned(), role: said.role }),
    });
    messages.collect()
}

/// The objects of a file, one a line.
pub(in crate::bench) fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Error> {
    let unreadable = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => Error::Missing { path: path.to_owned() },
        _ => Error::Unreadable { path: path.to_owned(), source },
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::TooLarge { path: path.to_owned(), limit_bytes: MAX_FILE_BYTES });
    }
    let filled = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = filled.map(|(at, line)| {
        serde_json::from_str(line).map_err(|source| Error::BadLine { path: path.to_owned(), line: at + 1, source })
    });
    parsed.collect()
}
