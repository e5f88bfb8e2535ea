//! One conversation on one seed: what was checked, what went wrong, what it cost.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

use super::costs::{Spread, TurnCost};
use super::{Check, Faults, Half};

/// A check that did not pass, in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Name of the conversation.
    pub conversation: String,
    /// The turn, counted through all sessions from 1; none for core memory at the end.
    pub turn: Option<usize>,
    /// What the user said; empty for core memory.
    pub user: String,
    /// The reply, or the text of the block.
    pub reply: String,
    /// What was checked.
    pub check: Check,
    /// What should have been.
    pub expected: String,
}

/// Checks passed of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counted {
    /// As it should be.
    pub passed: usize,
    /// All.
    pub total: usize,
}

impl Counted {
    pub(super) fn count(&mut self, is_passed: bool) {
        self.passed += usize::from(is_passed);
        self.total += 1;
    }

    pub(super) const fn tried(self) -> (usize, usize) {
        (self.passed, self.total)
    }
}

impl AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.total += other.total;
    }
}

/// Faults of several turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FaultCounts {
    /// Turns.
    pub turns: usize,
    /// Turns without a reply.
    pub silent: usize,
    /// Calls, those of idle work apart.
    pub calls: usize,
    /// Of these, calls that failed.
    pub failed_calls: usize,
    /// Of these, calls that repeat one of the same turn.
    pub repeated_calls: usize,
    /// Errors.
    pub errors: usize,
    /// Replies that show call syntax.
    pub leaked_calls: usize,
    /// Replies that were given before, word for word.
    pub repeated_replies: usize,
    /// Replies that are mostly the message.
    pub parroted: usize,
    /// Replies that go round in circles.
    pub circling: usize,
    /// Replies that speak as the user.
    pub as_user: usize,
    /// Replies in another script or language.
    pub other_language: usize,
}

impl FaultCounts {
    pub(super) fn add_turn(&mut self, faults: &Faults, calls: usize) {
        self.turns += 1;
        self.silent += usize::from(faults.is_silent);
        self.calls += calls;
        self.failed_calls += faults.failed_calls;
        self.repeated_calls += faults.repeated_calls;
        self.errors += faults.errors;
        self.leaked_calls += usize::from(faults.leaks_call);
        self.repeated_replies += usize::from(faults.repeats_reply);
        self.parroted += usize::from(faults.is_parroted);
        self.circling += usize::from(faults.goes_round);
        self.as_user += usize::from(faults.speaks_as_user);
        self.other_language += usize::from(faults.is_in_other_language);
    }
}

impl AddAssign for FaultCounts {
    fn add_assign(&mut self, other: Self) {
        self.turns += other.turns;
        self.silent += other.silent;
        self.calls += other.calls;
        self.failed_calls += other.failed_calls;
        self.repeated_calls += other.repeated_calls;
        self.errors += other.errors;
        self.leaked_calls += other.leaked_calls;
        self.repeated_replies += other.repeated_replies;
        self.parroted += other.parroted;
        self.circling += other.circling;
        self.as_user += other.as_user;
        self.other_language += other.other_language;
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name of the conversation.
    pub name: String,
    /// Half to which it belongs.
    pub half: Half,
    /// Seed of the sampler.
    pub seed: u64,
    /// Language in which the user speaks.
    pub language: String,
    /// What it tests.
    pub kinds: Vec<String>,
    /// Checks.
    #[serde(flatten)]
    pub checks: Counted,
    /// Checks by what is checked.
    pub by_check: BTreeMap<&'static str, Counted>,
    /// Faults.
    pub faults: FaultCounts,
    /// Turns in which core memory changed.
    pub turns_with_changed_memory: usize,
    /// Turns that ask for what was never said.
    pub never_said_turns: usize,
    /// Of these, turns in which something was invented.
    pub invented: usize,
    /// Replies that were asked for after messages had left the window.
    pub asked_after_eviction: Counted,
    /// Characters by which core memory grew, both blocks together.
    pub core_added_chars: i64,
    /// Wall time of the whole conversation with its idle work, milliseconds.
    pub wall_ms: u64,
    /// What a turn cost.
    pub costs: BTreeMap<&'static str, Spread>,
    /// Checks that did not pass.
    pub failures: Vec<Failure>,
    /// What each turn cost, for the figures of all conversations together.
    #[serde(skip)]
    pub turn_costs: Vec<TurnCost>,
}
