//! `mneme bench memory nested-kv` on the scripted engine: a script that follows the protocol answers every question,
//! and only because the passages are found.

use serde_json::Value;

use crate::harness::world::World;

fn report(world: &World, arguments: &[&str]) -> (String, Value) {
    let path = world.path("report.json");
    let bench = ["bench", "memory", "nested-kv", "--engine", "scripted", "--json", &path];
    let output = world.run(&[&bench, arguments].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    (String::from_utf8(output.stdout).unwrap(), serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
}

#[test]
fn who_follows_the_protocol_is_right_at_every_level_in_both_profiles() {
    let world = World::new();
    for profile in ["native", "classic"] {
        let (table, report) = report(&world, &["--orderings", "1", "--levels", "0,2,4", "--profile", profile]);
        assert!(table.contains("140 pairs"), "{table}");
        let levels = report["levels"].as_array().unwrap();
        assert_eq!(levels.len(), 3);
        for (level, figures) in [0, 2, 4].into_iter().zip(levels) {
            assert_eq!(figures["level"], level, "{report}");
            assert_eq!(figures["accuracy"], 1.0, "{report}");
            // One for each pair, and one to see that the last value is no key.
            assert_eq!(figures["mean_searches"], f64::from(level) + 2.0, "{profile}: {report}");
        }
    }
    // The user's own home is left alone.
    assert!(!world.home.path().join("mneme.db").exists());
}

#[test]
fn runs_with_the_same_seed_ask_the_same() {
    let world = World::new();
    let answers = |seed: &str| {
        let (_, report) = report(&world, &["--orderings", "1", "--levels", "1", "--seed", seed]);
        report["rows"][0]["answer"].as_str().unwrap().to_owned()
    };
    assert_eq!(answers("7"), answers("7"));
    assert_ne!(answers("7"), answers("8"));
}

#[test]
fn levels_and_models_that_cannot_be_are_refused() {
    let world = World::new();
    for wrong in [&["--levels", "9"][..], &["--levels", "x"], &["--orderings", "-1"], &["--model", "no-such-model"]] {
        let output = world.run(&[&["bench", "memory", "nested-kv"], wrong].concat());
        assert!(!output.status.success(), "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?}");
    }
}
