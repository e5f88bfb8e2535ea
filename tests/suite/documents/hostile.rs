//! Files that want to do harm, and files that should not be taken: each is told, and the rest goes on.

use mneme::documents::{Error, Format, Limits, read};
use rand::{Rng, SeedableRng};

use super::{err, hits, load, out, store, world, write};
use crate::harness::documents::{docx, epub, pdf, zipped};

#[test]
fn pages_are_numbered_and_counted() {
    let document = read(&pdf(&["The harbour master", "has keys."]), Format::Pdf, &Limits::default()).unwrap();
    let found: Vec<(String, &str)> =
        document.pieces.iter().map(|piece| (piece.place.to_string(), piece.text.as_str())).collect();
    assert_eq!(found, [("page 1".to_owned(), "The harbour master"), ("page 2".to_owned(), "has keys.")]);
    let few = Limits { pages: 3, ..Limits::default() };
    assert!(matches!(read(&pdf(&["a"; 4]), Format::Pdf, &few), Err(Error::TooManyPages { pages: 4, limit: 3 })));
    assert!(matches!(read(&pdf(&[""]), Format::Pdf, &Limits::default()), Err(Error::NoText { pages: true })));
}

#[test]
fn damaged_pdfs_are_errors_and_no_panics() {
    let good = pdf(&["one page of text", "and another one"]);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut refused = 0;
    for _ in 0..60 {
        let mut bad = good.clone();
        for _ in 0..8 {
            let at = rng.random_range(0..bad.len());
            bad[at] = rng.random();
        }
        refused += usize::from(read(&bad, Format::Pdf, &Limits::default()).is_err());
    }
    assert!(refused > 0, "no copy was damaged enough to tell anything");
}

/// The fuzzer's target, for a second: PDF alone may panic, which is why it has a process of its own.
#[test]
fn mutated_documents_are_read_or_refused_without_a_panic() {
    let seeds: [(Format, Vec<u8>); 8] = [
        (Format::Text, "Tõnu\r\nsleeps".into()),
        (Format::Markdown, "# A\n\n```\n# b\n```\n> - c\n\nD\n---\n|e|f|\n|-|-|\n|g|h|\n".into()),
        (Format::Html, "<h1>A</h1><pre># b</pre><table><tr><td colspan=2>c<td>d</table><ul><li>e</ul>&amp;".into()),
        (Format::Docx, docx("Beasts &amp; more", "The elephant bathes.")),
        (Format::Epub, epub("Beasts", "The falcon falls.")),
        (Format::Csv, "a;b\n\"1;\"\"2\";3\n4\n".into()),
        (Format::Json, r#"[{"a": [1, "x", null]}, "b"]"#.into()),
        (Format::JsonLines, "{\"a\": \"b\"}\n\nno\n".into()),
    ];
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let limits = Limits { text_bytes: 1 << 20, unpacked_bytes: 1 << 20, ..Limits::default() };
    for round in 0..150 {
        for (format, seed) in &seeds {
            let mut bytes = seed.clone();
            for _ in 0..rng.random_range(1..5) {
                let at = rng.random_range(0..bytes.len());
                match rng.random_range(0..4) {
                    0 => bytes[at] = rng.random(),
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, b"<>&\"#;|,[{\n\0"[rng.random_range(0..12)]),
                    _ => bytes.extend_from_within(at..),
                }
            }
            match read(&bytes, *format, &limits) {
                Ok(document) => assert!(document.pieces.iter().all(|piece| !piece.text.trim().is_empty())),
                Err(Error::Panicked) => panic!("{format:?} in round {round}: {bytes:?}"),
                Err(error) => assert!(!error.hint().is_empty()),
            }
        }
    }
}

#[test]
fn hostile_files_are_told_and_the_rest_is_loaded() {
    let world = world();
    world_limits(&world, "seconds = 20\nfile_bytes = 2000000\nunpacked_bytes = 3000000\n");
    let good = pdf(&["one page of text", "and another one"]);
    write(&world, "cut.pdf", &good[..good.len() / 3]);
    let bomb = docx("x", &" ".repeat(4_000_000));
    assert!(bomb.len() < 100_000);
    write(&world, "bomb.docx", bomb);
    write(&world, "deep.html", "<div>".repeat(50_000));
    write(&world, "deep.json", "[".repeat(50_000));
    write(&world, "deep.docx", docx(&"<w:x>".repeat(5000), ""));
    write(&world, "no.epub", zipped(&[("mimetype", b"application/epub+zip")]));
    write(&world, "large.txt", "x".repeat(2_000_001));
    write(&world, "picture.txt", b"\x89PNG\r\n\x1a\n\x00\x00\x00");
    write(&world, "key.txt", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n");
    write(&world, "z-good.md", "The survivor.");
    write(&world, "z-good.pdf", pdf(&["Another survivor."]));
    let output = load(&world, &[]);
    assert!(output.status.success(), "{}", err(&output));
    let said = err(&output);
    for (name, reason) in [
        ("cut.pdf", "is damaged"),
        ("cut.pdf", "; open it in its own program and save it again"),
        ("bomb.docx", "a zip bomb?"),
        ("deep.html", "nested deeper than 256"),
        // What to do is said by the process that has read it.
        ("deep.html", "; split it, or raise the limit in [documents]"),
        ("deep.json", "nested deeper than 128"),
        ("deep.docx", "nested deeper than 256"),
        ("no.epub", "META-INF/container.xml is missing"),
        ("large.txt", "the limit is 1.91 MiB"),
        ("key.txt", "is a private key"),
    ] {
        let line = said.lines().find(|line| line.contains(&format!("files/{name} ")));
        assert!(line.is_some_and(|line| line.contains(reason)), "{name}: {said}");
    }
    assert!(said.contains("left out, 1 binary file:\n  files/picture.txt"), "{said}");
    assert!(out(&output).starts_with("docs: 2 files new"), "{}", out(&output));
    store(&world).attach("a", "docs", 0).unwrap();
    let mut found = hits(&world, "survivor");
    found.sort();
    assert_eq!(found, ["z-good.md, line 1", "z-good.pdf, page 1"]);
}

fn world_limits(world: &crate::harness::world::World, limits: &str) {
    std::fs::write(world.home.path().join("config.toml"), format!("[documents]\n{limits}")).unwrap();
}

/// A page that is its own parent: whoever looks for what it inherits looks for ever.
#[test]
fn a_document_that_takes_too_long_is_given_up_and_the_rest_goes_on() {
    let world = world();
    world_limits(&world, "seconds = 4\n");
    let good = String::from_utf8(pdf(&["one page of text"])).unwrap();
    let inherited = "/Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >>";
    let looping = format!("{:width$}", "/Parent 4 0 R", width = inherited.len());
    assert!(good.contains("4 0 obj") && good.contains(inherited));
    write(&world, "a-loop.pdf", good.replace(inherited, &looping));
    write(&world, "b-good.pdf", good);
    let output = load(&world, &[]);
    assert!(output.status.success(), "{}", err(&output));
    assert!(err(&output).contains("files/a-loop.pdf was given up"), "{}", err(&output));
    assert!(out(&output).starts_with("docs: 1 file new"), "{}", out(&output));
}

#[cfg(target_os = "linux")]
#[test]
fn a_document_that_needs_too_much_memory_is_given_up_and_the_rest_goes_on() {
    let world = world();
    world_limits(&world, "memory_bytes = 300000000\nseconds = 40\n");
    // Two bytes of the file become a value of many more, twice while their list grows.
    write(&world, "a-wide.json", format!("[{}1]", "1,".repeat(4_000_000)));
    write(&world, "b-good.md", "The survivor.");
    let output = load(&world, &[]);
    assert!(output.status.success(), "{}", err(&output));
    assert!(err(&output).contains("files/a-wide.json was given up"), "{}", err(&output));
    assert!(out(&output).starts_with("docs: 1 file new"), "{}", out(&output));
}

#[cfg(unix)]
#[test]
fn links_and_keys_are_left_out_and_counted() {
    use std::os::unix::fs::symlink;
    let world = world();
    std::fs::write(world.scratch.path().join("outside.txt"), "The outsider.").unwrap();
    write(&world, "good.md", "The insider.");
    write(&world, ".env", "TOKEN=zyzzyva");
    write(&world, "id_ed25519", "zyzzyva");
    write(&world, "server.key", "zyzzyva");
    write(&world, ".git/config", "zyzzyva");
    write(&world, "node_modules/x/a.md", "zyzzyva");
    symlink(world.scratch.path().join("outside.txt"), world.scratch.path().join("files/link.txt")).unwrap();
    symlink(world.scratch.path(), world.scratch.path().join("files/around")).unwrap();
    let output = load(&world, &[]);
    assert!(out(&output).starts_with("docs: 1 file new"), "{}", out(&output));
    let said = err(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "3 files of keys or passwords (--all takes them, but no private key)",
        "2 folders of programs (--all takes them)",
        "2 symbolic links",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let all = load(&world, &["--all"]);
    assert!(out(&all).starts_with("docs: 5 files new"), "{}{}", out(&all), err(&all));
    store(&world).attach("a", "docs", 0).unwrap();
    assert_eq!(hits(&world, "outsider"), [""; 0]);
}

#[test]
fn names_of_files_do_not_steer_the_terminal() {
    let world = world();
    write(&world, "a\u{1b}[31m.png", b"\x00\x01\x02");
    write(&world, "b.md", "fine");
    let output = load(&world, &[]);
    assert!(!err(&output).contains('\u{1b}') && err(&output).contains("\\x1b[31m"), "{}", err(&output));
}
