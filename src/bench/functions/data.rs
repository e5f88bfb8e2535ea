//! The cases: categories, what is asked, which functions are at hand, and the accepted calls.
//!
//! A suite is a folder with a file for each category, `BFCL_v4_<category>.json` or `<category>.json`, one JSON object a
//! line: `id`, `question` (turns of messages) and `function` (a list). Accepted calls stand under the same name in the
//! folder `possible_answer`, where a case's `ground_truth` lists one object for each call, `{name: {parameter: [accepted
//! values]}}`; an empty text among the values says that the parameter may be left out. Categories without accepted calls
//! only ask whether there is a call at all.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Error;
use crate::bench::bfcl::lines;

/// Where accepted calls lie in a suite.
const ACCEPTED: &str = "possible_answer";

/// The single-turn categories of the leaderboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// One function, one call
    SimplePython,
    /// One Java method, one call
    SimpleJava,
    /// One JavaScript function, one call
    SimpleJavascript,
    /// Several functions, one call
    Multiple,
    /// One function, several calls
    Parallel,
    /// Several functions, several calls
    ParallelMultiple,
    /// No function fits: no call
    Irrelevance,
    /// Asked by users: one function, one call
    LiveSimple,
    /// Asked by users: several functions, one call
    LiveMultiple,
    /// Asked by users: one function, several calls
    LiveParallel,
    /// Asked by users: several functions, several calls
    LiveParallelMultiple,
    /// Asked by users: no function fits, no call
    LiveIrrelevance,
    /// Asked by users: some function fits, any call
    LiveRelevance,
}

/// What is asked of a model in a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// One of the accepted calls.
    OneCall,
    /// All accepted calls, in any order.
    AllCalls,
    /// No call.
    NoCall,
    /// A call, whichever.
    AnyCall,
}

/// The language in whose literals arguments are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Values are JSON values.
    Python,
    /// Each value is a text that holds a Java expression.
    Java,
    /// Each value is a text that holds a JavaScript expression.
    Javascript,
}

impl Category {
    /// All, in the order of reports.
    pub const ALL: [Self; 13] = [
        Self::SimplePython,
        Self::SimpleJava,
        Self::SimpleJavascript,
        Self::Multiple,
        Self::Parallel,
        Self::ParallelMultiple,
        Self::Irrelevance,
        Self::LiveSimple,
        Self::LiveMultiple,
        Self::LiveParallel,
        Self::LiveParallelMultiple,
        Self::LiveIrrelevance,
        Self::LiveRelevance,
    ];

    /// As the data set and the command line spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SimplePython => "simple_python",
            Self::SimpleJava => "simple_java",
            Self::SimpleJavascript => "simple_javascript",
            Self::Multiple => "multiple",
            Self::Parallel => "parallel",
            Self::ParallelMultiple => "parallel_multiple",
            Self::Irrelevance => "irrelevance",
            Self::LiveSimple => "live_simple",
            Self::LiveMultiple => "live_multiple",
            Self::LiveParallel => "live_parallel",
            Self::LiveParallelMultiple => "live_parallel_multiple",
            Self::LiveIrrelevance => "live_irrelevance",
            Self::LiveRelevance => "live_relevance",
        }
    }

    /// What is asked.
    #[must_use]
    pub const fn demand(self) -> Demand {
        match self {
            Self::SimplePython
            | Self::SimpleJava
            | Self::SimpleJavascript
            | Self::Multiple
            | Self::LiveSimple
            | Self::LiveMultiple => Demand::OneCall,
            Self::Parallel | Self::ParallelMultiple | Self::LiveParallel | Self::LiveParallelMultiple => {
                Demand::AllCalls
            }
            Self::Irrelevance | Self::LiveIrrelevance => Demand::NoCall,
            Self::LiveRelevance => Demand::AnyCall,
        }
    }

    /// In whose literals arguments are written.
    #[must_use]
    pub const fn language(self) -> Language {
        match self {
            Self::SimpleJava => Language::Java,
            Self::SimpleJavascript => Language::Javascript,
            _ => Language::Python,
        }
    }

    /// Whether several functions are at hand and the accepted call says which of them was meant.
    pub(super) const fn chooses(self) -> bool {
        matches!(self, Self::Multiple | Self::LiveMultiple)
    }

    const fn has_accepted(self) -> bool {
        matches!(self.demand(), Demand::OneCall | Demand::AllCalls)
    }

    /// The file of the category in a suite.
    fn file(self, suite: &Path) -> PathBuf {
        let plain = suite.join(format!("{}.json", self.as_str()));
        if plain.is_file() { plain } else { suite.join(format!("BFCL_v4_{}.json", self.as_str())) }
    }
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// Instructions.
    System,
    /// The user.
    User,
    /// An earlier reply of some model.
    Assistant,
}

/// A message of the question.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// Who.
    #[serde(rename = "role")]
    pub speaker: Speaker,
    /// What.
    pub content: String,
}

/// A function as the data set describes it, in its own words for types.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Function {
    /// Its name, dots included.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Its parameters.
    pub parameters: Parameters,
}

/// The parameters of a function.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Parameters {
    /// By name, in their order.
    pub properties: Map<String, Value>,
    /// Those that must be given.
    #[serde(default)]
    pub required: Vec<String>,
}

/// Something that is asked of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its id in the data.
    pub id: String,
    /// Of which category.
    pub category: Category,
    /// The messages, the last one unanswered.
    pub question: Vec<Said>,
    /// The functions at hand.
    pub functions: Vec<Function>,
    /// The accepted calls; none in categories that only ask whether there is one.
    pub accepted: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
struct CaseLine {
    id: String,
    question: Vec<Vec<Said>>,
    function: Vec<Function>,
}

#[derive(Deserialize)]
struct AcceptedLine {
    id: String,
    ground_truth: Vec<Map<String, Value>>,
}

/// The categories of which a suite has a file.
#[must_use]
pub fn present(suite: &Path) -> Vec<Category> {
    Category::ALL.into_iter().filter(|category| category.file(suite).is_file()).collect()
}

/// All cases of a category.
///
/// # Errors
/// A file is missing or cannot be understood, or a case has no accepted calls.
pub fn read(suite: &Path, category: Category) -> Result<Vec<Case>, Error> {
    let path = category.file(suite);
    let asked: Vec<CaseLine> = lines(&path)?;
    let mut accepted: HashMap<String, Vec<Map<String, Value>>> = HashMap::new();
    if category.has_accepted() {
        let name = path.file_name().unwrap_or_default();
        let found: Vec<AcceptedLine> = lines(&suite.join(ACCEPTED).join(name))?;
        accepted.extend(found.into_iter().map(|line| (line.id, line.ground_truth)));
    }
    let case = |line: CaseLine| {
        let accepted = match accepted.remove(&line.id) {
            Some(accepted) => accepted,
            None if category.has_accepted() => return Err(Error::NothingAccepted { id: line.id }),
            None => Vec::new(),
        };
        let question = line.question.into_iter().flatten().collect();
        Ok(Case { id: line.id, category, question, functions: line.function, accepted })
    };
    asked.into_iter().map(case).collect()
}

/// At most `count` cases drawn with `seed`, in the order of the data: neighbours often share functions, and so the
/// beginning of their prompts. A larger count with the same seed draws the same and more.
#[must_use]
pub fn drawn(cases: Vec<Case>, count: usize, seed: u64) -> Vec<Case> {
    let mut places: Vec<usize> = (0..cases.len()).collect();
    places.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    places.truncate(count);
    let of_drawn = |(place, case)| places.contains(&place).then_some(case);
    cases.into_iter().enumerate().filter_map(of_drawn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(id: usize) -> Case {
        let (question, functions, accepted) = (Vec::new(), Vec::new(), Vec::new());
        Case { id: id.to_string(), category: Category::Irrelevance, question, functions, accepted }
    }

    #[test]
    fn a_larger_count_draws_the_same_cases_and_more() {
        let cases: Vec<Case> = (0..50).map(case).collect();
        let ids = |count, seed| drawn(cases.clone(), count, seed).into_iter().map(|case| case.id).collect::<Vec<_>>();
        let (few, many) = (ids(5, 7), ids(20, 7));
        assert_eq!((few.len(), many.len(), ids(90, 7).len()), (5, 20, 50));
        assert!(few.iter().all(|id| many.contains(id)) && few != ids(5, 8));
        let order: Vec<usize> = many.iter().map(|id| id.parse().unwrap()).collect();
        assert!(order.is_sorted());
    }
}
