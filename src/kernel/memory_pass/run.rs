//! Memory passes as the agent runs them: one message at a time. What each piece of it brings is a transaction, and that it
//! was looked at is another: a pass that is stopped in between looks at the whole message again, and saves nothing twice.

use std::collections::HashSet;
use std::time::Instant;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::functions::{self, Function, Outcome, SideEffect};
use crate::memory::{BlockLabel, CoreMemory};
use crate::types::{Body, Call, Cancel, Event, NewMessage, Notification, Status};

use super::super::Error;
use super::super::agent::Agent;
use super::super::language::{dated, orders, pieces};
use super::super::window;
use super::findings::Finding;
use super::look::{self, MemoryPass};
use super::notes::{self, Notes};
use super::related::{LEAST_COMPARED, LEAST_RENEWED, LEAST_REPEATED};
use super::renewal;

/// Stands between a note and the one whose place it has taken, which a bracket closes.
pub(in crate::kernel) const NO_LONGER: &str = " (no longer: ";

/// A piece of a message that is looked at.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    /// The message has others.
    is_of_long: bool,
    said_on: Date,
}

impl Agent {
    /// Looks once more at the oldest message of the user that has not been looked at, and saves what it brings; false
    /// where there is none, or `preempt` was raised (the message is then looked at another time).
    pub fn memory_pass(&mut self, preempt: &Cancel, emit: &mut dyn FnMut(Event)) -> bool {
        let started = Instant::now();
        let cost_of_turn = std::mem::take(&mut self.model.cost);
        let done = match self.pass_over_next(preempt, emit) {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(?error, "memory pass");
                emit(Event::Error { message: error.to_string(), hint: error.hint(), message_stored: None });
                false
            }
        };
        self.idle_passes += self.model.cost.forward_passes();
        self.idle += started.elapsed();
        self.model.cost = cost_of_turn;
        done
    }

    /// How many messages of the user no pass has looked at; 0 where no passes run.
    #[must_use]
    pub fn passes_left(&self) -> usize {
        if !self.settings.memory_pass {
            return 0;
        }
        // A number for the eye; the pass itself tells what is wrong with the database.
        self.memory.view().unpassed_count().unwrap_or_default()
    }

    /// What passes within the turn have done, to be shown behind it.
    pub fn take_idle_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.idle_events)
    }

    /// Messages leave the view with an eviction: what they bring is saved first.
    pub(in crate::kernel) fn settle_before_eviction(&mut self) -> Result<(), Error> {
        if self.settings.memory_pass && self.window_is_full()? {
            self.settle_passes();
        }
        Ok(())
    }

    /// Looks at every message that has not been looked at.
    pub(in crate::kernel) fn settle_passes(&mut self) {
        let cancel = self.cancel.clone();
        let mut events = Vec::new();
        while self.memory_pass(&cancel, &mut |event| events.push(event)) {}
        self.idle_events.append(&mut events);
    }

    fn window_is_full(&mut self) -> Result<bool, Error> {
        self.context.messages = self.memory.view().queue()?;
        let prompt_tokens = self.model.prompt(&self.context)?.len();
        Ok(prompt_tokens > self.settings.queue.evict_above_tokens(self.model.window_tokens()))
    }

    fn pass_over_next(&mut self, preempt: &Cancel, emit: &mut dyn FnMut(Event)) -> Result<bool, Error> {
        if !self.settings.memory_pass {
            return Ok(false);
        }
        let Some(message) = self.memory.view().next_unpassed()? else { return Ok(false) };
        let Body::User { text } = &message.body else { return Ok(false) };
        let mut brought = HashSet::new();
        let pieces = pieces::pieces(text);
        let is_of_long = pieces.len() > 1;
        let said_on = date(message.at_ms, self.clock.zone());
        let worth_a_look = pieces.iter().filter(|piece| !(is_of_long && pieces::is_about_else(piece)));
        for text in &worth_a_look.flat_map(|piece| orders::apart(piece)).collect::<Vec<_>>() {
            let calls = match self.look_at(Piece { text, is_of_long, said_on }, &mut brought, preempt) {
                Ok(Some(calls)) => calls,
                Ok(None) => return Ok(false),
                // One message that cannot be looked at must not keep all later ones waiting.
                Err(error) => {
                    tracing::warn!(?error, message = message.id.0, "a message was not looked at");
                    continue;
                }
            };
            self.carry_out_pass(&calls, message.id, emit)?;
        }
        let mut step = self.memory.step(self.clock.now_ms())?;
        step.pass_over(message.id)?;
        step.commit()?;
        Ok(true)
    }

    /// The calls that save what a piece of a message states, beside what earlier pieces have `brought`; `None` when pre-empted.
    fn look_at(
        &mut self,
        piece: Piece<'_>,
        brought: &mut HashSet<String>,
        preempt: &Cancel,
    ) -> Result<Option<Vec<Call>>, Error> {
        let Piece { text: piece, is_of_long, said_on } = piece;
        let core = self.bounded_core()?;
        let pass = MemoryPass::new(piece, &[&core.human.text, &core.persona.text]).of_piece(is_of_long);
        let adds = !renewal::can_renew(piece);
        let mut notes = Notes::new(&core, pass.asks(), adds).with_brought(std::mem::take(brought));
        if pass.states_nothing() {
            return Ok(Some(Vec::new()));
        }
        let asks = pass.asks();
        let Some(findings) = self.find(pass, preempt)? else { return Ok(None) };
        let facts: Vec<&str> = findings.iter().filter_map(Finding::fact).collect();
        let mut calls = Vec::new();
        let reschedules = renewal::reschedules(piece);
        if (!facts.is_empty() || renewal::corrects(piece) || reschedules) && !asks && !adds {
            let mut texts = facts;
            texts.push(piece);
            let mut places = self.related(notes.about_user(), &texts, (renewal::MAX_LOOKED_AT, LEAST_RENEWED));
            let related = places.len();
            if reschedules {
                let newest = renewal::newest_of_a_time(notes.about_user());
                let others: Vec<usize> = newest.filter(|place| !places.contains(place)).collect();
                places.extend(others);
            }
            for (rank, index) in places.into_iter().enumerate() {
                // Of those that were not named, one is meant at most.
                if rank >= related && !calls.is_empty() {
                    break;
                }
                let Some(note) = notes.about_user().get(index).cloned() else { continue };
                let Some(written) = self.renew(&note, piece, preempt)? else { return Ok(None) };
                if let Some(now) = renewal::renewed(&note, piece, &written) {
                    calls.extend(notes.replace_note(index, &dated(&now, said_on)));
                }
            }
        }
        for finding in &findings {
            let mut scores = Vec::new();
            let dated = finding.dated(said_on);
            let is_known = dated.fact().is_some_and(|fact| notes.knows(fact));
            // Compared as it was said: a date beside it takes small models off what it is about.
            if let Some(fact) = finding.fact().filter(|_| !is_known) {
                for index in self.compared_with(fact, &notes) {
                    let Some(note) = notes.about_user().get(index) else { continue };
                    let (instructions, examples, question) = notes::comparison(note, fact);
                    let prompt = (instructions, examples.as_slice(), question.as_str());
                    match self.model.weigh_aside(prompt, notes::ANSWERS, preempt) {
                        Ok(Some(logits)) => scores.push((index, logits)),
                        Ok(None) => return Ok(None),
                        // A note too long to be compared keeps no fact out.
                        Err(Error::Inference(crate::inference::Error::ContextOverflow { .. })) => {
                            scores.push((index, notes::UNRELATED));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            calls.extend(notes.take(&dated, &scores));
        }
        *brought = notes.into_brought();
        Ok(Some(calls))
    }

    /// The places of the notes that `fact` may bear on, best first. What the message itself has brought it can only repeat.
    fn compared_with(&mut self, fact: &str, notes: &Notes) -> Vec<usize> {
        let all = notes.about_user();
        let mut places = self.related(all, &[fact], (all.len(), LEAST_COMPARED));
        places.retain(|place| !notes.is_brought(*place));
        places.truncate(notes::MAX_COMPARED);
        let mut repeated = self.related(all, &[fact], (all.len(), LEAST_REPEATED));
        repeated.retain(|place| notes.is_brought(*place));
        repeated.truncate(notes::MAX_REPEATED);
        places.extend(repeated);
        places
    }

    /// The places of the notes that have most to do with what is said.
    pub(in crate::kernel) fn related(
        &mut self,
        notes: &[String],
        texts: &[&str],
        (most, least): (usize, f32),
    ) -> Vec<usize> {
        self.related.rank(notes, texts, (most, least), self.embedder.as_deref_mut())
    }

    /// The note as it is after a message, as the model writes it; empty where it could not; `None` when pre-empted.
    fn renew(&mut self, note: &str, message: &str, preempt: &Cancel) -> Result<Option<String>, Error> {
        let (instructions, examples, question) = renewal::prompt(note, message);
        let prompt = (instructions, examples.as_slice(), question.as_str());
        match self.model.write_aside(prompt, &renewal::grammar(), preempt) {
            Ok(None) if preempt.is_raised() => Ok(None),
            Ok(written) => Ok(Some(written.unwrap_or_default())),
            Err(Error::Inference(crate::inference::Error::ContextOverflow { .. })) => Ok(Some(String::new())),
            Err(error) => Err(error),
        }
    }

    /// Asks the model what a message states, with less of the message where it does not fit.
    fn find(&mut self, mut pass: MemoryPass, preempt: &Cancel) -> Result<Option<Vec<Finding>>, Error> {
        let odds = (look::NOTHING, pass.min_odds());
        loop {
            let (instructions, examples, question) = pass.prompt();
            let prompt = (instructions, examples.as_slice(), question.as_str());
            match self.model.ask_aside(prompt, &pass.grammar(), odds, preempt) {
                Err(Error::Inference(crate::inference::Error::ContextOverflow { .. })) if pass.shrink() => {}
                answer => return Ok(answer?.map(|written| pass.findings(&written))),
            }
        }
    }

    fn carry_out_pass(
        &mut self,
        calls: &[Call],
        message: crate::types::MessageId,
        emit: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        let (model, settings, instructions) = (&self.model, &self.settings, &self.context.instructions);
        let holds =
            |before: &CoreMemory, after: &CoreMemory| window::holds(model, settings, instructions, before, after);
        let mut step = self.memory.step(self.clock.now_ms())?;
        step.caused_by(message);
        let mut done = Vec::with_capacity(calls.len());
        let mut context = functions::Context {
            embedder: self.embedder.as_deref_mut(),
            holds: &holds,
            ..functions::Context::without_embedder(self.clock.zone())
        };
        for call in calls {
            let outcome = functions::execute(call, &mut step, &mut context)?;
            // No pass comes back to the message: what the window has no room for is kept elsewhere.
            let archived = notes::archived(call).filter(|_| outcome.side_effect == Some(SideEffect::CoreMemoryFull));
            done.push(match archived {
                Some(archived) => {
                    let outcome = functions::execute(&archived, &mut step, &mut context)?;
                    (archived, outcome)
                }
                None => (call.clone(), outcome),
            });
        }
        let edits: Vec<String> = done.iter().filter_map(|(call, outcome)| edit(call, outcome)).collect();
        // Who the agent is comes up seldom and is asked soon.
        let is_of_agent = done.iter().any(|(call, outcome)| edit(call, outcome).is_some() && edits_persona(call));
        let is_refreshed = !edits.is_empty() && settings.core_refresh.is_due(is_of_agent);
        if !edits.is_empty() && !is_refreshed {
            // Core memory stands in the prompt as it was, so that what follows it need not be read again.
            let notification = Notification::CoreMemoryEdited { text: edits.join("\n") };
            let body = Body::Notification { notification };
            step.record(&NewMessage { at_ms: step.at_ms(), body, interrupted: false })?;
        }
        step.commit()?;
        if is_refreshed {
            self.refresh_core()?;
        }
        for (Call { name, arguments }, outcome) in done {
            emit(Event::Call { name: name.clone(), arguments });
            emit(Event::Result { name, status: outcome.status, message: outcome.message });
        }
        Ok(())
    }
}

/// The day of an instant in UTC milliseconds.
fn date(at_ms: i64, zone: TimeZone) -> Date {
    Timestamp::from_millisecond(at_ms).unwrap_or_default().to_zoned(zone).date()
}

fn edits_persona(call: &Call) -> bool {
    call.arguments.get("section").and_then(Value::as_str) == Some(BlockLabel::Persona.as_str())
}

/// What an edit of core memory has changed, as the model is told; none for other calls and refused edits.
fn edit(call: &Call, outcome: &Outcome) -> Option<String> {
    let text = |key: &str| call.arguments.get(key).and_then(Value::as_str);
    if outcome.status == Status::Failed {
        return None;
    }
    match Function::by_name(&call.name)? {
        Function::CoreMemoryAppend => text("content").map(str::to_owned),
        Function::CoreMemoryReplace => Some(format!("{}{NO_LONGER}{})", text("new_content")?, text("old_content")?)),
        _ => None,
    }
}
