//! `mneme bench memory recall`, as a script would run it.

use serde_json::{Value, json};

use crate::harness::program::binary;

fn bench(folder: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    let mut command = binary();
    command.args(["bench", "memory", "recall"]).args(arguments).current_dir(folder);
    command.env("MNEME_HOME", folder.join("home")).env("MNEME_MODELS", folder.join("models")).output().unwrap()
}

fn conversation() -> Value {
    json!({
        "messages": [
            {"id": 1, "role": "user", "name": "Ada", "text": "Good morning", "time": "2026-01-02T08:00:00Z"},
            {"id": "a", "role": "assistant", "name": "Ben", "text": "Which instrument does she play?", "time": 1_767_340_860_000_i64},
            {"id": 3, "role": "user", "name": "Ada", "text": "The oboe.", "more": true},
            {"id": 4, "role": "assistant", "name": "Ben", "text": "Nice."},
        ],
        "queries": [
            {"text": "her instrument", "evidence": [3]},
            {"text": "the oboe", "evidence": [3, "a"]},
            {"text": "nothing", "evidence": []},
        ],
    })
}

#[test]
fn hits_are_told_for_each_method_and_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one.json"), conversation().to_string()).unwrap();
    std::fs::write(folder.path().join("two.json"), conversation().to_string()).unwrap();
    let output = bench(folder.path(), &["--file", "one.json", "--file", "two.json", "--json", "out.json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("bm25") && table.contains("fusion") && table.contains("two.json"), "{table}");
    let report: Value = serde_json::from_slice(&std::fs::read(folder.path().join("out.json")).unwrap()).unwrap();
    assert_eq!(
        (&report["queries"], &report["messages"], &report["skipped_queries"]),
        (&json!(4), &json!(8), &json!(2))
    );
    assert_eq!(report["embedder"], Value::Null);
    // Single turns do not find the answer, windows find it second.
    let figure = |method: &str, name: &str| report["methods"][method][name].as_f64().unwrap();
    assert_eq!((figure("bm25", "hit@1"), figure("bm25", "hit@10")), (0.5, 0.5));
    assert_eq!((figure("fusion", "hit@1"), figure("fusion", "hit@5"), figure("fusion", "hit@10")), (0.5, 1.0, 1.0));
    assert_eq!(figure("fusion", "all_evidence@10"), 1.0);
    assert!(figure("fusion", "mean_latency_ms") > 0.0);
    assert_eq!(report["files"].as_array().unwrap().len(), 2);
    assert_eq!(report["files"][0]["methods"]["bm25"]["hit@1"], json!(0.5));
    // The user's home is not touched.
    assert!(!folder.path().join("home").join("mneme.db").exists());
}

#[test]
fn ids_are_alike_as_numbers_and_texts_and_unknown_ones_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let conversation = json!({
        "messages": [
            {"id": 1, "role": "user", "text": "The heron stands in the reeds."},
            {"id": "2", "role": "assistant", "text": "A heron waits for fish."},
            {"id": 3, "role": "user", "text": "We bought bread."},
        ],
        "queries": [
            {"text": "heron", "evidence": ["1", 2, "1", 1]},
            {"text": "heron", "evidence": [1, "D9:9", 77]},
            {"text": "heron", "evidence": ["nobody"]},
            {"text": "heron", "evidence": [1, 2, 3]},
        ],
    });
    std::fs::write(folder.path().join("one.json"), conversation.to_string()).unwrap();
    let output = bench(folder.path(), &["--file", "one.json", "--json", "out.json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().contains("3 ids of evidence name no message"));
    let report: Value = serde_json::from_slice(&std::fs::read(folder.path().join("out.json")).unwrap()).unwrap();
    for row in [&report, &report["files"][0]] {
        assert_eq!((&row["queries"], &row["skipped_queries"]), (&json!(3), &json!(1)), "{row}");
        assert_eq!(row["unknown_evidence"], json!(3), "{row}");
        // Words alone find both herons for each query, and never the bread.
        assert_eq!(row["methods"]["bm25"]["hit@5"], json!(1.0), "{row}");
        let all = row["methods"]["bm25"]["all_evidence@10"].as_f64().unwrap();
        assert!((all - 2.0 / 3.0).abs() < 1e-9, "two of three: {row}");
    }
}

#[test]
fn files_that_cannot_be_measured_are_named_with_what_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("list.json"), "[1, 2]").unwrap();
    std::fs::write(folder.path().join("empty.json"), json!({"messages": [], "queries": []}).to_string()).unwrap();
    for (file, code, told) in
        [("none.json", 2, "none.json"), ("list.json", 3, "messages"), ("empty.json", 3, "0 messages")]
    {
        let output = bench(folder.path(), &["--file", file]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains(told) && error.contains(file), "{error}");
    }
}
