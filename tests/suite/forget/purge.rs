//! What was deleted leaves the files also where the program was killed behind the deletion, or could not purge: the next
//! command finishes it and says so.

use std::path::PathBuf;

use mneme::memory::{AgentMemory, Purge, Store, Wanted};
use mneme::types::{Draft, ManualClock};
use serde_json::json;

use super::{SECRET, holding, open};
use crate::harness::world::World;

/// A home in which the agent `a` was told the secret, with files beside the database that hold it.
fn told() -> World {
    let world = World::new();
    let mut program = world.start(json!([]), &[]);
    program.say("My word is Xanthoquark.");
    assert!(program.close().success());
    let home = world.home.path();
    std::fs::write(home.join("history.txt"), "#V2\nMy word is Xanthoquark.\nMy other word.\n").unwrap();
    std::fs::write(Draft::new(home, "a", "human", "").path, "Xanthoquark").unwrap();
    std::fs::copy(home.join("mneme.db"), home.join("mneme.db.part")).unwrap();
    world
}

fn store(world: &World) -> Store {
    Store::open(&world.home.path().join("mneme.db"), &ManualClock::at(0)).unwrap()
}

fn said(world: &World, arguments: &[&str]) -> (bool, String) {
    let output = world.run(arguments);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    (output.status.success(), text.split_whitespace().collect::<Vec<_>>().join(" "))
}

const FINISHED: &str = "What was deleted before had not left all files yet; now it has.";

#[test]
fn a_deletion_that_was_killed_before_its_purge_is_finished_by_the_next_command() {
    let world = told();
    // All that a killed process has done.
    store(&world).delete_agent("a").unwrap();
    assert!(holding(world.home.path(), SECRET).len() >= 3);
    let (is_done, text) = said(&world, &["list", "agents"]);
    assert!(is_done && text.contains(FINISHED), "{text}");
    assert_eq!(holding(world.home.path(), SECRET), Vec::<PathBuf>::new());
    let (_, text) = said(&world, &["list", "agents"]);
    assert!(!text.contains(FINISHED), "{text}");
}

#[test]
fn a_deletion_that_cannot_be_purged_says_so_and_the_next_one_finishes_it() {
    let world = told();
    let reader = world.database();
    reader.execute_batch("BEGIN; SELECT count(*) FROM agents;").unwrap();
    let (is_done, text) = said(&world, &["delete", "agent", "a", "--yes"]);
    assert!(!is_done && text.contains("The agent a is deleted."), "{text}");
    let (is_done, text) = said(&world, &["list", "agents"]);
    assert!(is_done && text.contains("is not gone from all files yet"), "{text}");
    drop(reader);
    let (is_done, text) = said(&world, &["delete", "agent", "a", "--yes"]);
    assert!(!is_done && text.contains(FINISHED) && text.contains("there is no agent a"), "{text}");
    assert_eq!(holding(world.home.path(), SECRET), Vec::<PathBuf>::new());
}

#[test]
fn what_an_interrupted_forgetting_left_is_finished_by_the_next_chat_which_keeps_the_typed_lines() {
    let world = told();
    let home = world.home.path();
    std::fs::remove_file(Draft::new(home, "a", "human", "").path).unwrap();
    std::fs::write(home.join("history.txt"), "#V2\nMy other word.\n").unwrap();
    // All that a killed process has done in the database.
    let mut memory = AgentMemory::open(open(home), "a").unwrap();
    assert_eq!(memory.forget(&Wanted::new(SECRET)).unwrap().messages, 1);
    assert!(memory.store().is_pending(Purge::Database).unwrap() && !memory.store().is_pending(Purge::Home).unwrap());
    drop(memory);
    assert!(!holding(home, SECRET).is_empty());
    let program = world.start(json!([]), &[]);
    let notices = program.ready["notices"].to_string();
    assert!(notices.contains(FINISHED), "{notices}");
    assert_eq!(holding(home, SECRET), Vec::<PathBuf>::new());
    assert_eq!(std::fs::read_to_string(home.join("history.txt")).unwrap(), "#V2\nMy other word.\n");
    assert!(program.close().success());
}

#[test]
fn a_forgetting_that_cannot_be_purged_is_an_error_that_says_what_is_left_to_do() {
    let world = told();
    let mut program = world.start(json!([]), &[]);
    let reader = world.database();
    reader.execute_batch("BEGIN; SELECT count(*) FROM agents;").unwrap();
    let events = program.command("/forget xanthoquark");
    let error = events.last().unwrap();
    assert_eq!(error["type"], "error", "{error}");
    assert!(error["message"].as_str().unwrap().starts_with("what held it is deleted, but not all"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("give the command again"), "{error}");
    drop(reader);
    let events = program.command("/forget xanthoquark");
    assert!(events.last().unwrap()["text"].as_str().unwrap().starts_with("Nothing was found"), "{events:?}");
    assert_eq!(holding(world.home.path(), SECRET), Vec::<PathBuf>::new());
    assert!(program.close().success());
}
