//! Follows one conversation turn by turn and comes to its [`Row`].
//!
//! What idle work changes in core memory counts for the turn whose message it looks at: where the turn waits for it, it
//! is part of the turn; where it does not, the driver tells which message a later pass has looked at.

use std::collections::BTreeMap;

use serde::Serialize;

use super::conversation::{Conversation, Turn};
use super::costs::{TurnCost, spreads};
use super::faults::Before;
use super::row::FaultCounts;
use super::score::block;
use super::words::{has, is_blank};
use super::{Check, Counted, Failure, Faults, Listed, Observed, ObservedCall, Row, Verdict, of_memory, of_reply};
use crate::types::{CoreMemoryText, TurnReport};

/// A turn that accepts so many wordings asks for what was never said: a fact is told in a few ways, ignorance in many.
const MIN_WORDINGS_OF_IGNORANCE: usize = 10;
/// Kind of the conversations in which something is asked for that was never said.
const NEVER_SAID: &str = "never-said";
/// Blocks of core memory.
const BLOCKS: [&str; 2] = ["persona", "human"];

/// A turn as a line of a transcript.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TurnLine {
    /// Name of the conversation.
    pub conversation: String,
    /// Seed of the sampler.
    pub seed: u64,
    /// The session, counted from 1.
    pub session: usize,
    /// The turn, counted through all sessions from 1.
    pub turn: usize,
    /// What the user said.
    pub user: String,
    /// What the user was told.
    pub reply: String,
    /// Calls with their results, those of idle work included.
    pub calls: Vec<ObservedCall>,
    /// Errors.
    pub errors: Vec<String>,
    /// Core memory after the turn, and after its idle work where the turn waited for it.
    pub core: CoreMemoryText,
    /// The checks of the reply.
    pub checks: Vec<Verdict>,
    /// Faults.
    pub faults: Faults,
    /// What it cost.
    pub cost: TurnCost,
    /// The whole report; none where the turn did not end.
    pub report: Option<TurnReport>,
}

/// See the module.
#[derive(Debug)]
pub struct Tally<'a> {
    listed: &'a Listed,
    seed: u64,
    functions: Vec<String>,
    session: usize,
    said: Vec<&'a str>,
    replies: Vec<String>,
    first_core: CoreMemoryText,
    core: CoreMemoryText,
    by_check: BTreeMap<&'static str, Counted>,
    failures: Vec<Failure>,
    faults: FaultCounts,
    has_changed_memory: Vec<bool>,
    never_said: Counted,
    has_evicted: bool,
    asked_after_eviction: Counted,
    costs: Vec<TurnCost>,
}

impl<'a> Tally<'a> {
    /// A conversation that is about to begin.
    #[must_use]
    pub fn new(listed: &'a Listed, seed: u64) -> Self {
        let nothing = CoreMemoryText { persona: String::new(), human: String::new() };
        Self {
            listed,
            seed,
            functions: crate::functions::names(),
            session: 0,
            said: Vec::new(),
            replies: Vec::new(),
            first_core: nothing.clone(),
            core: nothing,
            by_check: BTreeMap::new(),
            failures: Vec::new(),
            faults: FaultCounts::default(),
            has_changed_memory: Vec::new(),
            never_said: Counted::default(),
            has_evicted: false,
            asked_after_eviction: Counted::default(),
            costs: Vec::new(),
        }
    }

    const fn conversation(&self) -> &'a Conversation {
        &self.listed.conversation
    }

    /// The agent was opened, with this in core memory. An agent that was to be there and is not, or the other way
    /// round, is an error.
    pub fn opened(&mut self, is_resumed: bool, core: CoreMemoryText) {
        let is_first = self.session == 0;
        self.faults.errors += usize::from(is_resumed == is_first);
        if is_first {
            self.first_core = core.clone();
        }
        self.core = core;
        self.session += 1;
    }

    /// A turn has ended, with this in core memory.
    pub fn turn(&mut self, turn: &'a Turn, observed: Observed, cpu_ms: u64, core: CoreMemoryText) -> TurnLine {
        let before = Before { said: &self.said, replies: &self.replies, functions: &self.functions };
        let faults = Faults::of(&turn.user, &observed, before);
        let checks = of_reply(turn, &observed.reply, &self.said);
        let number = self.said.len() + 1;
        for verdict in &checks {
            self.check(verdict, Some(number), &turn.user, &observed.reply);
            if self.has_evicted && verdict.check == Check::ReplyAny {
                self.asked_after_eviction.count(verdict.is_passed);
            }
        }
        self.has_evicted |= observed.has_evicted;
        self.look_for_inventions(turn, &observed.reply);
        self.faults.add_turn(&faults, observed.calls.iter().filter(|call| !call.is_idle()).count());
        self.has_changed_memory.push(core != self.core);
        let cost = cost_of(&observed, cpu_ms);
        self.costs.push(cost);
        self.said.push(&turn.user);
        self.replies.push(observed.reply.clone());
        self.core = core.clone();
        TurnLine {
            conversation: self.conversation().name.clone(),
            seed: self.seed,
            session: self.session,
            turn: number,
            user: turn.user.clone(),
            reply: observed.reply,
            calls: observed.calls,
            errors: observed.errors,
            core,
            checks,
            faults,
            cost,
            report: observed.report,
        }
    }

    /// How many turns have been taken.
    #[must_use]
    pub const fn turns(&self) -> usize {
        self.said.len()
    }

    /// Idle work behind the last turn has looked at the message of a turn, counted from 0, with these errors; core
    /// memory is this then.
    pub fn passed_over(&mut self, turn: usize, errors: usize, core: CoreMemoryText) {
        if let Some(has_changed) = self.has_changed_memory.get_mut(turn) {
            *has_changed |= core != self.core;
        }
        self.faults.errors += errors;
        self.core = core;
    }

    /// What idle work behind the last turn has cost.
    pub fn idled(&mut self, report: &TurnReport, cpu_ms: u64) {
        if let Some(cost) = self.costs.last_mut() {
            cost.idle_passes += report.idle_passes;
            cost.idle_ms += report.idle_ms;
            cost.cpu_ms += cpu_ms;
        }
    }

    /// The conversation has ended.
    #[must_use]
    pub fn finish(mut self, wall_ms: u64) -> Row {
        for verdict in of_memory(self.conversation(), &self.first_core, &self.core) {
            let label = verdict.block.as_deref().unwrap_or_default();
            let text = block(&self.core, label).unwrap_or_default().to_owned();
            let told = Verdict { expected: format!("in {label}: {}", verdict.expected), ..verdict };
            self.check(&told, None, "", &text);
        }
        let chars = |core: &CoreMemoryText| -> i64 {
            let lengths = BLOCKS.iter().map(|label| block(core, label).unwrap_or_default().chars().count());
            i64::try_from(lengths.sum::<usize>()).unwrap_or(i64::MAX)
        };
        let mut checks = Counted::default();
        self.by_check.values().for_each(|counted| checks += *counted);
        let Conversation { name, language, kinds, .. } = self.conversation();
        Row {
            name: name.clone(),
            half: self.listed.half,
            seed: self.seed,
            language: language.clone(),
            kinds: kinds.clone(),
            checks,
            by_check: self.by_check,
            faults: self.faults,
            turns_with_changed_memory: self.has_changed_memory.iter().filter(|has_changed| **has_changed).count(),
            never_said_turns: self.never_said.total,
            invented: self.never_said.passed,
            asked_after_eviction: self.asked_after_eviction,
            core_added_chars: chars(&self.core) - chars(&self.first_core),
            wall_ms,
            costs: spreads(&self.costs),
            failures: self.failures,
            turn_costs: self.costs,
        }
    }

    fn check(&mut self, verdict: &Verdict, turn: Option<usize>, user: &str, reply: &str) {
        let Verdict { check, is_passed, expected, .. } = verdict;
        self.by_check.entry(Check::as_str(*check)).or_default().count(*is_passed);
        if !is_passed {
            self.failures.push(Failure {
                conversation: self.conversation().name.clone(),
                turn,
                user: user.to_owned(),
                reply: reply.to_owned(),
                check: *check,
                expected: expected.clone(),
            });
        }
    }

    /// A reply invents something where it does not say that it was never said, or holds one of the texts that are
    /// likely inventions. Silence invents nothing.
    fn look_for_inventions(&mut self, turn: &Turn, reply: &str) {
        let Some(wordings) = turn.reply_any.as_ref().filter(|texts| texts.len() >= MIN_WORDINGS_OF_IGNORANCE) else {
            return;
        };
        if self.conversation().is(NEVER_SAID) {
            let is_caught = turn.reply_none.as_ref().is_some_and(|texts| has(reply, texts));
            self.never_said.count(!is_blank(reply) && (is_caught || !has(reply, wordings)));
        }
    }
}

fn cost_of(observed: &Observed, cpu_ms: u64) -> TurnCost {
    let cost = TurnCost { reply_ms: observed.reply_ms, cpu_ms, ..TurnCost::default() };
    let Some(report) = &observed.report else { return cost };
    TurnCost {
        steps: u64::from(report.steps),
        forward_passes: report.forward_passes,
        tokens_read: report.tokens_read,
        tokens_reused: report.tokens_reused,
        tokens_sampled: report.tokens_sampled,
        tokens_forced: report.tokens_forced,
        idle_passes: report.idle_passes,
        idle_ms: report.idle_ms,
        ..cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::agent::Half;

    fn listed(text: &str) -> Listed {
        Listed { conversation: serde_json::from_str(text).unwrap(), path: "a.json".into(), half: Half::Tuned }
    }

    fn core(human: &str) -> CoreMemoryText {
        CoreMemoryText { persona: "I am.".to_owned(), human: human.to_owned() }
    }

    fn said(reply: &str) -> Observed {
        Observed { reply: reply.to_owned(), ..Observed::default() }
    }

    #[test]
    fn a_row_has_the_checks_and_the_changes_of_memory_by_turn() {
        let listed = listed(
            r#"{"name": "a", "kinds": ["small-talk"], "sessions": [{"turns": [
                {"user": "My cat is Pudding."}, {"user": "Cat?", "reply_any": ["Pudding"], "reply_none": ["Rex"]}]}],
                "core_any": {"human": [["Pudding"]]}, "core_max_added_chars": {"human": 9}}"#,
        );
        let [first, second] = listed.conversation.sessions[0].turns.as_slice() else { panic!() };
        let mut tally = Tally::new(&listed, 3);
        tally.opened(false, core("x"));
        tally.turn(first, said("Nice."), 10, core("x"));
        let line = tally.turn(second, said("Rex."), 20, core("x"));
        assert_eq!((line.turn, line.checks.len(), line.faults.is_silent), (2, 2, false));
        // A pass that ran behind the last turn has looked at the message of the first.
        tally.passed_over(0, 0, core("x Pudding"));
        tally.passed_over(1, 1, core("x Pudding"));
        let row = tally.finish(5);
        assert_eq!(row.checks, Counted { passed: 2, total: 4 });
        assert_eq!((row.turns_with_changed_memory, row.core_added_chars, row.faults.errors), (1, 8, 1));
        let failed: Vec<_> = row.failures.iter().map(|failure| (failure.turn, failure.check)).collect();
        assert_eq!(failed, [(Some(2), Check::ReplyAny), (Some(2), Check::ReplyNone)]);
        assert!(row.failures[0].expected.contains("Pudding") && row.failures[0].reply == "Rex.");
    }

    #[test]
    fn what_is_asked_after_an_eviction_is_counted() {
        let listed = listed(
            r#"{"name": "a", "sessions": [{"turns": [{"user": "Cat?", "reply_any": ["Pudding"]},
                {"user": "Cat?", "reply_any": ["Pudding"]}, {"user": "Dog?", "reply_any": ["Rex"]}]}]}"#,
        );
        let mut tally = Tally::new(&listed, 3);
        tally.opened(false, core(""));
        for (place, turn) in listed.conversation.sessions[0].turns.iter().enumerate() {
            tally.turn(turn, Observed { has_evicted: place == 0, ..said("Pudding.") }, 0, core(""));
        }
        assert_eq!(tally.finish(0).asked_after_eviction, Counted { passed: 1, total: 2 });
    }

    #[test]
    fn an_agent_that_is_not_there_again_is_an_error() {
        let listed = listed(r#"{"name": "a", "sessions": []}"#);
        for (resumed, errors) in [([false, true], 0), ([false, false], 1), ([true, true], 1)] {
            let mut tally = Tally::new(&listed, 0);
            resumed.into_iter().for_each(|is_resumed| tally.opened(is_resumed, core("")));
            assert_eq!(tally.finish(0).faults.errors, errors, "{resumed:?}");
        }
    }

    #[test]
    fn who_does_not_admit_that_it_was_never_said_invents() {
        let wordings: Vec<String> = (0..9).map(|number| format!("\"no {number}\"")).collect();
        let text = format!(
            r#"{{"name": "a", "kinds": ["never-said"], "sessions": [{{"turns": [
                {{"user": "?", "reply_any": ["don't know", {}], "reply_none": ["is Max"]}},
                {{"user": "?", "reply_any": ["380"]}}]}}]}}"#,
            wordings.join(", ")
        );
        for (reply, invented) in [("I don't know.", 0), ("It is Rex.", 1), ("I don't know, it is Max.", 1), (" ", 0)] {
            let listed = listed(&text);
            let mut tally = Tally::new(&listed, 0);
            for turn in &listed.conversation.sessions[0].turns {
                tally.turn(turn, said(reply), 0, core(""));
            }
            let row = tally.finish(0);
            assert_eq!((row.never_said_turns, row.invented), (1, invented), "{reply}");
        }
    }
}
