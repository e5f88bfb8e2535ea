//! `mneme bench turn` on the scripted engine.

use serde_json::{Value, json};

use crate::harness::world::World;

/// A world with a conversation of five messages and a model that answers all of them.
fn world() -> World {
    let world = World::new();
    std::fs::write(world.home.path().join("config.toml"), "memory_pass = false\n").unwrap();
    let messages: Vec<String> = (1..=5).map(|turn| format!("Remark {turn} about rivers and hills.")).collect();
    let talk = json!({"about": "<b>rivers</b>", "context_window": 4096, "restart_before": 3, "messages": messages});
    world.file("talk.json", talk.to_string());
    world
}

fn bench(world: &World, more: &[&str]) -> std::process::Output {
    let script = world.script(&json!({"replies": [], "otherwise": "All right."}));
    let (script, talk) = (script.to_str().unwrap().to_owned(), world.path("talk.json"));
    let fixed = ["bench", "turn", "--engine", "scripted", "--model", &script, "--conversation", &talk];
    world.run(&[&fixed[..], more].concat())
}

#[test]
fn every_turn_has_a_row_and_the_restart_takes_up_what_was_read() {
    let world = world();
    let (json_path, page_path) = (world.path("turns.json"), world.path("turns.html"));
    let output = bench(&world, &["--rounds", "2", "--json", &json_path, "--report", &page_path]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("round 2/2, turn 5/5") && said.contains("the report is in"), "{said}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("restarted") && table.contains("mean turn"), "{table}");
    let report: Value = serde_json::from_slice(&std::fs::read(json_path).unwrap()).unwrap();
    assert_eq!(
        (&report["bench"], &report["rounds"], &report["restart_before"]),
        (&json!("turn"), &json!(2), &json!(3))
    );
    let turns = report["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 5);
    for (place, turn) in turns.iter().enumerate() {
        assert_eq!(turn["turn_number"], json!(place + 1));
        assert_eq!(turn["known_tokens"], json!(0), "turn {} reads twice: {turn}", place + 1);
        for field in ["bound_ms", "database_ms", "mask_ms", "sample_ms", "other_ms", "wall_ms", "first_token_ms"] {
            assert!(turn[field].is_number(), "{field}: {turn}");
        }
        assert!(turn["database_ms"].as_f64().unwrap() > 0.0, "{turn}");
    }
    let first = turns[0]["tokens_read"].as_u64().unwrap();
    // Behind the restart the fixed part and the turns before are there.
    assert!(turns[2]["tokens_read"].as_u64().unwrap() * 4 < first, "{report}");
    let summary = &report["summary"];
    for field in ["mean_wall_ms", "reused_share", "resume_ms", "resume_bound_ms", "restore_ms", "peak_rss_bytes"] {
        assert!(summary[field].is_number(), "{field}: {summary}");
    }
    assert!(summary["bound_ratio"].is_null(), "the scripted engine needs no time: {summary}");
    assert!(summary["weights_bytes"].is_null(), "the scripted engine has none: {summary}");
    assert!(summary["restored_tokens"].as_u64().unwrap() > 100, "{summary}");
    let page = std::fs::read_to_string(page_path).unwrap();
    assert!(page.contains("&lt;b&gt;rivers") && !page.contains("<b>rivers"), "text of the conversation is no markup");
    assert_eq!(page.matches("class=\"p0\"").count(), turns.len() + 1, "a bar for each turn, and the legend");
    assert!(!page.contains("<script") && !page.contains("http"), "the page needs nothing from elsewhere");
}

#[test]
fn a_conversation_that_is_none_is_refused() {
    let world = world();
    for (content, part) in [("{", "is not valid"), (r#"{"about":"x"}"#, "missing field")] {
        world.file("talk.json", content);
        let output = bench(&world, &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(part) && said.contains("benches/data/turn.json"), "{said}");
    }
}
