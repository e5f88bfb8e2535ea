//! The chat on a pseudo-terminal: nothing from model or files steers it, thoughts look different from replies, and
//! Ctrl-C stops the generation, not the program.

use std::path::Path;

use mneme::dialect::Profile;
use serde_json::{Value, json};

use crate::harness::agent::answer;
use crate::harness::program::{Program, script};
use crate::harness::screen::Screen;

/// Clears the screen, names the window, turns text around, and the same with C1 controls.
const STEERING: &str =
    "\u{1b}[2J\u{1b}[31;7m\u{1b}]0;taken over\u{7}\u{202e}\u{2066}\u{9b}2J\u{9d}0;again\u{9c}\u{8}\u{7f}";

fn start(home: &Path, replies: Value, token_delay_ms: u64, arguments: &[&str], variables: &[(&str, &str)]) -> Screen {
    let content = json!({"replies": replies, "otherwise": "All right.", "token_delay_ms": token_delay_ms});
    let arguments = [&["--agent", "a", "--first"], arguments].concat();
    Screen::start(home, &script(home, &content), &arguments, variables)
}

/// No sequence of the payload and no character that steers is in what was written; what editor and colours write is.
fn assert_unsteered(raw: &[u8]) {
    let text = String::from_utf8_lossy(raw);
    for sequence in
        ["\u{1b}[2J", "\u{1b}[31;7m", "\u{1b}]0;", "\u{7}", "\u{202e}", "\u{2066}", "\u{9b}", "\u{9d}", "\u{9c}"]
    {
        assert!(!text.contains(sequence), "{sequence:?} was written: {text:?}");
    }
}

#[test]
fn escapes_of_model_and_persona_do_not_reach_the_terminal() {
    let home = tempfile::tempdir().unwrap();
    let persona = home.path().join("evil.txt");
    std::fs::write(&persona, format!("I am {STEERING}calm.")).unwrap();
    // What a script has said earlier is shown again by /dump.
    let quiet = script(home.path(), &json!({"replies": [], "otherwise": "All right."}));
    let arguments = ["--agent", "a", "--persona", persona.to_str().unwrap()];
    let mut program = Program::start(home.path(), &quiet, &arguments);
    program.say(&format!("Earlier {STEERING}said."));
    assert!(program.close().success());
    // Grammars let a model write no control characters, so that its reply ends there; other marks of direction pass.
    let replies = json!([{"reply": format!("Before {STEERING}after.")}, {"reply": "Left\u{202e} and \u{2066}right."}]);
    let mut screen = start(home.path(), replies, 0, &[], &[]);
    screen.until_prompt();
    screen.line("Hello there.");
    screen.until("reply", |text| text.contains("a> Before"));
    screen.until_prompt();
    screen.line("And now?");
    screen.until("reply", |text| text.contains("a> Left and right."));
    screen.until_prompt();
    screen.line("/memory");
    let text = screen.until("memory", |text| text.contains("calm."));
    assert!(text.contains("Hello there.") && text.contains("Before"), "nothing was cleared: {text}");
    screen.until_prompt();
    screen.line("/dump");
    screen.until("dump", |text| text.contains("said."));
    screen.until_prompt();
    assert_unsteered(&screen.leave());
}

#[test]
fn thoughts_look_different_from_the_reply() {
    let home = tempfile::tempdir().unwrap();
    let replies = json!([{"reply": answer(Profile::Classic, "Good evening to you.")}]);
    let mut screen = start(home.path(), replies, 0, &["--profile", "classic"], &[]);
    screen.until_prompt();
    screen.line("Hello.");
    screen.until("reply and prompt", |text| text.contains("Good evening to you.") && text.trim_end().ends_with("you>"));
    assert_eq!(screen.text().matches("Good evening to you.").count(), 1, "{}", screen.text());
    let (thought, reply) = (screen.cell("I answer."), screen.cell("Good evening"));
    assert!(thought.italic() || thought.dim() || thought.fgcolor() != reply.fgcolor(), "{}", screen.text());
    assert!(!reply.italic() && !reply.dim());
    assert!(screen.text().contains("~ I answer."), "also without colours: {}", screen.text());
    screen.leave();
}

#[test]
fn ctrl_c_stops_the_reply_and_not_the_program() {
    let home = tempfile::tempdir().unwrap();
    let replies = json!([{"reply": "On and on it went. ".repeat(300)}, {"reply": "Yes, I am here."}]);
    let mut screen = start(home.path(), replies, 15, &[], &[]);
    screen.until_prompt();
    screen.line("Tell me a story.");
    screen.until("beginning of the reply", |text| text.contains("On and on it went. On"));
    screen.keys(b"\x03");
    screen.until("notice", |text| text.contains("stopped"));
    screen.until_prompt();
    screen.line("Are you there?");
    screen.until("second reply", |text| text.contains("Yes, I am here."));
    screen.until_prompt();
    screen.leave();
}

#[test]
fn a_reply_that_a_kill_cut_off_is_named_at_the_next_start() {
    let home = tempfile::tempdir().unwrap();
    let long = "On and on it went. ".repeat(300);
    let mut screen = start(home.path(), json!([{"reply": long}]), 15, &[], &[]);
    screen.until_prompt();
    screen.line("Tell me a story.");
    screen.until("beginning of the reply", |text| text.contains("On and on it went. On"));
    screen.kill();
    let mut screen = start(home.path(), json!([]), 0, &[], &[]);
    let text = screen.until_prompt();
    assert!(text.contains("was cut off") && text.contains("is kept"), "{text}");
    screen.leave();
}

#[test]
fn what_a_memory_pass_saves_is_shown_above_a_half_typed_line() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), "memory_pass = true\n").unwrap();
    let note = "The user's neighbour breeds llamas.";
    let replies = json!([
        {"when": "Message:\nMy neighbour breeds llamas.", "reply": format!("FACT: {note}"), "repeat": true},
        {"when": "Message:\n", "reply": "NONE", "repeat": true},
        {"when": "half typed and finished", "reply": "The whole line came."},
    ]);
    let mut screen = start(home.path(), replies, 60, &[], &[]);
    screen.until_prompt();
    screen.line("My neighbour breeds llamas.");
    screen.until("reply", |text| text.contains("a> All right."));
    screen.until_prompt();
    screen.keys(b"half typed");
    let text = screen
        .until("the note above the line", |text| text.contains(note) && text.trim_end().ends_with("you> half typed"));
    assert!(text.contains(&format!("  noted: {note}")) && !text.contains("core_memory_append"), "{text}");
    assert_eq!(text.matches("half typed").count(), 1, "{text}");
    screen.line(" and finished");
    let text = screen.until("reply", |text| text.contains("a> The whole line came."));
    assert_eq!(text.matches("noted: ").count(), 1, "{text}");
    screen.until_prompt();
    screen.leave();
}

#[test]
fn what_is_typed_during_a_reply_does_not_stand_in_it() {
    let home = tempfile::tempdir().unwrap();
    let replies = json!([{"reply": "Once there was a tower. ".repeat(12).trim_end()}, {"reply": "Yes, heard."}]);
    let mut screen = start(home.path(), replies, 15, &[], &[]);
    screen.until_prompt();
    screen.line("Tell me a story.");
    screen.until("beginning of the reply", |text| text.contains("a> Once there was"));
    screen.line("Typed too early.");
    let text = screen.until("second reply", |text| text.contains("a> Yes, heard."));
    let story = text.split("a> Once").nth(1).unwrap().split("you>").next().unwrap();
    assert!(!story.contains("Typed"), "{text}");
    assert!(text.contains("you> Typed too early."), "{text}");
    screen.until_prompt();
    screen.leave();
}

#[test]
fn what_was_typed_ahead_outlives_ctrl_c() {
    let home = tempfile::tempdir().unwrap();
    let replies = json!([{"reply": "On and on it went. ".repeat(300)}, {"reply": "Yes, heard."}]);
    let mut screen = start(home.path(), replies, 15, &[], &[]);
    screen.until_prompt();
    screen.line("Tell me a story.");
    screen.until("beginning of the reply", |text| text.contains("On and on it went. On"));
    screen.line("Typed ahead.");
    screen.until("more of the reply", |text| text.matches("On and on").count() > 8);
    screen.keys(b"\x03");
    screen.until("stop", |text| text.contains("stopped"));
    let text = screen.until("second reply", |text| text.contains("a> Yes, heard."));
    assert!(text.contains("you> Typed ahead."), "{text}");
    screen.until_prompt();
    screen.leave();
}

#[test]
fn lines_that_are_typed_faster_than_they_are_answered_are_all_sent() {
    let home = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..30).map(|number| format!("Line {number}.")).collect();
    let replies: Vec<_> = texts.iter().map(|text| json!({"when": text, "reply": format!("Heard: {text}")})).collect();
    let mut screen = start(home.path(), json!(replies), 0, &[], &[]);
    screen.until_prompt();
    // Some of them arrive between a reply and the next prompt.
    for text in &texts {
        screen.line(text);
    }
    let written = String::from_utf8(screen.leave()).unwrap();
    for text in texts {
        assert!(written.contains(&format!("Heard: {text}")), "{text}: {written}");
    }
}

#[test]
fn a_message_may_begin_with_a_slash_behind_a_space() {
    let home = tempfile::tempdir().unwrap();
    let replies = json!([{"when": "/usr/bin is full of files", "reply": "Yes, heard."}]);
    let mut screen = start(home.path(), replies, 0, &[], &[]);
    screen.until_prompt();
    screen.line("/usr/bin is full of files");
    let text = screen.until("error", |text| text.contains("put a space before it"));
    assert!(text.contains("error: there is no command /usr/bin\n  commands:\n  /exit"), "{text}");
    assert!(text.lines().filter(|line| line.starts_with('/')).count() == 0, "every line is indented: {text}");
    screen.until_prompt();
    screen.line(" /usr/bin is full of files");
    screen.until("reply", |text| text.contains("a> Yes, heard."));
    screen.until_prompt();
    screen.line("/pop x");
    let text = screen.until("usage", |text| text.contains("usage: /pop [n]"));
    assert_eq!(text.matches("commands:").count(), 1, "{text}");
    screen.until_prompt();
    screen.line("/dump 2");
    let text = screen.until("dump", |text| text.contains("[1]"));
    assert!(text.contains("user: /usr/bin is full"), "{text}");
    screen.until_prompt();
    screen.leave();
}

#[test]
fn leaving_by_a_key_leaves_no_line_in_the_history() {
    for key in [b"\x03", b"\x04"] {
        let home = tempfile::tempdir().unwrap();
        let mut screen = start(home.path(), json!([]), 0, &[], &[]);
        screen.until_prompt();
        screen.line("Hello.");
        screen.until("reply", |text| text.contains("a> All right."));
        screen.until_prompt();
        screen.keys(key);
        screen.ends(0);
        let history = std::fs::read_to_string(home.path().join("history.txt")).unwrap();
        assert!(history.contains("Hello.") && !history.contains("/exit"), "{history}");
    }
}

#[test]
fn no_word_is_cut_at_the_edge_also_after_a_resize() {
    let home = tempfile::tempdir().unwrap();
    let words = "lighthouse keepers write letters every evening ".repeat(6);
    let replies = json!([{"reply": words.trim_end()}, {"reply": words.trim_end()}]);
    let mut screen = start(home.path(), replies, 0, &[], &[]);
    screen.until_prompt();
    for columns in [120, 40] {
        screen.resize(columns);
        screen.line("Tell me.");
        let text =
            screen.until("reply", |text| text.matches("every").count() == 6 && text.trim_end().ends_with("you>"));
        for line in text.lines().filter(|line| line.contains("e")) {
            for word in line.split_whitespace().filter(|word| !word.ends_with('>')) {
                assert!(format!("{words} Tell me.").split(' ').any(|whole| whole == word), "{word:?} in {text}");
            }
        }
    }
    screen.leave();
}

#[test]
fn it_works_without_colours_and_on_a_dumb_terminal() {
    for variables in [vec![("NO_COLOR", "1")], vec![("TERM", "dumb")], vec![("TERM", "dumb"), ("CI", "true")]] {
        let home = tempfile::tempdir().unwrap();
        let replies = json!([{"reply": answer(Profile::Classic, "Good evening to you.")}]);
        let mut screen = start(home.path(), replies, 0, &["--profile", "classic"], &variables);
        screen.until_prompt();
        screen.line("Hello.");
        screen.until("reply", |text| text.contains("Good evening to you."));
        let text = screen.until_prompt();
        assert!(text.contains("~ I answer."), "{text}");
        let colour = String::from_utf8_lossy(&screen.raw).into_owned();
        for code in ["\u{1b}[32m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[3m", "\u{1b}[33m", "\u{1b}[36m"] {
            assert!(!colour.contains(code), "{variables:?}: {code:?} in {colour:?}");
        }
        screen.leave();
    }
}

#[test]
fn a_program_that_is_told_to_end_gives_the_terminal_back_as_it_was() {
    for signal in ["TERM", "HUP", "QUIT"] {
        let home = tempfile::tempdir().unwrap();
        let replies = json!([{"reply": "On and on it went. ".repeat(300)}]);
        let mut screen = start(home.path(), replies, 15, &[], &[]);
        screen.until_prompt();
        screen.line("Tell me a story.");
        screen.until("beginning of the reply", |text| text.contains("On and on it went. On"));
        assert!(screen.ends_soundly(signal), "{signal} while a reply streams");
        let mut screen = start(home.path(), json!([]), 0, &[], &[]);
        screen.until_prompt();
        assert!(screen.ends_soundly(signal), "{signal} at the prompt");
    }
}
