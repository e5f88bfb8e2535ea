//! Commands on a pseudo-terminal: a block in the user's own editor, messages of several lines.

use std::path::Path;

use mneme::types::Draft;
use serde_json::json;

use crate::harness::screen::Screen;
use crate::harness::world::World;

fn start(world: &World, editor: &str) -> Screen {
    let script = world.script(&json!({"replies": [], "otherwise": "All right."}));
    let variables = [("VISUAL", ""), ("EDITOR", editor)];
    let mut screen = Screen::start(world.home.path(), &script, &["--agent", "a", "--first"], &variables);
    screen.until_prompt();
    screen
}

fn human(world: &World) -> String {
    let sql = "SELECT text FROM core_memory WHERE label = 'human'";
    world.database().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn drafts(home: &Path) -> usize {
    let is_draft = |name: &str| name.ends_with(".draft.txt");
    let entries = std::fs::read_dir(home).unwrap();
    entries.filter(|entry| is_draft(&entry.as_ref().unwrap().file_name().to_string_lossy())).count()
}

#[test]
fn a_block_is_edited_in_the_users_editor_from_a_private_file() {
    let world = World::new();
    let log = world.path("log");
    let editor = format!("sh -c 'stat -c %a \"$1\" > {log}; echo Edited by hand. >> \"$1\"' ed");
    let mut screen = start(&world, &editor);
    let before = human(&world);
    screen.line("/core human");
    screen.until("notice", |text| text.contains("human is changed"));
    screen.until_prompt();
    assert_eq!(std::fs::read_to_string(&log).unwrap().trim(), "600");
    assert_eq!(human(&world), format!("{before}\nEdited by hand.").trim());
    assert_eq!(drafts(world.home.path()), 0);
    screen.line("/memory");
    screen.until("edit", |text| text.contains("human (core): + Edited by hand."));
    screen.until_prompt();
    screen.leave();
}

#[test]
fn what_is_too_long_for_a_block_is_refused_and_kept_for_the_next_editing() {
    let world = World::new();
    let once = world.path("once");
    // The first time it writes too much, later it shortens what it finds.
    let editor = format!(
        "sh -c 'if [ -e {once} ]; then cut -c1-40 \"$1\" > {once}; cat {once} > \"$1\"; else touch {once}; \
         head -c 3000 /dev/zero | tr \"\\\\0\" x > \"$1\"; fi' ed"
    );
    let mut screen = start(&world, &editor);
    let before = human(&world);
    screen.line("/core human");
    screen.until("refusal", |text| text.contains("3000 characters") && text.contains("opens it again"));
    screen.until_prompt();
    assert_eq!((human(&world), drafts(world.home.path())), (before, 1));
    screen.line("/core human");
    screen.until("notice", |text| text.contains("human is changed"));
    screen.until_prompt();
    assert_eq!((human(&world), drafts(world.home.path())), ("x".repeat(40), 0));
    screen.leave();
}

#[test]
fn a_draft_of_a_text_that_has_changed_since_is_named_and_overwrites_nothing() {
    let world = World::new();
    let mut screen = start(&world, "true");
    let before = human(&world);
    // What a killed program leaves: a draft of an earlier text, one without a word of the user's, one of another agent.
    let draft = |agent: &str, began: &str| Draft::new(world.home.path(), agent, "human", began).path;
    std::fs::write(draft("a", "Earlier."), "Earlier.\nAnd what I wrote.\n").unwrap();
    std::fs::write(draft("a", "Untouched."), "Untouched.\n").unwrap();
    std::fs::write(draft("b", &before), "Of another agent.\n").unwrap();
    screen.line("/core human");
    screen.until("notice", |text| text.contains("is kept in") && text.contains("Nothing was changed."));
    screen.until_prompt();
    assert_eq!((human(&world), drafts(world.home.path())), (before, 2));
    assert_eq!(std::fs::read_to_string(draft("a", "Earlier.")).unwrap(), "Earlier.\nAnd what I wrote.\n");
    screen.leave();
}

#[test]
fn a_draft_that_is_opened_again_is_announced() {
    let world = World::new();
    let mut screen = start(&world, "true");
    let draft = Draft::new(world.home.path(), "a", "human", &human(&world)).path;
    std::fs::write(&draft, "What I wrote.\n").unwrap();
    screen.line("/core human");
    screen.until("notice", |text| text.contains("opens what you wrote before") && text.contains("human is changed"));
    screen.until_prompt();
    assert_eq!((human(&world), drafts(world.home.path())), ("What I wrote.".to_owned(), 0));
    screen.leave();
}

#[test]
fn an_editor_that_fails_or_changes_nothing_changes_nothing() {
    for (editor, told) in [("true", "Nothing was changed."), ("false", "ended with"), ("/no/such/editor", "ended with")]
    {
        let world = World::new();
        let mut screen = start(&world, editor);
        let before = human(&world);
        screen.line("/core human");
        screen.until("answer", |text| text.contains(told));
        screen.until_prompt();
        assert_eq!((human(&world), drafts(world.home.path())), (before, 0), "{editor}");
        screen.leave();
    }
}

/// An editor that goes on until Ctrl-C is pressed in it, and then writes this.
fn stubborn_editor(world: &World, writes: &str) -> String {
    let script = format!(
        "#!/bin/sh\ntrap 'pressed=1' INT\necho editing\nwhile [ -z \"$pressed\" ]; do sleep 0.1; done\n\
         echo '{writes}' > \"$1\"\n"
    );
    format!("sh {}", world.file("editor", script))
}

#[test]
fn ctrl_c_in_the_editor_is_the_editors() {
    let world = World::new();
    let mut screen = start(&world, &stubborn_editor(&world, "I row."));
    screen.line("/core human");
    screen.until("editor", |text| text.contains("editing"));
    screen.keys(b"\x03");
    screen.until("notice", |text| text.contains("human is changed"));
    screen.until_prompt();
    assert_eq!(human(&world), "I row.");
    screen.line("Are you there?");
    screen.until("reply", |text| text.contains("a> All right."));
    screen.until_prompt();
    // At the prompt it leaves, as before.
    screen.keys(b"\x03");
    screen.ends(0);
    let editor = stubborn_editor(&world, "seed = 7");
    let variables = [("VISUAL", ""), ("EDITOR", editor.as_str())];
    let mut screen = Screen::run(world.home.path(), &["config", "edit"], &variables);
    screen.until("editor", |text| text.contains("editing"));
    screen.keys(b"\x03");
    screen.ends(0);
    assert_eq!(std::fs::read_to_string(world.home.path().join("config.toml")).unwrap(), "seed = 7\n");
}

#[test]
fn a_message_that_the_end_of_the_input_cuts_off_is_sent() {
    for (first, last) in [("remember this\\", "\u{4}"), ("//\rremember this", "\u{4}")] {
        let world = World::new();
        let mut screen = start(&world, "true");
        screen.line(first);
        screen.until("further prompt", |text| text.trim_end().ends_with("...>"));
        screen.keys(last.as_bytes());
        screen.until("reply", |text| text.contains("a> All right.") && text.trim_end().ends_with("you>"));
        screen.leave();
        let sql = "SELECT searchable FROM messages WHERE kind = 'user'";
        let said: String = world.database().query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(said, "remember this", "{first:?}");
    }
}

#[test]
fn a_message_has_several_lines_by_a_backslash_or_by_pasting() {
    let world = World::new();
    let mut screen = start(&world, "true");
    screen.line("first line\\");
    screen.until("further prompt", |text| text.trim_end().ends_with("...>"));
    screen.line("second line");
    screen.until("reply", |text| text.contains("a> All right."));
    screen.until_prompt();
    screen.keys(b"\x1b[200~pasted one\rpasted two\x1b[201~");
    screen.line("");
    screen.until("reply", |text| text.matches("a> All right.").count() == 2);
    screen.until_prompt();
    // Ctrl-C gives up what was begun, and not the chat.
    screen.line("never sent\\");
    screen.until("further prompt", |text| text.trim_end().ends_with("...>"));
    screen.keys(b"\x03");
    screen.until_prompt();
    screen.leave();
    let database = world.database();
    let mut statement = database.prepare("SELECT searchable FROM messages WHERE kind = 'user' ORDER BY id").unwrap();
    let said: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(said, ["first line\nsecond line", "pasted one\npasted two"]);
}

#[test]
fn two_slashes_begin_messages_of_several_lines_that_an_empty_line_sends() {
    let world = World::new();
    let mut screen = start(&world, "true");
    screen.line("");
    screen.until("advice", |text| text.contains("Nothing was typed"));
    screen.until_prompt();
    screen.line("//");
    screen.until("notice", |text| text.contains("an empty line sends one"));
    screen.until_prompt();
    for (number, line) in ["first line", "/second line"].into_iter().enumerate() {
        screen.line(line);
        screen.until("further prompt", |text| {
            text.matches("...>").count() == number + 1 && text.trim_end().ends_with("...>")
        });
    }
    screen.line("");
    screen.until("reply", |text| text.contains("a> All right."));
    screen.until_prompt();
    screen.line("//");
    screen.until("notice", |text| text.contains("sent by Enter again"));
    screen.until_prompt();
    screen.line("!help");
    screen.until("advice", |text| text.contains("begin with /") && text.contains("put a space before it"));
    screen.until_prompt();
    screen.line(" !important");
    screen.until("reply", |text| text.matches("a> All right.").count() == 2);
    screen.until_prompt();
    screen.leave();
    let database = world.database();
    let mut statement = database.prepare("SELECT searchable FROM messages WHERE kind = 'user' ORDER BY id").unwrap();
    let said: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(said, ["first line\n/second line", "!important"]);
}

#[test]
fn system_instructions_are_swapped_on_a_terminal_only_after_a_yes() {
    let world = World::new();
    let instructions = || -> Option<String> {
        world.database().query_row("SELECT instructions FROM agents", [], |row| row.get(0)).unwrap()
    };
    let mut screen = start(&world, "true");
    screen.line("/systemswap /no/such/file");
    screen.until("refusal", |text| text.contains("no system instructions"));
    screen.until_prompt();
    for (answer, expected) in [("", None), ("n", None), ("yes", Some("You are a pirate.".to_owned()))] {
        screen.line("/systemswap You are a pirate.");
        screen.until("question", |text| text.trim_end().ends_with("Swap the system instructions? [y/N]"));
        assert_eq!(screen.cell("+ You are a pirate.").fgcolor(), vt100::Color::Idx(2));
        screen.line(answer);
        screen.until_prompt();
        assert_eq!(instructions(), expected);
    }
    screen.leave();
}
