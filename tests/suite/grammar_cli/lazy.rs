//! `--trigger` and `--trigger-token` of `complete`, `grammar accepts` and `grammar mask`.

use mneme::grammar::{Compiler, Limits, Trigger};
use mneme::inference::TokenKind;
use mneme::types::{Constraint, TokenId};
use serde_json::{Value, json};

use super::{DATA, FAILED, OK, USAGE, World, scripted_vocab};

const DAY: &str = "root ::= \"<day>\" [0-9]{4} \"-\" [0-9]{2} \"</day>\"\n";
const CALL: &str = "root ::= <tool_call> \"{}\" </tool_call>\n";

#[test]
fn complete_is_free_until_the_trigger_and_ends_with_the_grammar() {
    let world = World::new();
    let file = world.file("day.gbnf", DAY);
    let complete = |reply: &str, arguments: &[&str]| {
        let script = world.script(reply);
        let lazy = ["complete", "--engine", "scripted", "--model", &script, "--chat", "--json", "--grammar", &file];
        let said = world.run(&[&lazy, arguments].concat());
        let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        let field = |name: &str| report[name].clone();
        (said.code, field("text"), field("stop_reason"), field("accepted"))
    };
    let lazy = ["--trigger", "<day>"];
    let held = complete("So: <day>2024-02</day>, indeed.", &lazy);
    assert_eq!(held, (OK, json!("So: <day>2024-02</day>"), json!("complete"), json!(true)));
    let (code, text, ..) = complete("So: <day>soon</day>", &lazy);
    let day = text.as_str().unwrap().strip_prefix("So: <day>").unwrap_or_else(|| panic!("{text}"));
    assert!(code == OK && day.len() == "2024-02</day>".len() && day.ends_with("</day>"), "{text}");
    let free = complete("It may be < or <da, but no day.", &lazy);
    assert_eq!(free, (OK, json!("It may be < or <da, but no day."), json!("end"), json!(true)));
    let either = ["--trigger", "<week>", "--trigger", "<day>"];
    let both = world.file("day.gbnf", DAY.replace("root ::= ", "root ::= \"<week>\" [0-9]{2} | "));
    assert_eq!(both, file);
    assert_eq!(complete("In <week>07, no?", &either).1, "In <week>07");
    assert_eq!(complete("On <day>2024-02</day>.", &either).1, "On <day>2024-02</day>");
    // A text that is cut off is whole before the trigger and not behind it.
    assert_eq!(complete("So: and so on.", &[&lazy[..], &["--max-tokens", "1"]].concat()).0, OK);
    let cut = complete("<day>2024-02</day>", &[&lazy[..], &["--max-tokens", "8"]].concat());
    assert_eq!((cut.0, cut.2, cut.3), (FAILED, json!("max_tokens"), json!(false)));
}

#[test]
fn complete_waits_for_a_control_token_and_not_for_its_letters() {
    let world = World::new();
    let file = world.file("call.gbnf", CALL);
    let script = world.script("Well, <tool_call>{}</tool_call> and more");
    let lazy = ["complete", "--engine", "scripted", "--model", &script, "--chat", "--grammar", &file];
    let run = |arguments: &[&str]| world.run(&[&lazy, arguments].concat());
    let well = "Well, <tool_call>{}</tool_call>";
    assert_eq!(run(&["--trigger-token", "<tool_call>"]).well(), well);
    run(&["--trigger", "<tool_call>"]).refused(USAGE, &["no text of the grammar begins with \"<tool_call>\""]);
    run(&["--trigger-token", "<no>"]).refused(USAGE, &["the model has no control token <no>", "--trigger"]);
    run(&["--trigger-token", "Well"]).refused(USAGE, &["the model has no control token Well"]);
}

#[test]
fn a_schema_can_wait_for_its_trigger() {
    let world = World::new();
    let schema =
        world.file("city.json", "{\"properties\": {\"name\": {\"enum\": [\"Tartu\"]}}, \"required\": [\"name\"]}");
    let script = world.script("Here you are: {\"name\": \"Narva\"}");
    let lazy = ["complete", "--engine", "scripted", "--model", &script, "--chat", "--closed", "--schema", &schema];
    let text = world.run(&[&lazy[..], &["--trigger", "{"]].concat()).well();
    assert_eq!(text, "Here you are: {\"name\": \"Tartu\"}");
}

#[test]
fn accepts_judges_free_text_and_what_the_trigger_begins() {
    let world = World::new();
    let file = world.file("day.gbnf", DAY);
    let run = |text: &str| world.run(&["grammar", "accepts", &file, "--trigger", "<day>", "--input", text]);
    for text in ["", "nothing", "<da <", "on <day>2024-02</day>"] {
        assert_eq!(run(text).well(), "accepted\n", "{text:?}");
    }
    let said = run("on <day>24");
    assert_eq!(said.code, FAILED);
    assert!(said.out.starts_with("rejected: the text ends too early, at byte 10\n"), "{said:?}");
    let said = run("on <day>2024-02</day>.");
    assert_eq!(said.code, FAILED);
    assert!(said.out.starts_with("rejected at byte 21 ") && said.out.ends_with("the end of the text\n"), "{said:?}");
    let file = world.file("call.gbnf", CALL);
    let script = world.script("");
    let lazy = ["grammar", "accepts", &file, "--trigger-token", "<tool_call>", "--input"];
    let run = |text: &str| world.run(&[&lazy, &[text, "--engine", "scripted", "--model", &script][..]].concat());
    assert_eq!(run("so <tool_call>{}</tool_call>").well(), "accepted\n");
    assert_eq!(run("so <tool_call").well(), "accepted\n");
    assert!(run("so <tool_call>}").out.starts_with("rejected at byte 14 "));
    assert!(run("so </tool_call>").out.starts_with("rejected at byte 3 "));
}

#[test]
fn a_mask_of_a_lazy_grammar_is_all_text_and_then_that_of_the_grammar() {
    let world = World::new();
    let file = world.file("day.gbnf", DAY);
    let script = world.script("");
    let vocab = scripted_vocab();
    let mask = |prefix: &str| -> Value {
        let lazy = ["grammar", "mask", &file, "--engine", "scripted", "--model", &script, "--trigger", "<day>"];
        serde_json::from_str(&world.run(&[&lazy[..], &["--prefix", prefix]].concat()).well()).unwrap()
    };
    let lazy = Compiler::new(vocab.clone(), Limits::default());
    let lazy = lazy.compile_lazy(DAY, &[Trigger::Literal("<day>".into())]).unwrap();
    for (prefix, may_end) in [("", true), ("é <da", true), ("so <day>", false), ("<day>2024-02</day>", true)] {
        let found = mask(prefix);
        let mut matcher = lazy.matcher().unwrap();
        for byte in prefix.bytes() {
            let is_byte = |token: &TokenId| vocab.kind(*token) == TokenKind::Text && vocab.bytes(*token) == [byte];
            matcher.commit((0..).map(TokenId).find(is_byte).unwrap()).unwrap();
        }
        let expected: Vec<u32> = matcher.mask().unwrap().tokens().map(|token| token.0).collect();
        assert_eq!((&found["ids"], &found["may_end"]), (&json!(expected), &json!(may_end)), "{prefix:?}");
    }
    let texts = (0..u32::try_from(vocab.len()).unwrap()).map(TokenId);
    let texts = texts.filter(|token| vocab.kind(*token) == TokenKind::Text && !vocab.bytes(*token).is_empty());
    assert_eq!(mask("free ")["count"], texts.filter(|token| !vocab.is_end_of_generation(*token)).count());
}

#[test]
fn triggers_without_what_they_need_are_usage_errors() {
    let world = World::new();
    let file = world.file("day.gbnf", DAY);
    let script = world.script("x");
    let model = ["--engine", "scripted", "--model", &script];
    assert_eq!(world.run(&[&["complete", "--trigger", "x"][..], &model].concat()).code, USAGE);
    assert_eq!(world.run(&[&["complete", "--trigger-token", "x"][..], &model].concat()).code, USAGE);
    let accepts = ["grammar", "accepts", &file, "--input", "x"];
    assert_eq!(world.run(&[&accepts[..], &["--trigger-token", "<tool_call>"]].concat()).code, USAGE);
    let refused = |trigger: &str, parts: &[&str]| {
        world.run(&[&accepts[..], &["--trigger", trigger]].concat()).refused(USAGE, parts);
    };
    refused(
        "day",
        &["day.gbnf: the trigger cannot be used: no text of the grammar begins with \"day\"", "take a text"],
    );
    refused("", &["it is empty"]);
    // What is wrong with the file itself stays an error of the file.
    let wrong = world.file("wrong.gbnf", "root ::= \"x");
    world.run(&["grammar", "accepts", &wrong, "--trigger", "x", "--input", "x"]).refused(DATA, &["wrong.gbnf: line 1"]);
}
