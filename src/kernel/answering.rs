//! Answers to questions about the user, in a prompt of their own: what was said, what is noted, the question, and a few
//! worked examples.
//!
//! In the middle of a conversation a small model answers by what it has read last or most, says that it has no access to
//! personal data, or makes something up. Of 38 questions about users in made-up conversations, Qwen2.5-Coder-1.5B
//! answered 30 right there, and 35 when it was asked in this form; whether a question is about the user at all, it told
//! right every time. What it says is general is left to the conversation. Where it says that nothing tells the answer, it is
//! asked once more with less around: of 30 questions about long messages, 25 were right with that, 23 without.

use crate::dialect::{Action, Piece};
use crate::functions::{Function, evidence, excerpt};
use crate::grammar::policy::literal;
use crate::inference::StopCause;
use crate::types::{Body, Cancel, Event, Notification, StepPolicy, TextRule};

use super::Error;
use super::agent::Agent;
use super::asking::asks_of_user;
use super::interrupt::Interrupt;
use super::model::Written;
use super::offer::step_policy;
use super::outdated;
use super::passes::NO_LONGER;
use super::progress::Progress;
use super::recall::Recalled;
use super::reply::{Reply, Started};
use super::step::{Generated, Happened, Offer};

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
/// Most characters of an answer.
const MAX_ANSWER_CHARS: usize = 400;

/// Characters that end a line or do worse, in a class of a grammar.
const CONTROLS: &str = "\\x00-\\x1F\\x7F";

/// Says that the question is not about the user.
const GENERAL: &str = "GENERAL";
/// How answers begin that tell nothing, and what the user sees of them. They begin as answers do: of a sentence that can begin
/// with "I" in one way alone, small models write the rest wherever they would begin to speak as the user.
const UNKNOWN: [(&str, &str); 2] = [
    ("You haven't told me", "I don't know, you haven't told me."),
    ("Das hast du mir nicht gesagt", "Das weiß ich nicht, du hast es mir nicht gesagt."),
];

const INSTRUCTIONS: &str = "You answer a user's question about themselves, their life or what they told you. You have \
what the user said, oldest first, and notes about the user, which are up to date.
Answer in one short sentence, in the user's language, to the user as \"you\".
If the question is about the user, but neither the notes nor what was said tells the answer, write: You haven't told me \
that.
If the question asks for advice, an opinion, a text, or about the world, write: GENERAL";

/// What was said, notes, question, answer; made up for this purpose.
const EXAMPLES: &[(&str, &str, &str, &str)] = &[
    (
        "Hello, how are you?\nMy aunt Zibby is afraid of heights.",
        "The user's aunt is called Zibby.\nZibby lives in Ghent.",
        "Where does my aunt live?",
        "Your aunt Zibby lives in Ghent.",
    ),
    ("I bought a rowing boat last week!", "The user owns a rowing boat.", "How do I clean my boat?", "GENERAL"),
    (
        "I study law in Delft. (by now: The user studies botany in Delft.)\nHow long do turtles live?\nI've switched to \
         botany.",
        "The user studies botany in Delft. (no longer: The user studies law in Delft.)",
        "what am I studying now?",
        "You are studying botany.",
    ),
    (
        "I play the cello in a small orchestra.",
        "The user plays the cello.",
        "What is my uncle's name?",
        "You haven't told me that.",
    ),
    (
        "Quill has left the orchestra, and Orrin plays first violin now.",
        "The user's name is Tamsin.\nThe first violin is Quill.\nQuill left the orchestra.\nOrrin plays first violin.",
        "Do you remember who plays first violin these days?",
        "Orrin plays first violin now.",
    ),
    (
        "My aunt Zibby turns 60 on Friday.",
        "The user's aunt is called Zibby.",
        "What should I give my aunt for her birthday?",
        "GENERAL",
    ),
    (
        "Ich backe gern Brot, und mein Hund heißt Pim.",
        "The user's dog is called Pim.\nThe user bakes bread.",
        "Wie heißt mein Hund?",
        "Dein Hund heißt Pim.",
    ),
    (
        "I bought a rowing boat last week!",
        "The user owns a rowing boat.",
        "How much did I pay for the boat?",
        "You haven't told me that.",
    ),
    (
        "Ich backe gern Brot.",
        "The user bakes bread.",
        "Wann hat mein Bruder Geburtstag?",
        "Das hast du mir nicht gesagt.",
    ),
    (
        "I play the cello in a small orchestra.",
        "The user plays the cello.",
        "did I ever say that I play the drums? yes or no",
        "No, you haven't told me that.",
    ),
    ("Good morning!", "-", "Can you write a poem for my aunt?", "GENERAL"),
    ("It's Tamsyn with a y!", "The user's name is Tamsyn.", "how is my name spelled?", "Your name is spelled Tamsyn."),
    (
        "I'm 31 and work as a tutor.",
        "The user works as a tutor.\nThe user is 31 years old.",
        "what's my job?",
        "You work as a tutor.",
    ),
    (
        "I'm allergic to nuts.\nWhat's the capital of Peru?",
        "The user is allergic to nuts.",
        "Is there something I must not eat?",
        "You must not eat nuts, because you are allergic to them.",
    ),
];

/// How far a turn has come in finding out what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Lookup {
    /// The conversation answers.
    #[default]
    Off,
    /// The message asks about the user: notes and what was said may tell.
    Due,
    /// They do not tell: the model has to search.
    MustSearch,
}

/// What bears on a question: lines of what was said, notes.
struct Known {
    said: Vec<String>,
    notes: Vec<String>,
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
        self.stop != StopCause::Cancelled && unknown(&self.text).is_some()
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
pub(super) fn only_searches(policy: StepPolicy) -> StepPolicy {
    let calls = policy.calls.iter().filter(|call| is_search(&call.name)).cloned().collect();
    StepPolicy { text: TextRule::Forbidden, calls, ..policy }
}

fn is_search(name: &str) -> bool {
    Function::by_name(name).is_some_and(Function::searches)
}

/// How notes speak of the user; an answer speaks to them.
const AVOIDED: &str = "the user";

/// Rules of a line in which [`AVOIDED`] does not stand as words: `line`, and `line-t` for one whose first letter is there
/// already. Each piece of it ends where nothing of what is avoided has begun, the last one maybe within it.
fn line_rules() -> String {
    let letters: Vec<char> = AVOIDED.chars().collect();
    let first = letters.first().copied().unwrap_or_default();
    let mut rules = format!(
        "line ::= piece{{0,{MAX_ANSWER_CHARS}}} (\"{first}\" ending-1)?\n\
         piece ::= [^{first}{CONTROLS}] | \"{first}\" begun-1\n\
         line-t ::= begun-1 line | ending-1\n"
    );
    let whole = letters.len();
    for (at, next) in letters.iter().enumerate().skip(1) {
        let behind = at + 1;
        let ends_in = if behind < whole { format!(" | \"{next}\" ending-{behind}") } else { String::new() };
        rules += &format!(
            "begun-{at} ::= [^{first}{next}{CONTROLS}] | \"{first}\" begun-1 | \"{next}\" begun-{behind}\n\
             ending-{at} ::= (\"{first}\" ending-1)?{ends_in}\n"
        );
    }
    // A longer word is another one.
    let others: String = ('a'..='z').filter(|letter| *letter != first).collect();
    rules += &format!("begun-{whole} ::= [{others}] | \"{first}\" begun-1\n");
    rules
}

/// What can be written: that the question is a general one, or one line that does not begin by speaking of the user as
/// `I`, and speaks of them as "the user" nowhere.
fn grammar() -> String {
    let mut first = vec![format!("[^ IMTt{CONTROLS}]"), "\"I\" [a-z]".to_owned(), format!("\"M\" [^y{CONTROLS}]")];
    // Each proper beginning of it, and another letter behind.
    let avoided = "The user";
    first.extend(avoided.char_indices().skip(1).map(|(at, next)| {
        let begin = avoided.get(..at).unwrap_or_default();
        format!("{} [^{next}{CONTROLS}]", literal(begin))
    }));
    format!(
        "root ::= {} | first line | \"t\" line-t\nfirst ::= {}\n{}",
        literal(GENERAL),
        first.join(" | "),
        line_rules(),
    )
}

fn question(known: &Known, asked: &str) -> String {
    let or_none = |lines: &[String]| if lines.is_empty() { "-".to_owned() } else { lines.join("\n") };
    format!("Said:\n{}\nNotes:\n{}\nQuestion: {asked}", or_none(&known.said), or_none(&known.notes))
}

fn examples() -> Vec<(String, String)> {
    let owned = |(said, notes, asked, answer): &(&str, &str, &str, &str)| {
        let known = Known { said: vec![(*said).to_owned()], notes: vec![(*notes).to_owned()] };
        (question(&known, asked), (*answer).to_owned())
    };
    EXAMPLES.iter().map(owned).collect()
}

/// What the user sees of an answer that tells nothing.
fn unknown(answer: &str) -> Option<&'static str> {
    UNKNOWN.iter().find(|(begin, _)| answer.starts_with(begin)).map(|(_, shown)| *shown)
}

/// Whether what was written so far is an answer: it can no more become the word for a general question, nor tell nothing.
fn is_answer(written: &str) -> bool {
    // Some write that word as any other.
    let (written, general) = (written.to_lowercase(), GENERAL.to_lowercase());
    let mut others = UNKNOWN.into_iter().map(|(begin, _)| begin.to_lowercase()).chain([general]);
    !others.any(|other| other.starts_with(&written) || written.starts_with(&other))
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
    pub(super) fn looks_up_at(&self, interrupt: &Interrupt) -> Lookup {
        match interrupt {
            Interrupt::User { text, .. } if self.settings.answer_pass => {
                let notes = self.memory.view().core().map(|core| core.human.text).unwrap_or_default();
                if asks_of_user(text, &notes) { Lookup::Due } else { Lookup::Off }
            }
            _ => Lookup::Off,
        }
    }

    /// Reads what every answer from the memory begins with: the first question need not wait for it.
    pub(super) fn read_answers_ahead(&mut self, preempt: &Cancel) -> Result<(), Error> {
        if !self.settings.answer_pass {
            return Ok(());
        }
        self.model.read_ahead((INSTRUCTIONS, &examples()), preempt)
    }

    /// Answers the newest message from the memory; none where the conversation has to go on by itself.
    pub(super) fn tell(
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
        // A question with too much around it is answered in the conversation.
        let Some(mut look) = self.look(&known, &asked, emit)? else { return Ok(None) };
        if look.is_unknown()
            && let Some(closer) = self.closer(&known, &asked)
            && let Some(second) = self.look(&closer, &asked, emit)?
            && !second.is_unknown()
            && !second.is_general()
        {
            look = second;
        }
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

    /// Asks what is known. Nothing is shown before it is an answer; none where there is too much for the window.
    fn look(&mut self, known: &Known, asked: &str, emit: &mut dyn FnMut(Event)) -> Result<Option<Look>, Error> {
        let (examples, question) = (examples(), question(known, asked));
        let mut reply = Reply::new(&mut self.memory, &*self.clock, &self.cancel);
        let told = self.model.tell_aside((INSTRUCTIONS, &examples, &question), &grammar(), &is_answer, &mut |text| {
            reply.take(Piece::Text(text.to_owned()), emit)
        });
        let is_shown = matches!(&told, Ok((text, _)) if is_answer(text));
        let started = reply.done(is_shown)?;
        match told {
            Err(Error::Inference(crate::inference::Error::ContextOverflow { .. })) => Ok(None),
            told => told.map(|(text, stop)| Some(Look { text, stop, started: is_shown.then_some(started) })),
        }
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
            && let Some(told) = unknown(&text)
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

    /// The newest message of the user and what bears on it: what was found out of view, messages in view, notes.
    fn known(&mut self, progress: &mut Progress) -> Result<Option<(String, Known)>, Error> {
        let is_user = |body: &Body| matches!(body, Body::User { .. });
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
        let results = behind.iter().filter_map(|message| match &message.body {
            Body::FunctionResult { name, message, .. } if is_search(name) => Some(message.clone()),
            _ => None,
        });
        let mut said: Vec<String> = progress.recalled.text().map(str::to_owned).into_iter().chain(results).collect();
        let changes = outdated::changes(&self.memory.view().block_edits(outdated::LOOKED_AT)?);
        let (mut in_view, mut remarks) = (Vec::new(), Vec::new());
        for message in before {
            let text = match &message.body {
                Body::User { text } => message.stub.as_ref().unwrap_or(text),
                Body::Summary { text, .. } => text,
                _ => continue,
            };
            let now = outdated::by_now((message.id, text), &changes);
            remarks.push(now.iter().map(|now| format!(" (by now: {now})")).collect::<String>());
            in_view.push(text.clone());
        }
        // Newest first: of what bears on the question alike, a later word counts more.
        let newest_first: Vec<&str> = in_view.iter().rev().map(String::as_str).collect();
        let most_chars = if said.is_empty() { MAX_SAID_CHARS } else { MAX_SAID_BESIDE_CHARS };
        let shown = evidence(&newest_first, &asked, most_chars, self.embedder.as_deref_mut());
        let shown = newest_first.iter().zip(shown).enumerate().map(|(age, (text, shown))| {
            shown.or_else(|| (age < NEWEST_MESSAGES).then(|| excerpt(text, &asked, MAX_NEWEST_CHARS).0))
        });
        let shown: Vec<Option<String>> = shown.collect();
        said.extend(shown.into_iter().rev().zip(remarks).filter_map(|(text, remark)| Some(text? + &remark)));
        let core = self.memory.view().core()?;
        let notes: Vec<String> = core.human.lines().map(str::to_owned).collect();
        let mut shown = self.related(&notes, &[&asked], (SHOWN_NOTES, f32::NEG_INFINITY));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Compiler, Limits, Verdict};
    use crate::inference::{Engine, Script, ScriptedEngine};
    use std::sync::Arc;

    #[test]
    fn the_examples_are_what_can_be_written() {
        let vocab = Arc::clone(ScriptedEngine::new(Script::default()).vocab());
        let grammar = Compiler::new(vocab, Limits::default()).compile(&grammar()).unwrap();
        for (.., answer) in EXAMPLES {
            assert_eq!(grammar.judge(answer.as_bytes()).unwrap(), Verdict::Accepted, "{answer}");
        }
        for refused in [
            "I live in Ghent.",
            "My aunt is Zibby.",
            "The user sings.",
            "",
            "Two\nlines.",
            "It is the user.",
            "It is the user's.",
            "the user sings",
            "It is the the user who sings.",
            "Both the user",
        ] {
            assert_ne!(grammar.judge(refused.as_bytes()).unwrap(), Verdict::Accepted, "{refused}");
        }
        for taken in [
            "Iron is.",
            "Mr Quill.",
            "The usual one.",
            "Then it rains.",
            "the usual one",
            "t",
            "It is the used one, the username and at the us",
            "The the other user",
        ] {
            assert_eq!(grammar.judge(taken.as_bytes()).unwrap(), Verdict::Accepted, "{taken}");
        }
    }

    #[test]
    fn nothing_is_shown_before_it_is_known_to_be_an_answer() {
        for held in ["", "G", "GENERAL", "General.", "You have", "You haven't told me your name", "Das"] {
            assert!(!is_answer(held), "{held}");
        }
        assert!(is_answer("Ghent") && is_answer("You have a") && is_answer("Das ist es"));
    }
}
