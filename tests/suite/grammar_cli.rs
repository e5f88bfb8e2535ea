//! `mneme grammar ..` and `mneme complete` through the program itself: what stands on the screen, and the exit code.

mod lazy;
#[cfg(feature = "llama-cpp")]
mod on_a_model;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use mneme::grammar::{Grammar, Limits, Verdict};
use mneme::inference::{Engine, Script, ScriptedEngine, TokenKind, Vocab};
use mneme::types::TokenId;
use serde_json::{Value, json};

use crate::harness::grammars::{self, Reject};
use crate::harness::program::{Program, binary, script};

const OK: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 2;
const DATA: i32 = 3;

/// A folder to work in, a home and a folder of models of its own.
struct World {
    folder: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path().join(name), content).unwrap();
        name.to_owned()
    }

    /// A script whose every reply is `reply`.
    fn script(&self, reply: &str) -> String {
        script(self.path(), &json!({"replies": [{"reply": reply, "repeat": true}]})).to_str().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = binary();
        command.current_dir(self.path()).env("MNEME_HOME", self.home()).args(arguments);
        command
    }

    /// Runs a command whose models are those of an empty folder.
    fn run(&self, arguments: &[&str]) -> Said {
        self.run_with_input(arguments, b"")
    }

    fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Said {
        let mut command = self.command(arguments);
        command.env("MNEME_MODELS", self.path().join("models"));
        said(command, input)
    }
}

fn said(mut command: std::process::Command, input: &[u8]) -> Said {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Said {
    /// It went well; what stands on standard output.
    #[track_caller]
    fn well(self) -> String {
        assert_eq!(self.code, OK, "{self:?}");
        self.out
    }

    /// It failed with `code`, said `parts` on standard error in this order, and nothing on standard output.
    #[track_caller]
    fn refused(self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        assert!(self.err.starts_with("error: "), "{self:?}");
        let mut rest = self.err.as_str();
        for part in parts {
            let at = rest.find(part).unwrap_or_else(|| panic!("no {part:?} in {rest:?}"));
            rest = &rest[at + part.len()..];
        }
        assert!(self.err.lines().count() >= 2, "no hint: {self:?}");
    }
}

fn scripted_vocab() -> Arc<Vocab> {
    Arc::clone(ScriptedEngine::new(Script::default()).vocab())
}

#[test]
fn the_shipped_grammars_are_listed_and_each_can_be_shown_and_is_right() {
    let world = World::new();
    let list = world.run(&["grammar", "list"]).well();
    let names: Vec<&str> = list.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(names.len() >= 10 && names.contains(&"json") && names.contains(&"functions-native"), "{list}");
    let script = world.script("");
    for name in names {
        let text = world.run(&["grammar", "show", name]).well();
        assert_eq!(text, grammars::source(name));
        let rules = text.lines().filter(|line| line.contains("::=")).count();
        let checked = world.run(&["grammar", "check", name, "--engine", "scripted", "--model", &script]);
        assert_eq!(checked.err, "", "a shipped grammar has a rule that is not used");
        let counted = format!("{name}: {rules} {}, ", if rules == 1 { "rule" } else { "rules" });
        let said = checked.well();
        let positions = said.strip_prefix(&counted).and_then(|rest| rest.strip_suffix(" positions, all right\n"));
        assert!(positions.is_some_and(|count| count.parse::<u32>().unwrap() > 5), "{said}");
    }
}

#[test]
fn a_wrong_grammar_is_told_with_line_column_text_and_mark() {
    let world = World::new();
    let cases = [
        ("root ::= a\na ::= \"x\" [a-z\n", "line 2, column 11, at `[`", "2 | a ::= \"x\" [a-z\n    |           ^"),
        ("root ::= a b\na ::= \"x\"\n", "line 1, column 12, at `b`", "1 | root ::= a b\n    |            ^"),
        ("root ::= a\na ::= a \"x\" | \"y\"\n", "line 2, column 1, at `a`: left recursion: a -> a", "2 | a ::= a"),
        ("root ::= a\na ::= \"x\" a\n", "line 1, column 1", "1 | root ::= a"),
    ];
    for (source, place, excerpt) in cases {
        let file = world.file("bad.gbnf", source);
        world.run(&["grammar", "check", &file]).refused(DATA, &["bad.gbnf: ", place, excerpt]);
        let standard_input = world.run_with_input(&["grammar", "check", "-"], source.as_bytes());
        standard_input.refused(DATA, &["(standard input): ", place]);
        world.run(&["grammar", "accepts", &file, "--input", "x"]).refused(DATA, &["bad.gbnf: ", place, excerpt]);
    }
    let file = world.file("none.gbnf", "start ::= \"a\"");
    world.run(&["grammar", "check", &file]).refused(DATA, &["no rule named `root`", "begin with a rule"]);
}

#[test]
fn rules_that_nothing_uses_are_noted() {
    let world = World::new();
    let file = world.file("spare.gbnf", "root ::= \"a\"\nspare ::= other\nother ::= \"b\"\n");
    let checked = world.run(&["grammar", "check", &file]);
    assert_eq!(checked.err, "note: not used from root: spare, other\n");
    assert_eq!(checked.well(), "spare.gbnf: 3 rules, 2 positions, all right\n");
}

#[test]
fn a_grammar_that_names_tokens_asks_for_a_model_and_takes_its_tokens() {
    let world = World::new();
    let file = world.file("call.gbnf", "root ::= \"a\" | <tool_call> \"b\"\n");
    world.run(&["grammar", "check", &file]).refused(USAGE, &["line 1, column 16", "<tool_call>", "--model NAME"]);
    world.run(&["grammar", "accepts", &file, "--input", "a"]).refused(USAGE, &["<tool_call>"]);
    let script = world.script("");
    let scripted = ["--engine", "scripted", "--model", &script];
    let run = |arguments: &[&str]| world.run(&[arguments, &scripted].concat());
    assert_eq!(run(&["grammar", "check", &file]).well(), "call.gbnf: 1 rule, 5 positions, all right\n");
    assert_eq!(run(&["grammar", "accepts", &file, "--input", "<tool_call>b"]).well(), "accepted\n");
    let rejected = run(&["grammar", "accepts", &file, "--input", "b"]);
    assert_eq!(rejected.code, FAILED);
    assert!(rejected.out.ends_with("could have come: `a`, the token <tool_call>\n"), "{rejected:?}");
    let other = world.file("other.gbnf", "root ::= <no_such_token>\n");
    run(&["grammar", "check", &other]).refused(DATA, &["line 1, column 10, at `<no_such_token>`"]);
    world.run(&["grammar", "check", &file, "--model", "no-such-model"]).refused(DATA, &["no-such-model"]);
    // Which texts it accepts depends on how a model cuts them.
    let not = world.file("not.gbnf", "root ::= !<tool_call> \"b\"\n");
    run(&["grammar", "accepts", &not, "--input", "ab"]).refused(USAGE, &["!<token>"]);
    run(&["grammar", "mask", &not, "--prefix", "a"]).refused(USAGE, &["!<token>"]);
    assert_eq!(run(&["grammar", "mask", &not]).code, OK);
}

#[test]
fn files_that_are_no_grammars_are_one_clear_sentence_and_exit_code_3() {
    let world = World::new();
    world.file("binary.gbnf", b"root ::= \"\xff\"");
    world.file("large.gbnf", "#".repeat(Limits::default().source_bytes + 1));
    std::fs::create_dir(world.path().join("folder.gbnf")).unwrap();
    let cases = [
        ("binary.gbnf", "is not UTF-8 at byte 10", "save it as UTF-8"),
        ("large.gbnf", "is larger than 4194304 bytes", "check"),
        ("folder.gbnf", "is a folder", "name a file in it"),
        ("missing.gbnf", "cannot read the grammar missing.gbnf", "check the path"),
        ("missing", "no grammar file missing and no shipped grammar", "shipped are arithmetic, chess"),
        ("./json", "cannot read the grammar ./json", "check the path"),
    ];
    for (file, sentence, hint) in cases {
        world.run(&["grammar", "check", file]).refused(DATA, &[sentence, hint]);
    }
    world.run(&["grammar", "accepts", "json", "--input", "@missing"]).refused(DATA, &["cannot read the input missing"]);
    world.run(&["grammar", "accepts", "-", "--input", "-"]).refused(USAGE, &["standard input"]);
}

#[test]
fn accepts_tells_where_a_text_fails_and_what_could_have_come() {
    let world = World::new();
    assert_eq!(world.run(&["grammar", "accepts", "json", "--input", "{\"a\": [1]}"]).well(), "accepted\n");
    let said = world.run(&["grammar", "accepts", "date", "--input", "2023-02-29"]);
    assert_eq!(said.code, FAILED);
    assert_eq!(
        said.out,
        "rejected at byte 9 (line 1, column 10): `9` cannot stand there\n  1 | 2023-02-29\n    |          ^\n\
         could have come: 0-8\n"
    );
    let said = world.run(&["grammar", "accepts", "json", "--input", "tru"]);
    assert_eq!(said.code, FAILED);
    assert!(said.out.starts_with("rejected: the text ends too early, at byte 3\n"), "{said:?}");
    assert!(said.out.ends_with("could follow: `e`\n"), "{said:?}");
    let said = world.run(&["grammar", "accepts", "json", "--input", "-"]);
    assert!(said.out.starts_with("rejected: the text ends too early, at byte 0\n"), "{said:?}");
}

#[test]
fn texts_come_from_the_argument_a_file_or_standard_input_byte_for_byte() {
    let world = World::new();
    let file = world.file("lines.gbnf", "root ::= \"-1\" \"\\n\"?");
    assert_eq!(world.run(&["grammar", "accepts", &file, "--input", "-1"]).well(), "accepted\n");
    assert_eq!(world.run_with_input(&["grammar", "accepts", &file, "--input", "-"], b"-1\n").well(), "accepted\n");
    world.file("text", "-1\n");
    assert_eq!(world.run(&["grammar", "accepts", &file, "--input", "@text"]).well(), "accepted\n");
    world.file("text", b"-1\xff");
    let said = world.run(&["grammar", "accepts", &file, "--input", "@text"]);
    assert_eq!(said.code, FAILED);
    assert!(said.out.starts_with("rejected at byte 2: the byte 0xFF cannot stand there\n"), "{said:?}");
}

#[test]
fn what_the_cases_of_the_shipped_grammars_say_is_what_the_program_says() {
    let world = World::new();
    let script = world.script("");
    for name in ["chess", "functions-native", "sql-select"] {
        let cases = grammars::cases(name);
        let run = |text: &str| {
            world.file("text", text);
            world.run(&["grammar", "accepts", name, "--input", "@text", "--engine", "scripted", "--model", &script])
        };
        for text in cases.accept {
            assert_eq!(run(&text).well(), "accepted\n", "{name}: {text:?}");
        }
        for Reject { text, at } in cases.reject {
            let said = run(&text);
            assert_eq!(said.code, FAILED, "{name}: {text:?}");
            let first = said.out.lines().next().unwrap();
            let place = if at < text.len() { format!("at byte {at} (") } else { format!("at byte {at}") };
            assert!(first.contains(&place), "{name}: {text:?}: {said:?}");
        }
    }
}

/// The ids that `grammar` allows behind `prefix`, by judging each token's bytes for itself.
fn judged_ids(grammar: &str, vocab: &Arc<Vocab>, prefix: &str) -> BTreeSet<u64> {
    let grammar = Grammar::compile(grammar, vocab, &Limits::default()).unwrap();
    let tokens = (0..u32::try_from(vocab.len()).unwrap()).map(TokenId);
    let is_text = |token: &TokenId| {
        vocab.kind(*token) == TokenKind::Text && !vocab.bytes(*token).is_empty() && !vocab.is_end_of_generation(*token)
    };
    let allowed = tokens.filter(is_text).filter(|token| {
        let text = [prefix.as_bytes(), vocab.bytes(*token)].concat();
        !matches!(grammar.judge(&text).unwrap(), Verdict::Refused { .. })
    });
    allowed.map(|token| u64::from(token.0)).collect()
}

#[track_caller]
fn assert_mask(said: &Value, expected: &BTreeSet<u64>) {
    let ids: Vec<u64> = said["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    assert_eq!(said["count"], ids.len());
    assert!(ids.is_sorted());
    assert_eq!(&BTreeSet::from_iter(ids), expected);
}

#[test]
fn a_mask_is_every_token_that_may_come_and_no_other() {
    let world = World::new();
    let script = world.script("");
    let vocab = scripted_vocab();
    for (name, prefix, may_end) in [
        ("json", "", false),
        ("json", "{\"a\": [1", false),
        ("json", "[1]", true),
        ("date", "20", false),
        ("list", "- é", false),
    ] {
        let arguments = ["grammar", "mask", name, "--engine", "scripted", "--model", &script, "--prefix", prefix];
        let mask: Value = serde_json::from_str(&world.run(&arguments).well()).unwrap();
        assert_eq!(mask["may_end"], may_end, "{name} {prefix:?}");
        assert!(mask["pieces"].is_null());
        assert_mask(&mask, &judged_ids(&grammars::source(name), &vocab, prefix));
    }
}

#[test]
fn a_mask_tells_pieces_tags_and_a_prefix_that_is_rejected() {
    let world = World::new();
    let script = world.script("");
    let run = |arguments: &[&str]| {
        world.run(&[&["grammar", "mask"], arguments, &["--engine", "scripted", "--model", &script]].concat())
    };
    let mask: Value =
        serde_json::from_str(&run(&["functions-native", "--prefix", "<tool_call>\n", "--pieces"]).well()).unwrap();
    assert!(mask["pieces"].as_array().unwrap().contains(&json!("{\"")) || mask["pieces"] == json!(["{"]), "{mask}");
    let mask: Value = serde_json::from_str(&run(&["functions-native"]).well()).unwrap();
    let tag = scripted_vocab().control("<tool_call>").unwrap();
    assert!(mask["ids"].as_array().unwrap().contains(&json!(tag.0)));
    let said = run(&["date", "--prefix", "2024-x"]);
    assert_eq!((said.code, said.out.as_str()), (FAILED, ""));
    assert!(said.err.starts_with("the prefix is rejected at byte 5 "), "{said:?}");
    world.run(&["grammar", "mask", "date", "--model", "none"]).refused(DATA, &["none"]);
}

#[test]
fn a_schema_is_printed_as_a_grammar_that_is_right() {
    let world = World::new();
    let file = world.file("flag.json", "{\"type\": \"boolean\"}");
    for whitespace in ["compact", "template", "flexible"] {
        let grammar = world.run(&["grammar", "from-schema", &file, "--whitespace", whitespace]).well();
        let checked = world.run_with_input(&["grammar", "check", "-"], grammar.as_bytes()).well();
        assert!(checked.starts_with("(standard input): "), "{checked}");
        let accepted = world.run_with_input(&["grammar", "accepts", "-", "--input", "true"], grammar.as_bytes());
        assert_eq!(accepted.well(), "accepted\n");
        let rejected = world.run_with_input(&["grammar", "accepts", "-", "--input", "1"], grammar.as_bytes());
        assert_eq!(rejected.code, FAILED);
    }
    let piped = world.run_with_input(&["grammar", "from-schema", "-"], b"{\"type\": \"boolean\"}");
    assert!(piped.well().contains("root ::="));
}

#[test]
fn the_grammar_of_a_large_schema_is_read_back_and_waits_for_a_trigger() {
    let world = World::new();
    let words: Vec<String> = (0..70_000).map(|at| format!("word{at:06}")).collect();
    let file = world.file("words.json", json!({"enum": words}).to_string());
    let grammar = world.run(&["grammar", "from-schema", &file]).well();
    assert!(grammar.len() > 1 << 20, "{} bytes", grammar.len());
    let checked = world.run_with_input(&["grammar", "check", "-"], grammar.as_bytes()).well();
    assert!(checked.ends_with("all right\n"), "{checked}");
    let script = world.script("It is \"word069998\"");
    let lazy = ["complete", "--engine", "scripted", "--model", &script, "--chat", "--schema", &file, "--trigger", "\""];
    assert_eq!(world.run(&lazy).well(), "It is \"word069998\"");
}

#[test]
fn schemas_that_cannot_be_used_are_errors_with_their_place() {
    let world = World::new();
    let file = world.file("cut.json", "{\"type\":\n \"object\"");
    world.run(&["grammar", "from-schema", &file]).refused(DATA, &["cut.json is not JSON", "line 2 column 9"]);
    let file = world.file("odd.json", "{\"type\": \"frobnicator\"}");
    world.run(&["grammar", "from-schema", &file]).refused(DATA, &["odd.json: ", "type"]);
    world.run(&["grammar", "from-schema", "none.json"]).refused(DATA, &["cannot read the schema none.json"]);
    world.run(&["grammar", "from-schema", "."]).refused(DATA, &["the schema . is a folder"]);
    let script = world.script("");
    let arguments = ["complete", "--schema", &file, "--engine", "scripted", "--model", &script];
    world.run(&arguments).refused(DATA, &["odd.json: "]);
}

#[test]
fn the_grammar_of_an_agents_next_step_knows_its_memory_and_needs_no_weights() {
    let world = World::new();
    let script = world.script("All right.");
    let start = || {
        let arguments = ["--agent", "ada", "--human", "./human.txt", "--persona", "./persona.txt", "--debug"];
        let mut command = world.command(&["run", "--jsonl", "--yes", "--engine", "scripted", "--model", &script]);
        command.args(arguments);
        Program::spawn(&world.home(), command)
    };
    world.file("human.txt", "The user keeps quokkas.");
    world.file("persona.txt", "I am terse.");
    std::fs::create_dir_all(world.home()).unwrap();
    std::fs::write(world.home().join("config.toml"), "memory_pass = false\n").unwrap();
    let mut program = start();
    program.say("Hello.");
    // While the chat is open, and after it.
    let grammar = world.run(&["grammar", "show", "--agent", "ada"]).well();
    assert!(program.close().success());
    assert!(grammar.contains("root ::= ") && grammar.contains("The user keeps quokkas."), "{grammar}");
    assert!(grammar.contains("core_memory_replace") && !grammar.contains("archival_memory_search\\\""), "{grammar}");
    assert_eq!(world.run(&["grammar", "show", "--agent", "ada"]).well(), grammar);
    let named = ["grammar", "show", "--agent", "ada", "--engine", "scripted", "--model", &script];
    assert_eq!(world.run(&named).well(), grammar);
    // It is the grammar that the next step has: the log of a run with --debug holds it.
    let mut program = start();
    program.say("Hello again.");
    assert!(program.close().success());
    let log = std::fs::read_to_string(world.home().join("logs/mneme.log")).unwrap();
    assert_eq!(log.matches(grammar.as_str()).count(), 2, "one for each turn");
    // What the model wrote is what the grammar takes.
    let scripted = ["--engine", "scripted", "--model", &script];
    let input = ["grammar", "accepts", "-", "--input", "All right."];
    assert_eq!(world.run_with_input(&[&input[..], &scripted].concat(), grammar.as_bytes()).well(), "accepted\n");
}

#[test]
fn agents_and_models_that_are_not_there_are_told() {
    use mneme::memory::{AgentMemory, NewAgent, Store};
    use mneme::types::SystemClock;
    let world = World::new();
    world.run(&["grammar", "show", "--agent", "ada"]).refused(USAGE, &["there is no agent ada\n", "mneme run --agent"]);
    assert!(!world.home().exists(), "looking for an agent makes no home");
    let store = Store::open(&world.home().join("mneme.db"), &SystemClock).unwrap();
    let agent = NewAgent {
        model: "moved-away".into(),
        profile: "native".into(),
        context_window_tokens: 4096,
        ..NewAgent::named("bob", 0)
    };
    drop(AgentMemory::create(store, &agent).unwrap());
    world.run(&["grammar", "show", "--agent", "ada"]).refused(USAGE, &["there is no agent ada; there are bob"]);
    world
        .run(&["grammar", "show", "--agent", "bob"])
        .refused(DATA, &["the model moved-away of the agent bob cannot be used", "--model"]);
    let script = world.script("");
    let named = ["grammar", "show", "--agent", "bob", "--engine", "scripted", "--model", &script];
    assert!(world.run(&named).well().contains("root ::= "));
    assert_eq!(world.run(&["grammar", "show"]).code, USAGE);
    assert_eq!(world.run(&["grammar", "show", "json", "--agent", "bob"]).code, USAGE);
    world.run(&["grammar", "show", "no-such"]).refused(DATA, &["no shipped grammar of that name"]);
}

#[test]
fn complete_writes_the_text_and_nothing_else_to_standard_output() {
    let world = World::new();
    let script = world.script("{\"grüße\": [1, \"生日\"]}");
    let chat = ["complete", "--engine", "scripted", "--model", &script, "--chat", "--prompt", "hi"];
    let said = world.run(&[&chat[..], &["--grammar", "json"]].concat());
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (OK, "{\"grüße\": [1, \"生日\"]}", ""));
    let said = world.run(&chat);
    assert_eq!(said.well(), "{\"grüße\": [1, \"生日\"]}");
    let raw =
        ["complete", "--engine", "scripted", "--model", &script, "--grammar", "json", "--special", "--prompt", "-"];
    assert_eq!(world.run_with_input(&raw, b"<|im_start|>assistant\n").well(), "{\"grüße\": [1, \"生日\"]}");
    world.file("prompt", "<|im_start|>assistant\n");
    let raw = ["complete", "--engine", "scripted", "--model", &script, "--special", "--prompt", "@prompt"];
    assert_eq!(world.run(&raw).well(), "{\"grüße\": [1, \"生日\"]}");
}

#[test]
fn a_raw_prompt_that_spells_control_tokens_stays_text() {
    let world = World::new();
    let script = world.script("x");
    let arguments = ["complete", "--engine", "scripted", "--model", &script, "--prompt", "<|im_start|>assistant\n"];
    // The scripted model answers only behind the control token.
    world.run(&arguments).refused(DATA, &["no reply fits"]);
}

#[test]
fn complete_is_held_to_the_grammar_and_says_when_it_is_cut_off() {
    let world = World::new();
    let script = world.script("Sure, here is the date: 2024-02-29. Enjoy!");
    let chat = ["complete", "--engine", "scripted", "--model", &script, "--chat"];
    let run = |arguments: &[&str]| world.run(&[&chat, arguments].concat());
    let text = run(&["--grammar", "date"]).well();
    let judge = Grammar::compile(&grammars::source("date"), &scripted_vocab(), &Limits::default()).unwrap();
    assert_eq!(judge.judge(text.as_bytes()).unwrap(), Verdict::Accepted, "{text}");
    let cut = run(&["--grammar", "date", "--max-tokens", "2"]);
    assert_eq!(cut.code, FAILED, "half a date is no date");
    assert_eq!(cut.err, "note: cut off after 2 tokens (see --max-tokens)\n");
    let cut = run(&["--max-tokens", "2"]);
    assert_eq!(cut.code, OK, "without a grammar any text is whole");
    assert_eq!(cut.err, "note: cut off after 2 tokens (see --max-tokens)\n");
    let schema = world.file("flag.json", "{\"type\": \"boolean\"}");
    let text = run(&["--schema", &schema]).well();
    assert!(["true", "false"].contains(&text.as_str()), "{text}");
}

#[test]
fn complete_reports_as_json() {
    let world = World::new();
    let script = world.script("2024-02-29");
    let chat = ["complete", "--engine", "scripted", "--model", &script, "--chat", "--json", "--grammar"];
    let run = |arguments: &[&str]| world.run(&[&chat, arguments].concat());
    let whole: Value = serde_json::from_str(&run(&["date"]).well()).unwrap();
    assert_eq!((&whole["text"], &whole["stop_reason"]), (&json!("2024-02-29"), &json!("complete")));
    assert_eq!((&whole["accepted"], &whole["model"]), (&json!(true), &json!("scripted")));
    let count = |field: &str| whole[field].as_u64().unwrap_or_else(|| panic!("{field} in {whole}"));
    assert_eq!(count("tokens"), count("tokens_sampled") + count("tokens_forced"));
    assert!(count("prompt_tokens") > 0 && count("tokens_forced") > 0);
    for field in ["forward_passes", "read_ms", "decode_ms", "mask_us"] {
        count(field);
    }
    let cut = run(&["date", "--max-tokens", "1"]);
    assert_eq!(cut.code, FAILED);
    let cut: Value = serde_json::from_str(&cut.out).unwrap();
    assert_eq!(
        (&cut["stop_reason"], &cut["accepted"], &cut["tokens"]),
        (&json!("max_tokens"), &json!(false), &json!(1))
    );
    let free = world.run(&chat[..chat.len() - 1]);
    let free: Value = serde_json::from_str(&free.well()).unwrap();
    assert_eq!((&free["stop_reason"], &free["accepted"]), (&json!("end"), &Value::Null));
}

#[test]
fn wrong_settings_of_complete_are_usage_errors_and_found_before_the_model_is_loaded() {
    let world = World::new();
    let script = world.script("x");
    let base = ["complete", "--engine", "scripted", "--model", &script];
    let run = |arguments: &[&str]| world.run(&[&base, arguments].concat());
    run(&["--temperature", "-1"]).refused(USAGE, &["temperature"]);
    assert_eq!(run(&["--grammar", "json", "--schema", "x.json"]).code, USAGE);
    assert_eq!(run(&["--whitespace", "compact"]).code, USAGE);
    assert_eq!(run(&["--closed"]).code, USAGE);
    assert_eq!(run(&["--chat", "--special"]).code, USAGE);
    assert_eq!(world.run(&["complete", "--prompt", "x"]).code, USAGE);
    run(&["--prompt", "@none"]).refused(DATA, &["cannot read the prompt none"]);
    run(&["--grammar", "none"]).refused(DATA, &["no grammar file none"]);
    run(&["--grammar", "-", "--prompt", "-"]).refused(USAGE, &["the prompt cannot come from standard input"]);
    world.file("prompt", b"\xff");
    run(&["--prompt", "@prompt"]).refused(DATA, &["the prompt prompt is not UTF-8 at byte 0"]);
    run(&["--prompt", &"word ".repeat(5000)]).refused(DATA, &["do not fit the context window of 4096"]);
    world.run(&["complete", "--model", "none", "--prompt", "x"]).refused(DATA, &["none"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_written_and_ends_with_130() {
    use std::io::Read;
    let world = World::new();
    let reply = "one two three four five six seven eight nine ten ".repeat(40);
    let path = script(world.path(), &json!({"replies": [{"reply": reply}], "token_delay_ms": 20}));
    let mut command = world.command(&["complete", "--engine", "scripted", "--chat", "--model"]);
    command.arg(path).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut first = [0; 3];
    output.read_exact(&mut first).unwrap();
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let text = format!("{}{rest}", String::from_utf8(first.to_vec()).unwrap());
    assert!(reply.starts_with(&text) && text.len() < reply.len(), "{text}");
}

#[test]
fn samples_are_one_json_string_a_line() {
    let world = World::new();
    let script = world.script("- a\n- b\n");
    let base = ["grammar", "sample", "list", "--engine", "scripted", "--model", &script, "--chat"];
    let run = |arguments: &[&str]| world.run(&[&base, arguments].concat());
    assert_eq!(run(&["-n", "3"]).well(), "\"- a\\n- b\\n\"\n".repeat(3));
    let cut = run(&["-n", "2", "--max-tokens", "2"]);
    assert_eq!(cut.code, FAILED);
    assert_eq!(cut.out.lines().count(), 2);
    let note =
        |number: u32| format!("note: sample {number} is not complete: cut off after 2 tokens (see --max-tokens)\n");
    assert_eq!(cut.err, note(1) + &note(2));
    assert_eq!(run(&["-n", "0"]).code, USAGE);
    world.run(&["grammar", "sample", "list", "--model", "none"]).refused(DATA, &["none"]);
}
