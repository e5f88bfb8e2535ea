//! `mneme bench memory agent` on the scripted engine, with conversations of the tests' own.

use std::path::Path;
use std::process::Output;

use mneme::bench::agent::{Half, LOG_NAME, half_of};
use mneme::dialect::Profile;
use serde_json::{Value, json};

use crate::harness::agent::call;
use crate::harness::world::World;

/// A world without memory passes: a scripted model has no opinion on what is worth saving.
fn world() -> World {
    let world = World::new();
    std::fs::write(world.home.path().join("config.toml"), "memory_pass = false\n").unwrap();
    std::fs::create_dir(world.scratch.path().join("talks")).unwrap();
    world
}

/// Writes a conversation of this name.
fn talk(world: &World, name: &str, content: Value) {
    let mut content = content;
    content["name"] = json!(name);
    world.file(&format!("talks/{name}.json"), content.to_string());
}

/// Replies by what the user says, as often as it is said; "All right." to everything else.
fn script(world: &World, replies: &[(&str, &str)]) -> String {
    let replies: Vec<Value> =
        replies.iter().map(|(when, reply)| json!({"when": when, "reply": reply, "repeat": true})).collect();
    script_of(world, json!({"replies": replies, "otherwise": "All right."}))
}

fn script_of(world: &World, content: Value) -> String {
    world.script(&content).to_str().unwrap().to_owned()
}

fn bench(world: &World, script: &str, arguments: &[&str]) -> Output {
    let (folder, json) = (world.path("talks"), world.path("report.json"));
    let fixed = ["bench", "memory", "agent", "--engine", "scripted", "--model", script, "--json", &json];
    let half: &[&str] = if arguments.contains(&"--half") { &[] } else { &["--half", "all"] };
    world.run(&[&fixed[..], &["--dir", &folder], half, arguments].concat())
}

/// The table, what was said on standard error and the report of a run that succeeds.
fn report(world: &World, script: &str, arguments: &[&str]) -> (String, String, Value) {
    let output = bench(world, script, arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    (String::from_utf8(output.stdout).unwrap(), told, read_report(world))
}

fn read_report(world: &World) -> Value {
    serde_json::from_slice(&std::fs::read(world.path("report.json")).unwrap()).unwrap()
}

fn lines(path: impl AsRef<Path>) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn row<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["rows"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap()
}

/// A conversation of one session with these turns.
fn turns(turns: Value) -> Value {
    json!({"kinds": ["two-facts"], "sessions": [{"turns": turns}]})
}

#[test]
fn what_passes_is_counted_and_what_fails_is_reported() {
    let world = world();
    let asked =
        |any: &str| turns(json!([{"user": "What is the cat called?", "reply_any": [any], "reply_none": ["Rex"]}]));
    talk(&world, "right", asked("Pudding"));
    talk(&world, "wrong", asked("Felix"));
    let script = script(&world, &[("What is the cat", "It is pudding.")]);
    let (table, told, report) = report(&world, &script, &[]);
    assert!(table.contains("two-facts") && table.contains("75.0 %") && table.contains("95 % interval"), "{table}");
    assert!(told.contains("1/2 right: 2 of 2") && told.contains("2/2 wrong: 1 of 2"), "{told}");
    assert_eq!(
        ["bench", "model", "half", "idle"].map(|key| report[key].as_str().unwrap()),
        ["agent", "scripted", "all", "wait"]
    );
    assert_eq!((&row(&report, "right")["passed"], &row(&report, "wrong")["passed"]), (&json!(2), &json!(1)));
    assert_eq!(row(&report, "right")["failures"], json!([]));
    let failure = &row(&report, "wrong")["failures"][0];
    assert_eq!(
        ["conversation", "user", "reply", "check"].map(|key| failure[key].as_str().unwrap()),
        ["wrong", "What is the cat called?", "It is pudding.", "reply_any"]
    );
    assert!(failure["turn"] == 1 && failure["expected"].as_str().unwrap().contains("Felix"), "{failure}");
    let summary = &report["summary"];
    assert_eq!((&summary["passed"], &summary["total"], &summary["share"]), (&json!(3), &json!(4), &json!(0.75)));
    assert_eq!(summary["interval"], json!({"low": 0.5, "high": 1.0}), "two conversations are drawn from");
    assert_eq!(report["kinds"]["two-facts"]["conversations"], 2);
    assert_eq!(summary["by_check"]["reply_none"], json!({"passed": 2, "total": 2}));
    assert!(summary["costs"]["steps"]["mean"] == 1.0 && summary["costs"]["cpu_s"]["p90"].is_f64(), "{summary}");
    // The user's own home is left alone.
    assert!(!world.home.path().join("mneme.db").exists());
}

#[test]
fn memory_survives_the_restart_between_sessions_whether_turns_wait_for_passes_or_not() {
    let world = world();
    std::fs::write(world.home.path().join("config.toml"), "memory_pass = true\n").unwrap();
    talk(
        &world,
        "cat",
        json!({
            "kinds": ["restart", "small-talk"],
            "sessions": [
                {"turns": [{"user": "My cat is Pudding."}, {"user": "How deep is the sea?"}]},
                {"turns": [{"user": "And the moon?", "reply_any": ["right"]}]},
            ],
            "core_any": {"human": [["Pudding"]]},
            "core_none": {"human": ["moon"]},
            "core_max_added_chars": {"human": 60, "persona": 0},
        }),
    );
    let script =
        script(&world, &[("Message:\nMy cat", "FACT: The user's cat is called Pudding."), ("Message:\n", "NONE")]);
    for idle in ["wait", "now"] {
        let path = world.path("lines.jsonl");
        let (_, _, report) = report(&world, &script, &["--idle", idle, "--transcripts", &path]);
        let row = row(&report, "cat");
        assert_eq!((&row["passed"], &row["total"]), (&json!(5), &json!(5)), "{idle}: {row}");
        assert_eq!(row["faults"]["errors"], 0, "{idle}: the agent was resumed");
        let summary = &report["summary"];
        assert_eq!(summary["small_talk_saved"]["count"], 1, "{idle}: {summary}");
        assert_eq!(summary["small_talk_saved"]["total"], 3);
        assert_eq!(summary["restart_replies"], json!({"count": 1, "total": 1, "share": 1.0}));
        assert!(summary["costs"]["idle_passes"]["mean"].as_f64().unwrap() > 0.0, "{idle}: {summary}");
        let lines = lines(&path);
        let human = |line: &Value| line["core"]["human"].as_str().unwrap().contains("Pudding");
        // A turn that does not wait ends before its pass; the pass runs before the session ends.
        assert_eq!(human(&lines[0]), idle == "wait", "{lines:?}");
        let second_session = lines.iter().find(|line| line["session"] == 2).unwrap();
        assert!(human(second_session) && second_session["turn"] == 3, "{second_session}");
    }
}

#[test]
fn the_half_is_chosen_by_file_name_and_each_look_at_the_untouched_one_is_noted() {
    let world = world();
    let of = |half: Half| {
        let names =
            (0..).map(|number| format!("t{number}")).filter(move |name| half_of(&format!("{name}.json")) == half);
        names.take(3).collect::<Vec<_>>()
    };
    for name in of(Half::Tuned).iter().chain(&of(Half::Untouched)) {
        talk(&world, name, turns(json!([{"user": "Hi", "reply_any": ["right"]}])));
    }
    let script = script(&world, &[]);
    let log = world.scratch.path().join("talks").join(LOG_NAME);
    let names = |report: &Value| {
        let rows = report["rows"].as_array().unwrap().iter();
        let mut names: Vec<String> = rows.map(|row| row["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let (_, told, tuned) = report(&world, &script, &["--half", "tuned"]);
    assert_eq!(names(&tuned), sorted(of(Half::Tuned)));
    assert!(told.contains("3 conversations are of the other half") && !log.exists(), "{told}");
    let (_, told, untouched) = report(&world, &script, &["--half", "untouched"]);
    assert_eq!(names(&untouched), sorted(of(Half::Untouched)));
    assert!(told.contains(LOG_NAME), "{told}");
    report(&world, &script, &["--half", "all"]);
    let noted = lines(&log);
    assert_eq!(noted.len(), 2, "{noted:?}");
    for line in &noted {
        assert_eq!(
            (&line["model"], &line["conversations"], &line["score"]),
            (&json!("scripted"), &json!(3), &json!(1.0))
        );
        assert_eq!((line["date"].as_str().unwrap().len(), &line["is_complete"]), (10, &json!(true)));
        assert_eq!(line["interval"], json!({"low": 1.0, "high": 1.0}));
    }
    // A log that cannot be written is told, and costs no figures.
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    let (_, told, _) = report(&world, &script, &["--half", "untouched"]);
    assert!(told.contains("could not be noted"), "{told}");
}

#[test]
fn names_samples_and_files_narrow_the_choice() {
    let world = world();
    for name in ["cat-one", "cat-two", "dog-one"] {
        talk(&world, name, turns(json!([{"user": "Hi", "reply_any": ["right"]}])));
    }
    let script = script(&world, &[]);
    let rows = |arguments: &[&str]| report(&world, &script, arguments).2["rows"].as_array().unwrap().clone();
    assert_eq!(rows(&["--only", "cat"]).len(), 2);
    assert_eq!(rows(&["--only", "one", "--only", "two"]).len(), 3);
    let sample = rows(&["--sample", "1", "--seed", "4"]);
    assert_eq!((sample.len(), &sample[0]["name"]), (1, &rows(&["--sample", "1", "--seed", "4"])[0]["name"]));
    let seeds: Vec<Value> = rows(&["--only", "dog", "--seeds", "3", "--seed", "7", "--temperature", "0.5"])
        .iter()
        .map(|row| row["seed"].clone())
        .collect();
    assert_eq!(seeds, [7, 8, 9]);
    let file = world.path("talks/dog-one.json");
    let fixed = ["bench", "memory", "agent", "--engine", "scripted", "--model", &script, "--half", "all"];
    let output = world.run(&[&fixed[..], &[file.as_str()]].concat());
    assert!(String::from_utf8(output.stderr).unwrap().contains("1/1 dog-one"));
}

#[test]
fn each_fault_is_counted_where_it_stands() {
    let world = world();
    talk(
        &world,
        "faults",
        json!({"kinds": ["never-said"], "sessions": [{"turns": [
            {"user": "Show me code."},
            {"user": "Say a long thing."},
            {"user": "Say a long thing."},
            {"user": "Who speaks?"},
            {"user": "My brother Tom sails to Gotland every single summer."},
            {"user": "Is that what you said to me before this?"},
            {"user": "Save my cat."},
            {"user": "What is my dog called?", "reply_none": ["is Max"], "reply_any": [
                "don't know", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"]},
        ]}]}),
    );
    let append =
        call(Profile::Native, "core_memory_append", &[("section", "\"human\""), ("content", "\"They have a cat.\"")]);
    let reply = |when: &str, reply: &str| json!({"when": when, "reply": reply});
    let again = json!({"when": "Say a long thing", "reply": "That sounds great, tell me more.", "repeat": true});
    let script = script_of(
        &world,
        json!({"otherwise": "All right.", "replies": [
            reply("Show me code", "```json\n{}\n```"),
            again,
            reply("Who speaks", "User: I do."),
            reply("My brother Tom", "Oh, brother Tom sails to Gotland every single summer."),
            reply("Is that what", "Je ne sais pas, mais le chat est dans la maison."),
            reply("Save my cat", &append),
            reply("What is my dog", "Your dog is Max."),
            // What follows a result.
            json!({"reply": append}),
        ]}),
    );
    let (table, _, report) = report(&world, &script, &[]);
    let faults = &row(&report, "faults")["faults"];
    let expected = json!({"turns": 8, "silent": 0, "calls": 2, "failed_calls": 0, "repeated_calls": 1, "errors": 0,
        "leaked_calls": 1, "repeated_replies": 1, "parroted": 1, "circling": 0, "as_user": 1, "other_language": 1});
    assert_eq!(*faults, expected);
    assert_eq!(report["summary"]["invented"], json!({"count": 1, "total": 1, "share": 1.0}));
    assert!(table.contains("1 with call syntax") && table.contains("2 calls: 0 failed · 1 repeated"), "{table}");
}

#[test]
fn an_engine_that_fails_makes_silent_turns_and_the_run_goes_on() {
    let world = world();
    let asked = || turns(json!([{"user": "What?", "reply_none": ["x"]}, {"user": "Known.", "reply_any": ["right"]}]));
    talk(&world, "a", asked());
    talk(&world, "b", asked());
    // Nothing fits the first message.
    let replies = json!([{"when": "Known.", "reply": "All right.", "repeat": true}]);
    let script = script_of(&world, json!({"replies": replies}));
    let (_, _, report) = report(&world, &script, &[]);
    for name in ["a", "b"] {
        let row = row(&report, name);
        assert_eq!((&row["passed"], &row["total"]), (&json!(1), &json!(2)), "{row}");
        assert_eq!((&row["faults"]["silent"], &row["faults"]["errors"]), (&json!(1), &json!(1)), "{row}");
    }
}

#[test]
fn transcripts_of_a_folder_have_a_file_for_each_conversation() {
    let world = world();
    for name in ["a", "b"] {
        talk(&world, name, turns(json!([{"user": "Hi", "reply_any": ["right"]}, {"user": "Ho"}])));
    }
    let script = script(&world, &[]);
    let folder = world.path("lines/");
    report(&world, &script, &["--transcripts", &folder, "--seeds", "2", "--temperature", "1"]);
    for name in ["a", "b"] {
        let lines = lines(Path::new(&folder).join(format!("{name}.jsonl")));
        let said: Vec<_> = lines.iter().map(|line| (line["seed"].clone(), line["user"].as_str().unwrap())).collect();
        assert_eq!(said, [(json!(1), "Hi"), (json!(1), "Ho"), (json!(2), "Hi"), (json!(2), "Ho")]);
        assert!(lines[0]["checks"][0]["is_passed"] == true && lines[0]["reply"] == "All right.", "{}", lines[0]);
        assert_eq!(lines[0]["report"]["stop_reason"], "answer");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_run_behind_the_turn_and_what_is_there_is_told() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let world = world();
    talk(&world, "a", turns(json!([{"user": "Hi", "reply_any": ["right"]}])));
    let many: Vec<Value> =
        (0..200).map(|number| json!({"user": format!("Hi {number}"), "reply_any": ["no"]})).collect();
    talk(&world, "b", turns(json!(many)));
    let script = script_of(&world, json!({"otherwise": "All right.", "token_delay_ms": 50}));
    let mut command = crate::harness::program::binary();
    command.env("MNEME_HOME", world.home.path()).env("MNEME_MODELS", world.path("models"));
    let (folder, json, lines_path) = (world.path("talks"), world.path("report.json"), world.path("lines"));
    command.args([
        "bench", "memory", "agent", "--engine", "scripted", "--model", &script, "--json", &json, "--half", "all",
    ]);
    command.args(["--dir", &folder, "--transcripts", &lines_path]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = told.next().unwrap().unwrap();
    assert!(first.starts_with("1/2 a: 1 of 1"), "{first}");
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let rest: Vec<String> = told.map(Result::unwrap).collect();
    assert!(rest.iter().any(|line| line.contains("stopped in b")), "{rest:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("Not all conversations"), "{table}");
    let report = read_report(&world);
    assert_eq!((&report["summary"]["is_complete"], &report["summary"]["total"]), (&json!(false), &json!(1)));
    // The running turn was not cut off.
    let lines = lines(lines_path);
    assert!(lines.len() < 100 && lines.last().unwrap()["reply"] == "All right.", "{}", lines.len());
}

#[test]
fn what_cannot_be_run_is_refused_before_the_model_is_loaded() {
    let world = world();
    talk(&world, "a", turns(json!([{"user": "Hi", "reply_anny": ["right"]}])));
    let script = script(&world, &[]);
    for (arguments, code, told) in [
        (&[][..], 3, "a.json"),
        (&["--only", "zebra"], 2, "none of 1 conversations"),
        (&["--seeds", "2"], 2, "temperature"),
        (&["--sample", "0"], 2, "a whole number from 1"),
        (&["--half", "third"], 2, "untouched"),
    ] {
        let output = bench(&world, &script, arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
    let output =
        world.run(&["bench", "memory", "agent", "--engine", "scripted", "--model", &script, "--dir", "no-such-folder"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("no-such-folder"));
}
