//! The step machine: a pure function from the state of a turn and what happened to the next state and the effects to
//! carry out. No clock, no database, no model; the driver does what the effects say and reports back.
//!
//! Strategy (paper section 2.4 and the scheduler of its first implementation, with these changes): a call is always
//! followed by another step, so that a model that forgets to ask for a heartbeat still answers; the number of steps is
//! bounded and the last one offers only an answer; the memory-pressure warning comes after the answer, in a silent step
//! that can only save, so that it neither swallows a chain nor puts words before the user.

use crate::types::{InboxId, Notification, Status, StopReason};

use super::interrupt::Interrupt;

/// Most calls in the silent step that follows a memory-pressure warning; more would keep the user waiting.
pub const MAX_PRESSURE_CALLS: u32 = 2;

/// What the model may do in a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Answer, or call what can be called now.
    Everything,
    /// Answer only.
    AnswerOnly,
    /// Save something or do nothing; the user sees no text.
    SaveOnly,
}

/// How a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generated {
    /// Text to the user, complete.
    Answer,
    /// A call.
    Call,
    /// Nothing.
    Nothing,
    /// Stopped by the user.
    Interrupted,
    /// Cut off inside a call by the length limit.
    CutOff,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// The turn begins.
    Begin(Interrupt),
    /// The model has written something. `pressure` says whether the window is nearly full and no warning was sent
    /// since the last eviction.
    Generated {
        /// What it wrote.
        outcome: Generated,
        /// Whether a memory-pressure warning is due.
        pressure: bool,
    },
    /// The call was executed and recorded.
    Executed {
        /// Whether it did what was asked.
        status: Status,
        /// The model had made the same call before in this turn.
        repeated: bool,
    },
    /// An effect failed; what was committed stays.
    Failed,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write the user's message to recall storage and the queue.
    RecordUser {
        /// The text as typed.
        text: String,
        /// Where it is kept until then.
        entry: Option<InboxId>,
    },
    /// Take back all that followed the user's last message.
    RetakeUser,
    /// Evict and summarise what an eviction would take.
    Summarize,
    /// Write a notification to recall storage and the queue.
    Notify(Notification),
    /// Remember that the warning of this period was sent.
    MarkWarned,
    /// Make room in the window, render the prompt and let the model write.
    Generate(Offer),
    /// Execute the call that the model has just written, and record call and result.
    Execute,
    /// End the turn.
    End(StopReason),
}

/// Where a turn stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Idle,
    Answering(Offer),
    Saving { calls: u32, after: StopReason },
}

/// The state of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    phase: Phase,
    steps: u32,
    max_steps: u32,
}

impl Turn {
    /// A turn that has not begun, of at most `max_steps` generations before and including the answer.
    #[must_use]
    pub const fn new(max_steps: u32) -> Self {
        Self { phase: Phase::Idle, steps: 0, max_steps }
    }

    /// Generations so far.
    #[must_use]
    pub const fn steps(&self) -> u32 {
        self.steps
    }

    /// Takes what happened and says what to do next.
    #[must_use]
    pub fn advance(mut self, happened: Happened) -> (Self, Vec<Effect>) {
        let effects = match happened {
            Happened::Begin(interrupt) => self.begin(interrupt),
            Happened::Generated { outcome, pressure } => self.generated(outcome, pressure),
            Happened::Executed { status, repeated } => self.executed(status, repeated),
            Happened::Failed => self.end(StopReason::Error),
        };
        (self, effects)
    }

    fn begin(&mut self, interrupt: Interrupt) -> Vec<Effect> {
        match interrupt {
            Interrupt::User { text, entry } => {
                let mut effects = vec![Effect::RecordUser { text, entry }];
                effects.extend(self.next_step(false));
                effects
            }
            Interrupt::Login => self.next_step(true),
            Interrupt::Heartbeat { reason } => {
                let mut effects = vec![Effect::Notify(Notification::Heartbeat { reason })];
                effects.extend(self.next_step(false));
                effects
            }
            Interrupt::MemoryPressure => self.save(StopReason::Answer),
            Interrupt::Retry => {
                let mut effects = vec![Effect::RetakeUser];
                effects.extend(self.next_step(false));
                effects
            }
            Interrupt::Summarize => vec![Effect::Summarize, Effect::End(StopReason::Answer)],
        }
    }

    fn generated(&mut self, outcome: Generated, pressure: bool) -> Vec<Effect> {
        match (&self.phase, outcome) {
            (_, Generated::Interrupted) => self.end(StopReason::Interrupted),
            (_, Generated::Call) => vec![Effect::Execute],
            (Phase::Saving { after, .. }, _) => {
                let after = *after;
                self.end(after)
            }
            (_, Generated::CutOff) => self.next_step(true),
            (_, Generated::Answer | Generated::Nothing) if pressure => self.save(StopReason::Answer),
            (_, Generated::Answer | Generated::Nothing) => self.end(StopReason::Answer),
        }
    }

    fn executed(&mut self, status: Status, repeated: bool) -> Vec<Effect> {
        if let Phase::Saving { calls, after } = &mut self.phase {
            *calls += 1;
            if *calls < MAX_PRESSURE_CALLS && status == Status::Ok && !repeated {
                self.steps += 1;
                return vec![Effect::Generate(Offer::SaveOnly)];
            }
            let after = *after;
            return self.end(after);
        }
        self.next_step(repeated)
    }

    /// The next generation before the answer. A model that repeats itself, and the last step, get only an answer.
    fn next_step(&mut self, answer_only: bool) -> Vec<Effect> {
        if self.steps >= self.max_steps {
            return self.end(StopReason::StepLimit);
        }
        self.steps += 1;
        let offer = if answer_only || self.steps == self.max_steps { Offer::AnswerOnly } else { Offer::Everything };
        self.phase = Phase::Answering(offer);
        vec![Effect::Generate(offer)]
    }

    fn save(&mut self, after: StopReason) -> Vec<Effect> {
        self.steps += 1;
        self.phase = Phase::Saving { calls: 0, after };
        vec![Effect::Notify(Notification::MemoryPressure), Effect::MarkWarned, Effect::Generate(Offer::SaveOnly)]
    }

    fn end(&mut self, reason: StopReason) -> Vec<Effect> {
        self.phase = Phase::Idle;
        vec![Effect::End(reason)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_taken_again_is_a_turn_and_a_summary_generates_no_step() {
        let (turn, effects) = Turn::new(4).advance(Happened::Begin(Interrupt::Retry));
        assert_eq!(effects, [Effect::RetakeUser, Effect::Generate(Offer::Everything)]);
        let (_, effects) = turn.advance(Happened::Generated { outcome: Generated::Answer, pressure: false });
        assert_eq!(effects, [Effect::End(StopReason::Answer)]);
        let (turn, effects) = Turn::new(4).advance(Happened::Begin(Interrupt::Summarize));
        assert_eq!(effects, [Effect::Summarize, Effect::End(StopReason::Answer)]);
        assert_eq!(turn.steps(), 0);
    }

    fn user(turn: Turn) -> Turn {
        let (turn, effects) = turn.advance(Happened::Begin(Interrupt::User { text: "hello".into(), entry: None }));
        assert_eq!(
            effects,
            [
                Effect::RecordUser { text: "hello".into(), entry: None },
                Effect::Generate(offer_after(1, turn.max_steps))
            ]
        );
        turn
    }

    fn offer_after(step: u32, max_steps: u32) -> Offer {
        if step == max_steps { Offer::AnswerOnly } else { Offer::Everything }
    }

    fn generated(outcome: Generated) -> Happened {
        Happened::Generated { outcome, pressure: false }
    }

    const DONE: Happened = Happened::Executed { status: Status::Ok, repeated: false };

    #[test]
    fn an_answer_ends_the_turn() {
        let (turn, effects) = user(Turn::new(6)).advance(generated(Generated::Answer));
        assert_eq!(effects, [Effect::End(StopReason::Answer)]);
        assert_eq!(turn.steps(), 1);
    }

    #[test]
    fn a_call_is_executed_and_followed_by_another_step() {
        let (turn, effects) = user(Turn::new(6)).advance(generated(Generated::Call));
        assert_eq!(effects, [Effect::Execute]);
        let (_, effects) = turn.advance(DONE);
        assert_eq!(effects, [Effect::Generate(Offer::Everything)]);
    }

    #[test]
    fn a_failed_call_returns_control_to_the_model() {
        let (turn, _) = user(Turn::new(6)).advance(generated(Generated::Call));
        let (_, effects) = turn.advance(Happened::Executed { status: Status::Failed, repeated: false });
        assert_eq!(effects, [Effect::Generate(Offer::Everything)]);
    }

    #[test]
    fn a_repeated_call_leaves_only_an_answer() {
        let (turn, _) = user(Turn::new(6)).advance(generated(Generated::Call));
        let (_, effects) = turn.advance(Happened::Executed { status: Status::Ok, repeated: true });
        assert_eq!(effects, [Effect::Generate(Offer::AnswerOnly)]);
    }

    #[test]
    fn the_last_step_of_the_budget_offers_only_an_answer() {
        for max_steps in 1..8 {
            let mut turn = user(Turn::new(max_steps));
            for step in 1..max_steps {
                let (next, _) = turn.advance(generated(Generated::Call));
                let (next, effects) = next.advance(DONE);
                assert_eq!(effects, [Effect::Generate(offer_after(step + 1, max_steps))]);
                turn = next;
            }
            assert_eq!(turn.steps(), max_steps);
        }
    }

    #[test]
    fn a_model_that_calls_on_the_last_step_all_the_same_ends_at_the_limit() {
        let (turn, _) = user(Turn::new(1)).advance(generated(Generated::Call));
        let (_, effects) = turn.advance(DONE);
        assert_eq!(effects, [Effect::End(StopReason::StepLimit)]);
    }

    #[test]
    fn the_warning_comes_after_the_answer_and_can_only_save() {
        let answered = Happened::Generated { outcome: Generated::Answer, pressure: true };
        let (turn, effects) = user(Turn::new(6)).advance(answered);
        assert_eq!(
            effects,
            [Effect::Notify(Notification::MemoryPressure), Effect::MarkWarned, Effect::Generate(Offer::SaveOnly)]
        );
        let (_, effects) = turn.advance(Happened::Generated { outcome: Generated::Nothing, pressure: true });
        assert_eq!(effects, [Effect::End(StopReason::Answer)]);
    }

    #[test]
    fn saving_under_pressure_is_bounded() {
        let (mut turn, _) = Turn::new(6).advance(Happened::Begin(Interrupt::MemoryPressure));
        for call in 1..=MAX_PRESSURE_CALLS {
            let (next, effects) = turn.advance(generated(Generated::Call));
            assert_eq!(effects, [Effect::Execute]);
            let (next, effects) = next.advance(DONE);
            let last = call == MAX_PRESSURE_CALLS;
            let expected = if last { Effect::End(StopReason::Answer) } else { Effect::Generate(Offer::SaveOnly) };
            assert_eq!(effects, [expected]);
            turn = next;
        }
    }

    #[test]
    fn an_interrupt_by_the_user_ends_any_phase() {
        let (_, effects) = user(Turn::new(6)).advance(generated(Generated::Interrupted));
        assert_eq!(effects, [Effect::End(StopReason::Interrupted)]);
        let (turn, _) = Turn::new(6).advance(Happened::Begin(Interrupt::MemoryPressure));
        let (_, effects) = turn.advance(generated(Generated::Interrupted));
        assert_eq!(effects, [Effect::End(StopReason::Interrupted)]);
    }

    #[test]
    fn a_call_cut_off_by_the_length_limit_is_followed_by_an_answer() {
        let (_, effects) = user(Turn::new(6)).advance(generated(Generated::CutOff));
        assert_eq!(effects, [Effect::Generate(Offer::AnswerOnly)]);
    }

    #[test]
    fn a_failure_ends_the_turn() {
        let (_, effects) = user(Turn::new(6)).advance(Happened::Failed);
        assert_eq!(effects, [Effect::End(StopReason::Error)]);
    }
}
