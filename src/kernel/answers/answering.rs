//! Answers to questions about the user, in a prompt of their own: what was said, what is noted, the question, and a few
//! worked examples.
//!
//! In the middle of a conversation a small model answers by what it has read last or most, says that it has no access to
//! personal data, or makes something up. Of 38 questions about users in made-up conversations, Qwen2.5-Coder-1.5B
//! answered 30 right there, and 35 when it was asked in this form; whether a question is about the user at all, it told
//! right every time. What it says is general is left to the conversation. Where it says that nothing tells the answer, it is
//! asked once more with less around: of 30 questions about long messages, 25 were right with that, 23 without.
//! Whether nothing tells the answer is weighed before anything is written, and an answer in doubt is looked at before it is shown.

use std::cell::Cell;

use crate::dialect::{Action, Piece};
use crate::functions::{Function, evidence, excerpt};
use crate::inference::StopCause;
use crate::types::{Body, Cancel, Event, Language, Notification, StepPolicy, TextRule};

use super::super::Error;
use super::super::agent::Agent;
use super::super::aside::Weighing;
use super::super::interrupt::Interrupt;
use super::super::language::{asks_of_user, beside_own_name, follows_up, names, words};
use super::super::memory_pass::NO_LONGER;
use super::super::model::Written;
use super::super::offer::step_policy;
use super::super::progress::Progress;
use super::super::recall::Recalled;
use super::super::replies::{Reply, Started};
use super::super::step::{Generated, Happened, Offer};
use super::grounding::{is_covered, is_grounded};
use super::outdated;
use super::prompt::{
    GENERAL, INSTRUCTIONS, Known, LEAST_DOUBT, MAX_ANSWER_CHARS, WEIGHED, decided, examples, grammar, is_answer,
    is_unknown, likely_unknown, question, unknown,
};

/// Characters of messages of the user in view that are shown, those that have most to do with the question: an answer waits for
/// all that is read ..
const MAX_SAID_CHARS: usize = 2000;
/// .. and where something was found out of view as well ..
const MAX_SAID_BESIDE_CHARS: usize = 1000;
/// .. and the newest messages, whatever they say ..
const NEWEST_MESSAGES: usize = 2;
/// .. with so many characters each.
const MAX_NEWEST_CHARS: usize = 250;
/// Characters of what was said that are shown for a closer look, where a look at more has told nothing ..
const MAX_CLOSER_CHARS: usize = 500;
/// .. and notes.
const CLOSER_NOTES: usize = 5;
/// Notes that are shown.
const SHOWN_NOTES: usize = 16;

/// How far a turn has come in finding out what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::kernel) enum Lookup {
    /// The conversation answers.
    #[default]
    Off,
    /// The message asks about the user: notes and what was said may tell.
    Due,
    /// They do not tell: the model has to search.
    MustSearch,
}

/// What is asked.
struct Asked {
    /// With the question from which it goes on.
    whole: String,
    /// Without.
    newest: String,
}

/// What the model has written of it.
struct Look {
    text: String,
    stop: StopCause,
    /// None where nothing was shown.
    started: Option<Started>,
}

impl Look {
    fn is_unknown(&self) -> bool {
        self.stop != StopCause::Cancelled && is_unknown(&self.text)
    }

    fn is_general(&self) -> bool {
        self.stop != StopCause::Cancelled && self.text.trim_end_matches('.').eq_ignore_ascii_case(GENERAL)
    }
}

/// An answer that the user sees.
struct Shown {
    text: String,
    stop: StopCause,
    started: Started,
}

/// Nothing but searches.
pub(in crate::kernel) fn only_searches(policy: StepPolicy) -> StepPolicy {
    let calls = policy.calls.iter().filter(|call| is_search(&call.name)).cloned().collect();
    StepPolicy { text: TextRule::Forbidden, calls, ..policy }
}

fn is_search(name: &str) -> bool {
    Function::by_name(name).is_some_and(Function::searches)
}

fn said_by_user(body: &Body) -> Option<&str> {
    if let Body::User { text } = body { Some(text) } else { None }
}

/// The question from which a message goes on, where that asks about the user; `before` is what the user said before it, newest
/// first. Who is named for the first time is asked about anew: "and who wrote Hamlet?"
fn goes_on_from<'a>(text: &str, mut before: impl Iterator<Item = &'a str>, notes: &str) -> Option<&'a str> {
    if !follows_up(text) {
        return None;
    }
    let question = before.find(|said| !follows_up(said)).filter(|question| asks_of_user(question, notes))?;
    let is_known = |name: String| words(question).chain(words(notes)).any(|word| word == name);
    names(text).all(is_known).then_some(question)
}

/// The edits of notes that a message tells of.
fn edits(body: &Body) -> impl Iterator<Item = &str> {
    let text = match body {
        Body::Notification { notification: Notification::CoreMemoryEdited { text } } => text.as_str(),
        _ => "",
    };
    text.lines()
}

impl Agent {
    /// Whether a turn that begins so is answered from the memory, where that tells. A message that is answered once more
    /// is not: the answer would be the same.
    pub(in crate::kernel) fn looks_up_at(&self, interrupt: &Interrupt) -> Lookup {
        match interrupt {
            Interrupt::User { text, .. } if self.settings.answer_pass => {
                let notes = self.memory.view().core().map(|core| core.human.text).unwrap_or_default();
                let before = self.context.messages.iter().rev();
                let goes_on = || goes_on_from(text, before.filter_map(|one| said_by_user(&one.body)), &notes).is_some();
                let is_due = asks_of_user(text, &notes) || goes_on();
                if is_due { Lookup::Due } else { Lookup::Off }
            }
            _ => Lookup::Off,
        }
    }

    /// Reads what every answer from the memory begins with: the first question need not wait for it.
    pub(in crate::kernel) fn read_answers_ahead(&mut self, preempt: &Cancel) -> Result<(), Error> {
        if !self.settings.answer_pass {
            return Ok(());
        }
        self.model.read_ahead((INSTRUCTIONS, &examples()), preempt)
    }

    /// Answers the newest message from the memory; none where the conversation has to go on by itself.
    pub(in crate::kernel) fn tell(
        &mut self,
        offer: Offer,
        progress: &mut Progress,
        emit: &mut dyn FnMut(Event),
    ) -> Result<Option<Happened>, Error> {
        if progress.lookup == Lookup::Off {
            return Ok(None);
        }
        let Some((asked, known)) = self.known(progress)? else { return Ok(None) };
        let has_searched = progress.calls.iter().any(|call| is_search(&call.name));
        let policy = step_policy(offer, &self.view(progress, MAX_ANSWER_CHARS)?);
        let can_search =
            !self.settings.recollection && !has_searched && policy.calls.iter().any(|call| is_search(&call.name));
        progress.lookup = Lookup::Off;
        let mut look = self.look(&known, &asked, emit)?;
        if look.as_ref().is_none_or(Look::is_unknown)
            && let Some(closer) = self.closer(&known, &asked.whole)
            && let Some(second) = self.look(&closer, &asked, emit)?
            && (look.is_none() || !second.is_unknown() && !second.is_general())
        {
            look = Some(second);
        }
        // A question with too much around it is answered in the conversation.
        let Some(look) = look else { return Ok(None) };
        if look.is_general() {
            return Ok(None);
        }
        if look.is_unknown() && can_search {
            progress.lookup = Lookup::MustSearch;
            return Ok(None);
        }
        let Shown { text, stop, started } = self.shown(look, emit)?;
        let action = if text.is_empty() { Action::Nothing } else { Action::Text { thoughts: None, text } };
        let outcome = self.keep(Written { action: Ok(action), stop }, started, progress, emit)?;
        debug_assert!(outcome != Generated::Call, "nothing but text was written");
        Ok(Some(Happened::Generated { outcome, pressure: self.pressure()? }))
    }

    /// Asks what is known. Nothing is shown before it is an answer, and one in doubt not before it is looked at; none where
    /// there is too much for the window.
    fn look(&mut self, known: &Known, asked: &Asked, emit: &mut dyn FnMut(Event)) -> Result<Option<Look>, Error> {
        let (examples, question) = (examples(), question(known, &asked.whole));
        let mut reply = Reply::new(&mut self.memory, &*self.clock, &self.cancel);
        let sources = || known.said.iter().chain(&known.notes).map(String::as_str);
        let is_covered = is_covered(&asked.whole, sources());
        let doubt = Cell::new(("", f32::NEG_INFINITY));
        let decide = |weighed| {
            doubt.set(likely_unknown(weighed));
            decided(&asked.newest, is_covered, weighed)
        };
        let is_in_doubt = || doubt.get().1 >= LEAST_DOUBT;
        let told = self.model.tell_aside(
            (INSTRUCTIONS, &examples, &question),
            &Weighing { texts: WEIGHED, least: LEAST_DOUBT, decide: &decide },
            &grammar(),
            &|text| !is_in_doubt() && is_answer(text),
            &mut |text| reply.take(Piece::Text(text.to_owned()), emit),
        );
        let is_shown = matches!(&told, Ok((text, _)) if !is_in_doubt() && is_answer(text));
        let started = reply.done(is_shown)?;
        let (mut text, stop) = match told {
            Err(Error::Inference(crate::inference::Error::ContextOverflow { .. })) => return Ok(None),
            told => told?,
        };
        if stop != StopCause::Cancelled
            && is_in_doubt()
            && is_answer(&text)
            && !is_grounded(&text, &asked.whole, sources())
        {
            tracing::debug!(%text, "an answer without ground");
            doubt.get().0.clone_into(&mut text);
        }
        Ok(Some(Look { text, stop, started: is_shown.then_some(started) }))
    }

    /// Less of what is known: the sentences and notes that have most to do with what is asked. None where there is no less.
    fn closer(&mut self, known: &Known, asked: &str) -> Option<Known> {
        if known.said.iter().map(|said| said.chars().count()).sum::<usize>() <= MAX_CLOSER_CHARS {
            return None;
        }
        let lines: Vec<&str> = known.said.iter().flat_map(|said| said.lines()).collect();
        let said = evidence(&lines, asked, MAX_CLOSER_CHARS, self.embedder.as_deref_mut());
        let mut places = self.related(&known.notes, &[asked], (CLOSER_NOTES, f32::NEG_INFINITY));
        places.sort_unstable();
        let notes = places.into_iter().filter_map(|place| known.notes.get(place).cloned()).collect();
        Some(Known { said: said.into_iter().flatten().collect(), notes })
    }

    /// Shows an answer that was held back.
    fn shown(&mut self, look: Look, emit: &mut dyn FnMut(Event)) -> Result<Shown, Error> {
        let Look { mut text, stop, started } = look;
        if stop != StopCause::Cancelled
            && let Some(told) = unknown(&text, self.language_of_question(), &self.replies())
        {
            told.clone_into(&mut text);
        }
        let started = match started {
            Some(started) => started,
            None => {
                let mut reply = Reply::new(&mut self.memory, &*self.clock, &self.cancel);
                if stop == StopCause::Cancelled {
                    text.clear();
                } else if !text.is_empty() {
                    reply.take(Piece::Text(text.clone()), emit);
                }
                reply.done(!text.is_empty())?
            }
        };
        Ok(Shown { text, stop, started })
    }

    /// The language of the newest message of the user; where that is not sure, the one in which they speak.
    fn language_of_question(&self) -> Option<Language> {
        let mut said = self.context.messages.iter().rev().filter_map(|message| said_by_user(&message.body));
        said.next().and_then(Language::of).or(self.language)
    }

    /// What the user was told, as far as it is in view, oldest first.
    fn replies(&self) -> Vec<&str> {
        let messages = self.context.messages.iter();
        let replies = messages.filter_map(|message| match &message.body {
            Body::Assistant { text, .. } => text.as_deref(),
            _ => None,
        });
        replies.collect()
    }

    /// The newest message of the user and what bears on it: what was found out of view, messages in view, notes.
    fn known(&mut self, progress: &mut Progress) -> Result<Option<(Asked, Known)>, Error> {
        let is_user = |body: &Body| said_by_user(body).is_some();
        let Some(at) = self.context.messages.iter().rposition(|message| is_user(&message.body)) else {
            return Ok(None);
        };
        if matches!(progress.recalled, Recalled::Due) {
            progress.recalled = self.look_up(at)?;
            progress.has_read_document |= progress.recalled.quotes_document();
        }
        let (before, behind) = self.context.messages.split_at(at);
        let Some(Body::User { text: asked }) = behind.first().map(|message| message.body.clone()) else {
            return Ok(None);
        };
        let core = self.memory.view().core()?;
        let before_it = before.iter().rev().filter_map(|message| said_by_user(&message.body));
        let asked = match goes_on_from(&asked, before_it, &core.human.text) {
            Some(before) => Asked { whole: format!("{before} {asked}"), newest: asked },
            None => Asked { whole: asked.clone(), newest: asked },
        };
        let results = behind.iter().filter_map(|message| match &message.body {
            Body::FunctionResult { name, message, .. } if is_search(name) => Some(message.clone()),
            _ => None,
        });
        let mut said: Vec<String> = progress.recalled.text().map(str::to_owned).into_iter().chain(results).collect();
        let changes = outdated::changes(&self.memory.view().block_edits(outdated::LOOKED_AT)?);
        let (mut in_view, mut remarks) = (Vec::new(), Vec::new());
        for message in before {
            let text = match &message.body {
                Body::User { text } => beside_own_name(message.stub.as_ref().unwrap_or(text)),
                Body::Summary { text, .. } => text.clone(),
                _ => continue,
            };
            if text.trim().is_empty() {
                continue;
            }
            let now = outdated::by_now((message.id, &text), &changes);
            remarks.push(now.iter().map(|now| format!(" (by now: {now})")).collect::<String>());
            in_view.push(text);
        }
        // Newest first: of what bears on the question alike, a later word counts more.
        let newest_first: Vec<&str> = in_view.iter().rev().map(String::as_str).collect();
        let most_chars = if said.is_empty() { MAX_SAID_CHARS } else { MAX_SAID_BESIDE_CHARS };
        let shown = evidence(&newest_first, &asked.whole, most_chars, self.embedder.as_deref_mut());
        let shown = newest_first.iter().zip(shown).enumerate().map(|(age, (text, shown))| {
            shown.or_else(|| (age < NEWEST_MESSAGES).then(|| excerpt(text, &asked.whole, MAX_NEWEST_CHARS).0))
        });
        let shown: Vec<Option<String>> = shown.collect();
        said.extend(shown.into_iter().rev().zip(remarks).filter_map(|(text, remark)| Some(text? + &remark)));
        let notes: Vec<String> = core.human.lines().map(str::to_owned).collect();
        let mut shown = self.related(&notes, &[&asked.whole], (SHOWN_NOTES, f32::NEG_INFINITY));
        shown.sort_unstable();
        let edits: Vec<&str> = self.context.messages.iter().flat_map(|message| edits(&message.body)).collect();
        let with_edit = |note: &String| {
            let is_of_note =
                |edit: &&&str| edit.strip_prefix(note.as_str()).is_some_and(|rest| rest.starts_with(NO_LONGER));
            edits.iter().rev().find(is_of_note).map_or_else(|| note.clone(), |edit| (*edit).to_owned())
        };
        let notes: Vec<String> = shown.into_iter().filter_map(|place| notes.get(place)).map(with_edit).collect();
        Ok(Some((asked, Known { said, notes })))
    }
}
