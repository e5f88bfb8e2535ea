//! Questions about the user are answered from notes and what was said, in a prompt of their own.

use mneme::dialect::Profile;
use mneme::inference::{Script, ScriptedReply};
use mneme::types::Event;

use crate::harness::agent::{Setting, Talk, call};

/// Stands in every prompt of an answer pass, and in no other.
const MARK: &str = "You answer a user's question about themselves";
const QUESTION: &str = "Where is my spare key?";
/// How the model says that nothing tells the answer; the user sees it in other words.
const UNKNOWN: &str = "You haven't told me that.";

fn reply(when: &str, reply: &str) -> ScriptedReply {
    ScriptedReply { when: Some(when.to_owned()), reply: reply.to_owned(), ..ScriptedReply::default() }
}

fn setting(window: usize, replies: Vec<ScriptedReply>) -> Setting<'static> {
    let summary = ScriptedReply { repeat: true, ..reply("Write a summary of them", "We spoke of many things.") };
    let nothing = ScriptedReply { repeat: true, ..reply("Message:\n", "NONE") };
    let mut setting = Setting::new(Profile::Native, &[]);
    setting.script = Script {
        context_window: window,
        replies: replies.into_iter().chain([summary, nothing]).collect(),
        otherwise: Some("I see, and I am glad that you told me about it.".to_owned()),
        ..Script::default()
    };
    setting.human = "The user lives in Turku.\nThe user has a boat.";
    setting.config.answer_pass = Some(true);
    setting.config.memory_pass = Some(true);
    setting
}

fn said(events: &[Event]) -> &str {
    let message = events.iter().find_map(|event| if let Event::Message { text } = event { Some(text) } else { None });
    message.unwrap_or_else(|| panic!("no message in {events:?}"))
}

fn passes(talk: &Talk) -> Vec<String> {
    talk.log.prompts().into_iter().filter(|prompt| prompt.contains(MARK)).collect()
}

#[test]
fn notes_and_what_was_said_stand_before_the_question_and_the_answer_joins_the_conversation() {
    let mut talk = setting(4096, vec![reply("Question: Where is my spare key?", "It is under the flowerpot.")]).open();
    talk.say("By the way, the spare key is under the flowerpot.");
    let events = talk.say(QUESTION);
    assert_eq!(said(&events), "It is under the flowerpot.");
    let Some(Event::Turn(report)) = events.last() else { panic!("{events:?}") };
    assert_eq!((report.steps, report.stop_reason), (1, mneme::types::StopReason::Answer));
    assert!(report.tokens_read > 0, "what a pass reads is told");
    let prompts = passes(&talk);
    let [prompt] = prompts.as_slice() else { panic!("{prompts:?}") };
    let question = &prompt[prompt.rfind("Said:\n").unwrap()..];
    assert_eq!(
        question,
        "Said:\nBy the way, the spare key is under the flowerpot.\nNotes:\nThe user lives in Turku.\nThe user has a \
         boat.\nQuestion: Where is my spare key?<|im_end|>\n<|im_start|>assistant\n"
    );
    talk.say("Thank you, that helps.");
    let prompt = talk.prompt();
    let (asked, told) = (prompt.find(QUESTION).unwrap(), prompt.find("It is under the flowerpot.").unwrap());
    assert!(asked < told && !prompt.contains(MARK), "{prompt}");
}

#[test]
fn a_general_question_goes_back_to_the_conversation_and_nothing_of_the_pass_is_shown() {
    let mut talk = setting(4096, vec![reply("Question: How do I clean my boat?", "GENERAL")]).open();
    let mut shown = String::new();
    let request = mneme::kernel::Request::User { text: "How do I clean my boat?".to_owned() };
    mneme::kernel::handle(&mut talk.agent, request, None, &mut |_, event| {
        if let Event::Delta { text } = event {
            shown.push_str(&text);
        }
    });
    assert_eq!(shown, "I see, and I am glad that you told me about it.");
    assert!(!talk.prompt().contains(MARK), "the last prompt is the conversation's");
}

#[test]
fn other_messages_are_answered_in_the_conversation() {
    let mut talk = setting(4096, vec![]).open();
    for message in ["I live in Turku.", "How deep is the lake?", "What is your name, and do I know it?"] {
        talk.say(message);
    }
    assert!(passes(&talk).is_empty());

    let mut off = setting(4096, vec![]);
    off.config.answer_pass = Some(false);
    let mut talk = off.open();
    talk.say(QUESTION);
    assert!(passes(&talk).is_empty());
}

#[test]
fn a_retry_is_answered_in_the_conversation() {
    let mut talk = setting(4096, vec![reply("Question: ", "It is here.")]).open();
    assert_eq!(said(&talk.say(QUESTION)), "It is here.");
    let events = talk.command("/retry");
    assert_eq!(said(&events), "I see, and I am glad that you told me about it.");
    assert_eq!(passes(&talk).len(), 1);
}

#[test]
fn what_notes_and_view_do_not_tell_the_model_has_to_search_and_the_results_answer() {
    let search = call(Profile::Native, "conversation_search", &[("query", "\"spare key\""), ("page", "0")]);
    let replies = vec![
        reply("Question: Where is my spare key?", UNKNOWN),
        reply("Question: Where is my spare key?", UNKNOWN),
        reply(QUESTION, &search),
        reply("Question: Where is my spare key?", "It is under the flowerpot."),
    ];
    let mut talk = setting(3072, replies).open();
    talk.say("By the way, the spare key is under the flowerpot.");
    let mut emptied = false;
    for turn in 0..90 {
        let events = talk.say(&format!("Remark {turn} about this and that, with a few more words to fill the window."));
        let has_made_room =
            |event: &Event| matches!(event, Event::Notice { text } if text.contains("The window was full"));
        emptied |= turn > 30 && events.iter().any(has_made_room);
        if emptied {
            break;
        }
    }
    assert!(emptied && !talk.prompt().contains("flowerpot"));
    let events = talk.say(QUESTION);
    assert_eq!(said(&events), "It is under the flowerpot.");
    assert!(events.iter().any(|event| matches!(event, Event::Call { name, .. } if name == "conversation_search")));
    let prompts = passes(&talk);
    let [first, closer, second] = prompts.as_slice() else { panic!("{} passes", prompts.len()) };
    assert!(closer.len() < first.len());
    assert!(!first.contains("flowerpot") && second.contains("the spare key is under the flowerpot"), "{second}");
    let Some(Event::Turn(report)) = events.last() else { panic!("{events:?}") };
    assert_eq!(report.steps, 2);
}

#[test]
fn what_every_answer_begins_with_is_read_in_idle_time_and_not_again() {
    let mut talk = setting(4096, vec![reply("Question: ", "It is here.")]).open();
    talk.say("Good evening.");
    let stopped = mneme::types::Cancel::new();
    stopped.raise();
    talk.agent.work_ahead(&stopped, &mut |_| {});
    let cold = {
        let mut other = setting(4096, vec![reply("Question: ", "It is here.")]).open();
        other.say("Good evening.");
        tokens_read(&other.say(QUESTION))
    };
    talk.agent.work_ahead(&mneme::types::Cancel::new(), &mut |_| {});
    let warm = tokens_read(&talk.say(QUESTION));
    assert!(warm > 0 && warm * 10 < cold, "{warm} and {cold}");
}

fn tokens_read(events: &[Event]) -> u64 {
    match events.last() {
        Some(Event::Turn(report)) => report.tokens_read,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_look_at_all_that_was_said_does_not_tell_a_closer_one_can() {
    let replies = vec![reply("Question: ", UNKNOWN), reply("Question: ", "It is under the flowerpot.")];
    let mut talk = setting(4096, replies).open();
    talk.say("By the way, the spare key is under the flowerpot.");
    for turn in 0..12 {
        talk.say(&format!("Remark {turn} about this and that, with a few more words to make it a longer one."));
    }
    let events = talk.say(QUESTION);
    assert_eq!(said(&events), "It is under the flowerpot.");
    let prompts = passes(&talk);
    let [first, closer] = prompts.as_slice() else { panic!("{} passes", prompts.len()) };
    assert!(first.contains("Remark 9") && !closer.contains("Remark 9"), "{closer}");
    assert!(closer.contains("the spare key is under the flowerpot"), "{closer}");
    let shown: Vec<_> = events.iter().filter(|event| matches!(event, Event::Message { .. })).collect();
    assert_eq!(shown.len(), 1, "nothing of the first look is shown");
}

#[test]
fn an_unknown_answer_is_told_where_there_is_nothing_to_search() {
    let mut talk = setting(4096, vec![reply("Question: ", UNKNOWN)]).open();
    assert_eq!(said(&talk.say(QUESTION)), "I don't know, you haven't told me.");
}
