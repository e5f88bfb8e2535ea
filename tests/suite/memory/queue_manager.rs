//! The queue manager at small windows.

use mneme::memory::main_context::is_call_and_result;
use mneme::memory::{
    AgentMemory, BlockLabel, BoxError, CountTokens, Error, IfUnwritten, Inbox, MainContext, NewAgent, QueueLimits,
    QueueManager, RoomReport, Summarize,
};
use mneme::types::{Body, Message};

use super::{at, call, event, found, in_memory, reply, result, texts, user};

/// One token per word of text, plus the overhead of each message, like the plans assume.
struct Words;

impl CountTokens for Words {
    fn prompt_tokens(&mut self, context: &MainContext) -> Result<usize, BoxError> {
        let messages: usize = texts(&context.messages).iter().map(|text| words(text) + 12).sum();
        Ok(words(&context.instructions) + words(&context.core_memory) + messages)
    }

    fn text_tokens(&mut self, text: &str) -> usize {
        words(text)
    }
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Summarises well, badly, or not at all.
enum Summaries {
    Short,
    Endless,
    Failing,
    Silent,
}

impl Summarize for Summaries {
    fn summarize(
        &mut self,
        previous: Option<&str>,
        evicted: &[Message],
        _max_words: usize,
    ) -> Result<String, BoxError> {
        match self {
            Self::Short => Ok(format!("{} then {} more.", previous.map_or("Nothing", |_| "Much"), evicted.len())),
            Self::Endless => Ok("word ".repeat(5000)),
            Self::Failing => Err("no".into()),
            Self::Silent => Ok(" ".into()),
        }
    }
}

fn context(memory: &AgentMemory) -> MainContext {
    memory.view().main_context("be kind").unwrap()
}

/// Has the queue manager make room at a time that plays no part.
fn make_room(
    memory: &mut AgentMemory,
    context: &mut MainContext,
    counter: &mut dyn CountTokens,
    summarizer: &mut dyn Summarize,
    limits: &QueueLimits,
    window_tokens: usize,
) -> mneme::memory::Result<RoomReport> {
    QueueManager {
        memory,
        context,
        counter,
        summarizer,
        limits,
        window_tokens,
        at_ms: 1,
        if_unwritten: IfUnwritten::Shorten,
    }
    .make_room()
}

fn run_room(
    memory: &mut AgentMemory,
    summaries: &mut Summaries,
    window: usize,
) -> mneme::memory::Result<(usize, Vec<Message>)> {
    let limits = QueueLimits::default();
    let mut context = context(memory);
    let report = make_room(memory, &mut context, &mut Words, summaries, &limits, window)?;
    assert_eq!(report.prompt_tokens, Words.prompt_tokens(&context).unwrap());
    assert_eq!(context.messages, memory.view().queue().unwrap());
    assert!(report.prompt_tokens <= limits.prompt_limit_tokens(window), "{report:?}");
    Ok((report.prompt_tokens, context.messages))
}

#[test]
fn five_hundred_messages_never_exceed_a_small_window_and_none_is_lost() {
    for mut summaries in [Summaries::Short, Summaries::Endless, Summaries::Failing, Summaries::Silent] {
        let mut memory = in_memory();
        for n in 0..125 {
            memory.record(&[user(&format!("question {n} about herons {}", "and so on ".repeat(n % 9)))]).unwrap();
            run_room(&mut memory, &mut summaries, 600).unwrap();
            memory.record(&[call("f"), result("f", &"found ".repeat(n % 40))]).unwrap();
            run_room(&mut memory, &mut summaries, 600).unwrap();
            memory.record(&[reply(&format!("answer {n}"))]).unwrap();
            let (_, queue) = run_room(&mut memory, &mut summaries, 600).unwrap();
            let summary_count = queue.iter().filter(|m| matches!(m.body, Body::Summary { .. })).count();
            assert!(summary_count <= 1);
            for pair in queue.windows(2) {
                let is_result = matches!(pair[1].body, Body::FunctionResult { .. });
                assert!(!is_result || is_call_and_result(&pair[0], &pair[1]), "a result without its call");
            }
        }
        assert_eq!(memory.view().recall_count().unwrap(), 500);
        assert_eq!(found(&memory, "herons").len(), 125);
        let queue = memory.view().queue().unwrap();
        let Body::Summary { hidden_message_count, .. } = &queue[0].body else { panic!("no summary") };
        assert_eq!(*hidden_message_count as usize, 500 - (queue.len() - 1));
    }
}

#[test]
fn what_fits_is_left_alone() {
    let mut memory = in_memory();
    memory.record(&[user("hi"), reply("hello")]).unwrap();
    let before = memory.view().queue().unwrap();
    let (_, queue) = run_room(&mut memory, &mut Summaries::Failing, 600).unwrap();
    assert_eq!(queue, before);
}

#[test]
fn a_giant_message_is_paged_out_and_stays_readable() {
    let mut memory = in_memory();
    let text: String = (0..3000).map(|n| format!("sentence {n} is about the marsh. ")).collect();
    memory.record(&[user("hi"), reply("hello"), user(&text)]).unwrap();
    let (_, queue) = run_room(&mut memory, &mut Summaries::Short, 700).unwrap();
    let stub = queue.last().unwrap().stub.clone().unwrap();
    assert!(stub.contains("archival_memory_search") && stub.contains("sentence 0 is"), "{stub}");
    assert!(memory.view().archival_count().unwrap() > 50);
    let hits = memory.view().archival_search("sentence 2999 marsh", 0, 5).unwrap();
    assert!(hits.items[0].text.contains("sentence 2999 "), "{:?}", hits.items[0]);
    assert!(found(&memory, "marsh").contains(&text), "the message itself is whole");
}

#[test]
fn a_giant_result_is_cut_and_not_stored_again() {
    let mut memory = in_memory();
    memory.record(&[user("look"), call("archival_memory_search")]).unwrap();
    memory.record(&[result("archival_memory_search", &"marsh ".repeat(5000))]).unwrap();
    let (_, queue) = run_room(&mut memory, &mut Summaries::Short, 700).unwrap();
    assert!(queue.last().unwrap().stub.as_deref().unwrap().contains("narrower"));
    assert_eq!(memory.view().archival_count().unwrap(), 0);
}

#[test]
fn a_long_chain_of_calls_in_one_exchange_fits_too() {
    let mut memory = in_memory();
    memory.record(&[user("do it all")]).unwrap();
    for _ in 0..60 {
        memory.record(&[call("f"), result("f", &"thing ".repeat(20))]).unwrap();
        let (_, queue) = run_room(&mut memory, &mut Summaries::Short, 600).unwrap();
        assert!(queue.iter().any(|message| message.body == Body::User { text: "do it all".into() }));
        assert!(matches!(queue.last().unwrap().body, Body::FunctionResult { .. }));
    }
}

#[test]
fn a_window_that_cannot_work_is_an_error_with_numbers() {
    let mut memory = in_memory();
    let mut step = memory.step(1).unwrap();
    step.core_append(BlockLabel::Human, &"fact ".repeat(300)).unwrap();
    step.commit().unwrap();
    memory.record(&[user("hi")]).unwrap();
    let error = run_room(&mut memory, &mut Summaries::Short, 200).unwrap_err();
    assert!(
        matches!(error, Error::WindowTooSmall { needed_tokens, reserve_tokens: 50, window_tokens: 200 } if needed_tokens > 300),
        "{error:?}"
    );
    assert!(error.hint().contains("--context-window"));
}

#[test]
fn an_eviction_refreshes_core_memory_in_the_prompt() {
    let mut memory = in_memory();
    for n in 0..20 {
        memory.record(&[user(&format!("question {n}")), reply("answer")]).unwrap();
    }
    let mut context = context(&memory);
    let mut step = memory.step(1).unwrap();
    step.core_append(BlockLabel::Human, "Has a kite.").unwrap();
    step.commit().unwrap();
    let limits = QueueLimits::default();
    let report = make_room(&mut memory, &mut context, &mut Words, &mut Summaries::Short, &limits, 600).unwrap();
    assert!(report.evicted_messages >= 10, "{report:?}");
    assert!(context.core_memory.contains("Has a kite."));
}

/// Remembers how much each call was given.
#[derive(Default)]
struct Watching {
    input_tokens: Vec<usize>,
    previous: Vec<Option<String>>,
}

impl Summarize for Watching {
    fn summarize(&mut self, previous: Option<&str>, evicted: &[Message], max_words: usize) -> Result<String, BoxError> {
        assert_eq!(max_words, QueueLimits::default().summary_max_words);
        self.input_tokens.push(texts(evicted).iter().map(|text| words(text)).sum());
        self.previous.push(previous.map(str::to_owned));
        Ok(format!("Summary {}.", self.input_tokens.len()))
    }
}

#[test]
fn a_part_that_is_too_long_for_one_call_is_summarised_in_several() {
    let mut memory = in_memory();
    memory.record(&[user(&"giant ".repeat(2000))]).unwrap();
    for n in 0..40 {
        memory.record(&[user(&format!("{n} {}", "word ".repeat(50)))]).unwrap();
    }
    let mut watching = Watching::default();
    let limits = QueueLimits::default();
    let mut context = context(&memory);
    make_room(&mut memory, &mut context, &mut Words, &mut watching, &limits, 600).unwrap();
    let calls = watching.input_tokens.len();
    assert!(calls >= 7, "{:?}", watching.input_tokens);
    assert!(watching.input_tokens.iter().all(|tokens| *tokens <= 300), "{:?}", watching.input_tokens);
    assert_eq!(watching.previous[0], None);
    assert_eq!(watching.previous[calls - 1], Some(format!("Summary {}.", calls - 1)));
}

/// Summarises in few words and holds each call to the room that it said it has.
struct Roomy {
    room_tokens: usize,
    calls: usize,
}

impl Summarize for Roomy {
    fn summarize(&mut self, _: Option<&str>, evicted: &[Message], _: usize) -> Result<String, BoxError> {
        let tokens: usize = texts(evicted).iter().map(|text| words(text) + 12).sum();
        assert!(tokens <= self.room_tokens || evicted.len() == 1, "{tokens} tokens, room for {}", self.room_tokens);
        self.calls += 1;
        Ok(format!("Summary {}.", self.calls))
    }

    fn room_tokens(&mut self, _: Option<&str>, _: usize) -> Option<usize> {
        Some(self.room_tokens)
    }
}

#[test]
fn a_summariser_is_given_no_more_than_it_has_room_for_and_nothing_where_it_has_none() {
    for (room_tokens, is_mechanical) in [(10_000, false), (100, false), (20, true)] {
        let mut memory = in_memory();
        for n in 0..30 {
            memory.record(&[user(&format!("{n} {}", "word ".repeat(30)))]).unwrap();
        }
        let mut summarizer = Roomy { room_tokens, calls: 0 };
        let (limits, mut context) = (QueueLimits::default(), context(&memory));
        let report = make_room(&mut memory, &mut context, &mut Words, &mut summarizer, &limits, 600).unwrap();
        assert_eq!(report.has_mechanical_summary, is_mechanical, "{room_tokens}");
        assert_eq!(summarizer.calls == 0, is_mechanical, "{room_tokens}");
    }
}

#[test]
fn a_pasted_document_drives_nothing_else_out_of_view() {
    let mut memory = in_memory();
    for n in 0..6 {
        memory.record(&[user(&format!("question {n}")), reply("answer")]).unwrap();
    }
    let document: String = (0..5000).map(|n| format!("heron{n} ")).collect();
    memory.record(&[user(&document)]).unwrap();
    let limits = QueueLimits::default();
    let mut context = context(&memory);
    let report = make_room(&mut memory, &mut context, &mut Words, &mut Summaries::Short, &limits, 1000).unwrap();
    assert_eq!((report.evicted_messages, report.paged_out.len()), (0, 1));
    assert_eq!(context.messages.len(), 13);
    let stub = context.messages[12].stub.as_deref().unwrap();
    assert!(stub.contains("archival_memory_search") && stub.contains("characters"), "{stub}");
    assert!(memory.view().archival_count().unwrap() > 20);
}

#[test]
fn while_a_pasted_document_is_cut_others_can_write() {
    struct Cutting(Inbox);

    impl CountTokens for Cutting {
        fn prompt_tokens(&mut self, context: &MainContext) -> Result<usize, BoxError> {
            Words.prompt_tokens(context)
        }

        fn text_tokens(&mut self, text: &str) -> usize {
            words(text)
        }

        fn passages(&self, text: &str) -> Vec<std::ops::Range<usize>> {
            self.0.put("typed meanwhile", 2).unwrap();
            Words.passages(text)
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let store = at(&folder.path().join("m.db"));
    let mut memory = AgentMemory::create(store, &NewAgent::named("ada", 0)).unwrap();
    memory.record(&[user(&"heron ".repeat(5000))]).unwrap();
    let mut counter = Cutting(memory.inbox().unwrap().unwrap());
    let limits = QueueLimits::default();
    let mut context = context(&memory);
    let report = make_room(&mut memory, &mut context, &mut counter, &mut Summaries::Short, &limits, 1000).unwrap();
    assert_eq!(report.paged_out.len(), 1);
}

/// A unit of a random talk: its kind, and how many words it has.
fn unit() -> impl proptest::strategy::Strategy<Value = (u8, usize)> {
    use proptest::prelude::*;
    (0_u8..10, prop_oneof![8 => 0_usize..40, 3 => 40_usize..200, 1 => 200_usize..3000])
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 32, ..Default::default() })]
    /// The rules of the queue, over random talks in windows from small to roomy.
    #[test]
    fn random_talks_keep_the_rules_of_the_queue(
        units in proptest::collection::vec(unit(), 1..60),
        window in 800_usize..3000,
        endless in proptest::bool::ANY,
    ) {
        use proptest::prelude::*;
        let limits = QueueLimits::default();
        let mut memory = in_memory();
        let mut summaries = if endless { Summaries::Endless } else { Summaries::Short };
        let (mut recorded, mut said) = (0, Vec::new());
        for (number, (kind, count)) in units.into_iter().enumerate() {
            let text = format!("unit{number} {}", "heron ".repeat(count));
            let messages = match kind {
                0..4 => vec![user(&text)],
                4..7 => vec![reply(&text)],
                7..9 => vec![call("f"), result("f", &text)],
                _ => vec![event()],
            };
            recorded += messages.len();
            if kind < 7 {
                said.push(number);
            }
            memory.record(&messages).unwrap();
            let before = memory.view().queue().unwrap();
            let mut context = context(&memory);
            let report =
                make_room(&mut memory, &mut context, &mut Words, &mut summaries, &limits, window).unwrap();
            let queue = context.messages;
            prop_assert!(report.prompt_tokens <= limits.prompt_limit_tokens(window), "{report:?}");
            // One summary at most, first and bounded.
            let summaries: Vec<usize> = queue.iter().enumerate()
                .filter(|(_, message)| matches!(message.body, Body::Summary { .. })).map(|(at, _)| at).collect();
            prop_assert!(summaries.is_empty() || summaries == [0]);
            if let Some(Body::Summary { text, hidden_message_count }) = queue.first().map(|message| &message.body) {
                prop_assert!(words(text) <= limits.summary_max_words);
                prop_assert_eq!(*hidden_message_count as usize, recorded - (queue.len() - 1));
            }
            // Call and result together.
            for (at, message) in queue.iter().enumerate() {
                let is = |at: usize, is: fn(&Body) -> bool| queue.get(at).is_some_and(|message| is(&message.body));
                match &message.body {
                    Body::FunctionResult { .. } => {
                        let is_paired = at > 0 && is_call_and_result(&queue[at - 1], message);
                        prop_assert!(is_paired);
                    }
                    Body::Assistant { call: Some(_), .. } => {
                        let is_paired = is(at + 1, |body| matches!(body, Body::FunctionResult { .. }));
                        prop_assert!(is_paired);
                    }
                    _ => {}
                }
            }
            // Three messages stay, the newest of all, and the last thing that the user said.
            let ids: Vec<i64> = queue.iter().map(|message| message.id.0).collect();
            let kept = |message: &&Message| ids.contains(&message.id.0);
            let count = |messages: &[Message]| messages.iter().filter(|m| !matches!(m.body, Body::Summary { .. })).count();
            prop_assert!(count(&queue) >= count(&before).min(3), "{} of {}", count(&queue), count(&before));
            prop_assert!(before.iter().rev().take(1).all(|message| kept(&message)));
            let last_user = before.iter().rev().find(|message| matches!(message.body, Body::User { .. }));
            prop_assert!(last_user.is_none_or(|message| kept(&message)));
        }
        // Nothing is lost, and all that was said is found.
        prop_assert_eq!(memory.view().recall_count().unwrap() as usize, recorded);
        for number in said {
            let found = found(&memory, &format!("unit{number}"));
            prop_assert!(found.iter().any(|text| text.starts_with(&format!("unit{number} "))), "unit{number}");
        }
    }
}

fn kept(queue: &[Message]) -> usize {
    queue.iter().filter(|message| !matches!(message.body, Body::Summary { .. })).count()
}

#[test]
fn three_messages_stay_in_windows_below_800_tokens() {
    for window in [260, 320, 400, 512, 640, 799] {
        let mut memory = in_memory();
        for n in 0_usize..60 {
            memory.record(&[user(&format!("question {n} {}", "and on ".repeat(n % 7)))]).unwrap();
            let (_, queue) = run_room(&mut memory, &mut Summaries::Short, window).unwrap();
            assert!(kept(&queue) >= 3.min(2 * n + 1), "{window}: {queue:?}");
            memory.record(&[reply(&format!("answer {n} {}", "so be it ".repeat(n % 5)))]).unwrap();
            let (_, queue) = run_room(&mut memory, &mut Summaries::Short, window).unwrap();
            assert!(kept(&queue) >= 3.min(2 * n + 2), "{window}: {queue:?}");
        }
        assert_eq!(found(&memory, "question").len(), 60);
    }
}

#[test]
fn fewer_than_three_stay_only_where_three_cannot_fit() {
    let long = |word: &str| format!("{word} ").repeat(80);
    let room = |window: usize| {
        let mut memory = in_memory();
        memory.record(&[user(&long("heron")), reply(&long("otter")), user(&long("newt"))]).unwrap();
        let (_, queue) = run_room(&mut memory, &mut Summaries::Short, window).unwrap();
        assert_eq!(found(&memory, "otter").len(), 1, "what leaves can be searched");
        assert!(matches!(&queue.last().unwrap().body, Body::User { text } if text.starts_with("newt")));
        kept(&queue)
    };
    // 92 tokens each: three take 276, the window of 420 leaves 315 of itself, that of 260 leaves 195.
    assert_eq!((room(420), room(260)), (3, 1));
}
