//! Documents as a user brings them in: `mneme load`, `attach`, `detach`, `sources`, and the chat that finds them.

mod hostile;
mod loading;
mod talking;

use std::path::Path;
use std::process::Output;

use mneme::memory::{AgentMemory, NewAgent, Store};
use mneme::types::SystemClock;

use crate::harness::world::World;

/// A world with the agent `a`.
fn world() -> World {
    let world = World::new();
    AgentMemory::create(store(&world), &NewAgent::named("a", 0)).unwrap();
    world
}

fn store(world: &World) -> Store {
    Store::open(&world.home.path().join("mneme.db"), &SystemClock).unwrap()
}

/// Writes a file below the folder `files` of the test.
fn write(world: &World, name: &str, content: impl AsRef<[u8]>) {
    let path = world.scratch.path().join("files").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Runs `mneme load` on the folder `files` into the source `docs`.
fn load(world: &World, arguments: &[&str]) -> Output {
    world.run(&[&["load", &world.path("files"), "--name", "docs", "--recursive"], arguments].concat())
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Where the agent `a` finds something: file and place of each hit, and the line of its text.
fn hits(world: &World, query: &str) -> Vec<String> {
    let store = store(world);
    let page = store.view("a").unwrap().archival_search(query, 0, 20).unwrap();
    let place = |hit: &mneme::memory::ArchivalHit| {
        let document = hit.document.as_ref().unwrap();
        let title = document.title.strip_prefix("files/").unwrap().to_owned();
        let place = document.place.to_string();
        if place.is_empty() { title } else { format!("{title}, {place}") }
    };
    page.items.iter().map(place).collect()
}

fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}
