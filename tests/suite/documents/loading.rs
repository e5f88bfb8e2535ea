//! Formats, re-loading, and what the user is told.

use super::{err, hits, load, out, store, world, write};
use crate::harness::documents::{docx, epub, pdf};

#[test]
fn every_format_is_found_at_its_place() {
    let world = world();
    let filling = "Nothing of note stands here.\n".repeat(3);
    write(&world, "a.txt", format!("{filling}The aardvark sleeps.\n"));
    write(&world, "b.md", "intro\n\n# Beasts\n\nThe badger digs.\n");
    write(&world, "c.html", "<h1>Beasts</h1><p>The caribou walks.</p>");
    write(&world, "d.pdf", pdf(&["The first page.", "The dolphin dives."]));
    write(&world, "e.docx", docx("Beasts", "The elephant bathes."));
    write(&world, "f.epub", epub("Beasts", "The falcon falls."));
    write(&world, "g.csv", "name,does\ngoat,climbs\n");
    write(&world, "h.json", r#"{"cat": 1, "beasts": {"hyena": "laughs"}}"#);
    write(&world, "i.jsonl", "{\"beast\": \"cow\"}\n{\"beast\": \"ibex\"}\n");
    write(&world, "sub/k.rs", "fn main() {\n    let kangaroo = 1;\n}\n");
    write(&world, "l.txt", b"\xff\xfeT\x00h\x00e\x00 \x00l\x00y\x00n\x00x\x00 \x00.\x00");
    write(&world, "m.txt", b"The mongoose caf\xe9.");
    let output = load(&world, &[]);
    assert!(output.status.success(), "{}", err(&output));
    assert!(out(&output).starts_with("docs: 12 files new, 0 changed, 0 unchanged; "), "{}", out(&output));
    assert!(err(&output).contains("files/m.txt: it is not UTF-8 and was read as Windows-1252"), "{}", err(&output));
    assert!(err(&output).contains("mneme attach --agent NAME --source docs"), "{}", err(&output));
    let output = world.run(&["attach", "--agent", "a", "--source", "docs"]);
    assert!(output.status.success() && err(&output).contains("a can search docs now (12 files)"), "{}", err(&output));
    for (query, place) in [
        ("aardvark", "a.txt, line 1"),
        ("badger", "b.md, line 3, \"Beasts\""),
        ("caribou", "c.html, paragraphs 1-2, \"Beasts\""),
        ("dolphin", "d.pdf, page 2"),
        ("elephant", "e.docx, paragraphs 1-2, \"Beasts\""),
        ("falcon", "f.epub, chapter 1, \"Beasts\""),
        ("goat", "g.csv, rows 1-2"),
        ("hyena", "h.json, \"beasts\""),
        ("ibex", "i.jsonl, line 1"),
        ("kangaroo", "sub/k.rs, line 1"),
        ("lynx", "l.txt, line 1"),
        ("mongoose café", "m.txt, line 1"),
    ] {
        assert_eq!(hits(&world, query), [place], "{query}");
    }
    let output = world.run(&["list", "sources"]);
    assert_eq!(out(&output).lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>()[..2], ["docs", "12"]);
}

#[test]
fn a_thousand_files_are_loaded_once_and_then_only_what_changed() {
    let world = world();
    for number in 0..1000 {
        let filling = format!("A line of the file {number} about nothing.\n").repeat(number % 7);
        write(&world, &format!("{}/{number}.md", number % 10), format!("{filling}The token{number}x stands here.\n"));
    }
    let output = load(&world, &[]);
    assert!(
        out(&output).starts_with("docs: 1000 files new, 0 changed, 0 unchanged; 1000 passages"),
        "{}",
        out(&output)
    );
    let newest = || -> (i64, i64) {
        let sql = "SELECT count(*), max(id) FROM passages";
        world.database().query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    let before = newest();
    let output = load(&world, &[]);
    assert!(out(&output).starts_with("docs: 0 files new, 0 changed, 1000 unchanged; 0 passages"), "{}", out(&output));
    assert_eq!(newest(), before);
    store(&world).attach("a", "docs", 0).unwrap();
    let found = store(&world).view("a").unwrap().archival_search("token613x", 0, 5).unwrap();
    let (text, document) = (&found.items[0].text, found.items[0].document.as_ref().unwrap());
    let line = text.lines().position(|line| line.contains("token613x")).unwrap() as u64;
    assert_eq!(document.title, "files/3/613.md");
    assert_eq!(document.place.lines_down(line).to_string(), format!("line {}", 613 % 7 + 1));
    write(&world, "3/613.md", "The token613x has moved, with a quokka.\n");
    write(&world, "new.md", "A wombat.\n");
    std::fs::remove_file(world.path("files/4/4.md")).unwrap();
    std::fs::remove_dir_all(world.path("files/5")).unwrap();
    let output = load(&world, &[]);
    assert!(
        out(&output).starts_with("docs: 1 file new, 1 changed, 898 unchanged, 101 gone and forgotten; 2 passages"),
        "{}",
        out(&output)
    );
    assert_eq!(hits(&world, "quokka"), ["3/613.md, line 1"]);
    assert_eq!(hits(&world, "wombat"), ["new.md, line 1"]);
    assert_eq!(hits(&world, "token4x"), [""; 0]);
    assert_eq!(hits(&world, "token15x"), [""; 0]);
}

#[cfg(target_os = "linux")]
#[test]
fn files_whose_names_are_no_text_stay_and_are_told_apart() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let world = world();
    write(&world, "a.md", "alpha");
    let folder = world.scratch.path().join("files").join(OsStr::from_bytes(b"m\xfcll"));
    std::fs::create_dir(&folder).unwrap();
    // Shown, both names are the same.
    let [first, second] = [b"caf\xe9.txt", b"caf\xe8.txt"].map(|name| folder.join(OsStr::from_bytes(name)));
    std::fs::write(&first, "The zebu grazes.").unwrap();
    std::fs::write(&second, "The yak grazes.").unwrap();
    let output = load(&world, &[]);
    assert!(out(&output).starts_with("docs: 3 files new"), "{}", out(&output));
    store(&world).attach("a", "docs", 0).unwrap();
    for _ in 0..2 {
        let output = load(&world, &[]);
        assert!(out(&output).starts_with("docs: 0 files new, 0 changed, 3 unchanged; 0 "), "{}", out(&output));
        assert_eq!((hits(&world, "zebu").len(), hits(&world, "yak").len()), (1, 1));
    }
    std::fs::remove_file(&first).unwrap();
    let output = load(&world, &[]);
    assert!(out(&output).starts_with("docs: 0 files new, 0 changed, 2 unchanged, 1 gone"), "{}", out(&output));
    assert_eq!((hits(&world, "zebu").len(), hits(&world, "yak").len()), (0, 1));
}

#[test]
fn a_file_that_is_named_twice_is_one_and_one_that_came_back_is_there_again() {
    let world = world();
    write(&world, "a.md", "alpha");
    write(&world, "sub/b.md", "beta");
    let (folder, file) = (world.path("files"), world.path("files/sub/../sub/b.md"));
    let name = ["--name", "docs", "--recursive"];
    let output = world.run(&[&["load", &folder, &file, &world.path("files/sub")][..], &name].concat());
    assert!(out(&output).starts_with("docs: 2 files new, 0 changed, 0 unchanged; "), "{}", out(&output));
    store(&world).attach("a", "docs", 0).unwrap();
    std::fs::rename(world.path("files/sub"), world.path("away")).unwrap();
    assert!(out(&load(&world, &[])).contains("1 unchanged, 1 gone"));
    assert_eq!(hits(&world, "beta"), [""; 0]);
    std::fs::rename(world.path("away"), world.path("files/sub")).unwrap();
    assert!(out(&load(&world, &[])).starts_with("docs: 1 file new, 0 changed, 1 unchanged; "));
    assert_eq!(hits(&world, "beta"), ["sub/b.md, line 1"]);
}

#[test]
fn files_of_one_name_are_told_apart_however_they_were_loaded() {
    let world = world();
    for (name, text) in [("a/README.md", "alpha"), ("b/README.md", "beta"), ("c/README.md", "gamma")] {
        write(&world, name, text);
    }
    let path = |name: &str| world.path(&format!("files/{name}/README.md"));
    let load = |paths: &[&str]| {
        let output = world.run(&[&["load"], paths, &["--name", "docs"]].concat());
        assert!(output.status.success(), "{}", err(&output));
    };
    let titles = || -> Vec<String> {
        store(&world).documents("docs").unwrap().into_iter().map(|document| document.title).collect()
    };
    load(&[&path("a"), &path("b")]);
    assert_eq!(titles(), ["a/README.md", "b/README.md"]);
    load(&[&path("c")]);
    write(&world, "a/README.md", "alpha changed");
    load(&[&path("a")]);
    assert_eq!(titles(), ["a/README.md", "b/README.md", "README.md"]);
    write(&world, "d/README.md", "delta");
    load(&[&path("d")]);
    assert_eq!(titles(), ["a/README.md", "b/README.md", "README.md", "d/README.md"]);
}

#[test]
fn a_part_of_the_files_is_taken_up_without_losing_the_others() {
    let world = world();
    write(&world, "a.md", "alpha");
    write(&world, "b.txt", "beta");
    write(&world, "sub/c.md", "gamma");
    load(&world, &[]);
    write(&world, "a.md", "alpha changed");
    // Another selection, the old spelling, a single file: what was not asked for stays.
    let name = ["--name", "docs"];
    let folder = world.path("files");
    let output = world.run(&[&["load", "directory", &folder, "--extensions", "md"][..], &name].concat());
    assert!(out(&output).starts_with("docs: 0 files new, 1 changed, 0 unchanged; 1 passage "), "{}", out(&output));
    assert!(err(&output).contains("1 inner folder (--recursive takes them)"), "{}", err(&output));
    assert!(err(&output).contains("1 file with another extension"), "{}", err(&output));
    let output = world.run(&[&["load", "directory", "--input-dir", &folder][..], &name].concat());
    assert!(out(&output).starts_with("docs: 0 files new, 0 changed, 2 unchanged; "), "{}", out(&output));
    std::fs::remove_file(world.path("files/b.txt")).unwrap();
    let output = world.run(&[&["load", &world.path("files/b.txt")][..], &name].concat());
    assert!(out(&output).contains("1 gone and forgotten"), "{}{}", out(&output), err(&output));
    assert_eq!(store(&world).documents("docs").unwrap().len(), 2);
}

#[test]
fn what_cannot_be_done_is_told_with_advice_and_a_code() {
    let world = world();
    write(&world, "a.md", "alpha");
    write(&world, "empty/only/deep.md", "deep");
    write(&world, "bin/a.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00");
    let path = |name: &str| world.path(&format!("files/{name}"));
    let cases: &[(&[&str], i32, &str)] = &[
        (&["load", &path("gone"), "--name", "docs"], 2, "there is no file or folder"),
        (&["load", &path("a.md"), "--name", "../docs"], 2, "is not a usable name"),
        (&["load", &path("a.md")], 2, "--name"),
        (&["load", "--name", "docs"], 2, "PATH"),
        (&["load", &path("empty"), "--name", "docs"], 1, "1 inner folder"),
        (&["load", &path("bin"), "--name", "docs"], 3, "none of the files could be read"),
        (&["attach", "--agent", "a", "--source", "docs"], 2, "there is no source docs"),
        (&["attach", "--agent", "nobody", "--source", "docs"], 2, "there is no agent nobody; there are a"),
        (&["detach", "--agent", "a", "--source", "docs"], 2, "there is no source docs"),
        (&["delete", "source", "docs"], 2, "there is no source docs"),
    ];
    for (arguments, code, said) in cases {
        let output = world.run(arguments);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains(said), "{arguments:?}: {}", err(&output));
        assert!(err(&output).lines().count() > 1, "no advice: {arguments:?}: {}", err(&output));
    }
    assert!(store(&world).sources().unwrap().is_empty());
    let output = world.run(&["list", "sources"]);
    assert!(output.status.success() && err(&output).contains("no sources yet"), "{}", err(&output));
}

#[test]
fn a_source_is_detached_and_deleted() {
    let world = world();
    write(&world, "a.md", "alpha zyzzyva");
    load(&world, &[]);
    world.run(&["attach", "--agent", "a", "--source", "docs"]);
    assert_eq!(hits(&world, "zyzzyva").len(), 1);
    let output = world.run(&["detach", "--agent", "a", "--source", "docs"]);
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(hits(&world, "zyzzyva").len(), 0);
    world.run(&["attach", "--agent", "a", "--source", "docs"]);
    let output = world.run(&["delete", "source", "docs"]);
    assert!(output.status.code() == Some(2) && err(&output).contains("--yes"), "{}", err(&output));
    assert_eq!(hits(&world, "zyzzyva").len(), 1);
    let output = world.run(&["delete", "source", "docs", "--yes"]);
    assert!(err(&output).contains("Deleted docs: 1 file is forgotten, and a lost it."), "{}", err(&output));
    assert!(super::is_there(&world.scratch.path().join("files/a.md")));
    for entry in std::fs::read_dir(world.home.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|part| part == b"zyzzyva"));
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_between_files_and_a_second_run_goes_on() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};
    let world = world();
    for number in 0..600 {
        write(&world, &format!("{number}.md"), format!("The token{number}x stands here.\n"));
    }
    let mut command = crate::harness::program::binary();
    command.env("MNEME_HOME", world.home.path()).args(["load", &world.path("files"), "--name", "docs"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "docs: 60 of 600 files\n");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("the same command goes on from there"), "{rest}");
    let done = store(&world).documents("docs").unwrap().len();
    assert!((60..600).contains(&done), "{done}");
    let output = load(&world, &[]);
    let expected = format!("docs: {} files new, 0 changed, {done} unchanged; ", 600 - done);
    assert!(out(&output).starts_with(&expected), "{}", out(&output));
}

#[cfg(unix)]
#[test]
fn what_is_loaded_is_embedded_where_an_embedder_is_installed_and_goes_on_after_ctrl_c() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};
    let world = world();
    let sections: String =
        (0..300).map(|n| format!("# Part {n}\n\nBoat number {n} lies in the harbour.\n\n")).collect();
    write(&world, "a.md", sections);
    let words = load(&world, &[]);
    assert!(words.status.success() && err(&words).contains("mneme models pull all-minilm-l6-v2"), "{}", err(&words));
    let with_embedder = || {
        let mut command = crate::harness::program::binary();
        command.env("MNEME_HOME", world.home.path()).args(["load", &world.path("files"), "--name", "docs"]);
        command.env("MNEME_MODELS", crate::harness::weights::embedder_folder().parent().unwrap());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut child = with_embedder().spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("embedding: ") && line.ends_with(" of 300 passages\n"), "{line}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains(" of 300 passages can be found by meaning"), "{rest}");
    assert!(rest.contains("the same command goes on embedding"), "{rest}");
    let output = with_embedder().output().unwrap();
    assert!(output.status.success() && out(&output).contains("1 unchanged; 0 passages"), "{}", out(&output));
    assert!(err(&output).contains("docs: 300 of 300 passages can be found by meaning"), "{}", err(&output));
    assert!(!err(&output).contains(" of 300 passages\n"), "only the rest was embedded: {}", err(&output));
}

#[test]
fn a_source_is_added_as_it_is_loaded() {
    let world = world();
    write(&world, "a.md", "alpha zyzzyva");
    write(&world, "b.txt", "beta");
    let output = world.run(&["add", "source", "docs", &world.path("files"), "--extensions", "md"]);
    assert!(out(&output).starts_with("docs: 1 file new, 0 changed, 0 unchanged; "), "{}", out(&output));
    assert_eq!(store(&world).documents("docs").unwrap().len(), 1);
}
