//! `mneme bench memory bfcl` and `mneme bench fetch bfcl`, on a made-up data set in the format of the real one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mneme::bench::bfcl::{Judge, WHEEL};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::program::{binary, script};

/// A home, the folder of the benchmarks and a script.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        std::fs::create_dir(&home).unwrap();
        // A scripted model has no opinion on what is worth saving.
        std::fs::write(home.join("config.toml"), "memory_pass = false\n").unwrap();
        Self { folder }
    }

    fn with_data() -> Self {
        let bench = Self::new();
        let data = bench.data();
        for folder in ["memory_prereq_conversation", "possible_answer"] {
            std::fs::create_dir_all(data.join(folder)).unwrap();
        }
        let write = |name: &str, lines: &[Value]| {
            let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
            // As in the wheel, the last line has no end.
            std::fs::write(data.join(name), lines.join("\n")).unwrap();
        };
        let session = |id: &str, scenario: &str, texts: &[&str]| {
            let turns: Vec<Value> = texts.iter().map(|text| json!([{"role": "user", "content": text}])).collect();
            json!({"id": id, "topic": "Talk", "question": turns, "involved_classes": ["M"], "scenario": scenario})
        };
        write(
            "memory_prereq_conversation/memory_customer.json",
            &[
                session("memory_prereq_0-customer-0", "customer", &["My dog is called Rex. He is old.", "I like tea."]),
                session("memory_prereq_1-customer-1", "customer", &["The lamp that I bought is green."]),
            ],
        );
        write(
            "memory_prereq_conversation/memory_student.json",
            &[session("memory_prereq_2-student-0", "student", &["I study the history of maps."])],
        );
        let question = |id: &str, scenario: &str, text: &str| json!({"id": id, "question": [[{"role": "user", "content": text}]], "involved_classes": ["M"], "scenario": scenario});
        write(
            "BFCL_v4_memory.json",
            &[
                question("memory_0-customer-0", "customer", "What is my dog called?"),
                question("memory_1-customer-1", "customer", "Which colour has my lamp?"),
                question("memory_2-student-0", "student", "What do I study?"),
            ],
        );
        let answer = |id: &str, accepted: &[&str]| json!({"id": id, "ground_truth": accepted, "source": "..."});
        write(
            "possible_answer/BFCL_v4_memory.json",
            &[
                answer("memory_0-customer-0", &["Rex"]),
                answer("memory_1-customer-1", &["green", "emerald"]),
                answer("memory_2-student-0", &["history"]),
            ],
        );
        bench
    }

    fn bench_folder(&self) -> PathBuf {
        self.folder.path().join("bench")
    }

    fn data(&self) -> PathBuf {
        self.bench_folder().join(WHEEL.name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = binary();
        let path = |name: &str| self.folder.path().join(name);
        command.env("MNEME_HOME", path("home")).env("MNEME_MODELS", path("models"));
        command.env("MNEME_BENCH_DATA", self.bench_folder()).current_dir(self.folder.path());
        command.arg("bench").args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Right about dog and lamp, wrong about the studies, at this speed.
    fn model(&self, token_delay_ms: u64) -> Vec<String> {
        let reply = |when: &str, reply: &str| json!({"when": when, "reply": reply, "repeat": true});
        let replies = [
            reply("What is my dog called?", "Your dog is called Rex."),
            reply("Which colour has my lamp?", "It is green, I think."),
            reply("What do I study?", "You study prehistory."),
        ];
        let content = json!({"replies": replies, "otherwise": "All right.", "token_delay_ms": token_delay_ms});
        let path = self.folder.path().join("script.json");
        // A script that is written anew is another model.
        if !path.exists() {
            script(self.folder.path(), &content);
        }
        ["memory", "bfcl", "--engine", "scripted", "--model", "script.json"].map(str::to_owned).to_vec()
    }

    /// Runs the questions; the table, the report and what was said meanwhile.
    fn ask(&self, arguments: &[&str]) -> (String, Value, String) {
        let mut all = self.model(0);
        all.extend(["--json", "report.json"].iter().chain(arguments).map(|argument| (*argument).to_owned()));
        let output = self.run(&all.iter().map(String::as_str).collect::<Vec<_>>());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let report = std::fs::read(self.folder.path().join("report.json")).unwrap();
        (String::from_utf8(output.stdout).unwrap(), serde_json::from_slice(&report).unwrap(), said)
    }

    /// The only work folder.
    fn work(&self) -> PathBuf {
        let mut folders =
            std::fs::read_dir(self.bench_folder().join("work")).unwrap().map(|entry| entry.unwrap().path());
        let folder = folders.next().unwrap();
        assert!(folders.next().is_none());
        folder
    }
}

fn score<'a>(report: &'a Value, name: &str, variant: &str) -> &'a Value {
    let scores = report["scores"].as_array().unwrap().iter();
    let mut found = scores.filter(|score| score["name"] == name && score["variant"] == variant);
    found.next().unwrap_or_else(|| panic!("no {name} {variant}: {report}"))
}

#[test]
fn verdicts_are_those_of_the_official_judge() {
    let judge = Judge::new().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bfcl_judge.jsonl");
    let cases = std::fs::read_to_string(path).unwrap();
    let mut counts = [0, 0];
    for line in cases.lines() {
        let (reply, accepted, expected): (String, Vec<String>, bool) = serde_json::from_str(line).unwrap();
        assert_eq!(judge.is_right(&reply, &accepted), expected, "{line}");
        counts[usize::from(expected)] += 1;
    }
    assert!(counts.iter().all(|count| *count >= 200), "{counts:?}");
}

#[test]
fn all_sessions_are_told_and_each_question_is_judged_in_both_ways() {
    let bench = Bench::with_data();
    let (table, report, _) = bench.ask(&["--report", "answers.jsonl"]);
    for variant in ["without", "with"] {
        let customer = score(&report, "customer", variant);
        assert_eq!((&customer["right"], &customer["questions"]), (&json!(2), &json!(2)));
        let group = score(&report, "customer+student", variant);
        // "history" is no whole word of "prehistory".
        assert_eq!((&group["right"], &group["questions"]), (&json!(2), &json!(3)));
        assert_eq!(group["recited_right"], 3);
        assert_eq!((&group["mean_words"], &group["max_words"]), (&json!(13.0 / 3.0), &json!(5)));
    }
    assert_eq!((&report["telling"]["turns"], &report["answering"]["turns"]), (&json!(4), &json!(6)));
    assert_eq!(report["told"].as_array().unwrap().len(), 3);
    // What all questions of a scenario have in common is read once.
    let read = |at: usize| report["answers"][at]["costs"]["tokens_read"].as_u64().unwrap();
    assert!(read(1) * 2 < read(0), "{} {}", read(0), read(1));
    assert_eq!(report["telling"]["silent_turns"], 0);
    assert!(table.contains("not comparable") && table.contains("customer+student"), "{table}");
    let lines = std::fs::read_to_string(bench.folder.path().join("answers.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 6);
    // The questions have left nothing with the agent who was told the sessions, and the user's home is left alone.
    let told = rusqlite::Connection::open(bench.work().join("customer-2.db")).unwrap();
    let count = |pattern: &str| -> i64 {
        let sql = "SELECT count(*) FROM messages WHERE kind = 'user' AND searchable LIKE ?1";
        told.query_row(sql, [pattern], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("%"), count("%What is%"), count("%green%")), (3, 0, 1));
    assert!(!bench.folder.path().join("home/mneme.db").exists());
}

#[test]
fn a_run_goes_on_where_one_before_has_stopped() {
    let bench = Bench::with_data();
    let (_, report, _) = bench.ask(&["--questions", "1", "--instruction", "without"]);
    assert_eq!(report["answers"].as_array().unwrap().len(), 1);
    // What is kept is marked, and a row behind it is cut off, as by a kill.
    let path = bench.work().join("answers.jsonl");
    let kept = std::fs::read_to_string(&path).unwrap().replace("called Rex", "called Rex (kept)");
    std::fs::write(&path, kept + "{\"id\": \"memory_1").unwrap();
    let (_, report, said) = bench.ask(&[]);
    let answers = report["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 6);
    assert_eq!(answers[0]["reply"], "Your dog is called Rex (kept).");
    assert!(said.contains("student: session 1/1") && !said.contains("customer: session"), "{said}");
    let (_, report, said) = bench.ask(&["--fresh"]);
    assert_eq!(report["answers"][0]["reply"], "Your dog is called Rex.");
    assert!(said.contains("customer: session 1/2"), "{said}");
}

#[test]
fn sessions_that_were_told_before_a_kill_are_not_told_again() {
    let bench = Bench::with_data();
    let arguments = bench.model(20);
    let mut child = bench
        .command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("customer: session 1/2")));
    child.kill().unwrap();
    child.wait().unwrap();
    let (_, report, said) = bench.ask(&[]);
    assert!(!said.contains("customer: session 1/2 told"), "{said}");
    assert_eq!(report["telling"]["turns"], 4);
    assert_eq!(score(&report, "customer", "with")["right"], 2);
}

#[test]
fn questions_and_scenarios_are_chosen() {
    let bench = Bench::with_data();
    let (_, report, said) = bench.ask(&["--every", "2", "--instruction", "with", "--idle", "now"]);
    let ids: Vec<&Value> = report["answers"].as_array().unwrap().iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, ["memory_0-customer-0", "memory_2-student-0"]);
    assert!(said.contains("customer: question 1/1 with: right"), "{said}");
    let bench = Bench::with_data();
    let (_, report, _) = bench.ask(&["--scenario", "student", "--instruction", "message", "--policy", "self-directed"]);
    assert_eq!((&report["policy"], &report["answers"][0]["variant"]), (&json!("self-directed"), &json!("message")));
}

#[test]
fn searches_are_measured_without_a_model() {
    let bench = Bench::with_data();
    let output = bench.run(&["memory", "bfcl", "--retrieval-only", "--json", "report.json"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && table.contains("no embedder"), "{table}");
    let report: Value =
        serde_json::from_slice(&std::fs::read(bench.folder.path().join("report.json")).unwrap()).unwrap();
    let row = &report["rows"][2];
    assert_eq!((&row["name"], &row["questions"]), (&json!("customer+student"), &json!(3)));
    for search in ["bm25", "search_shown", "search_whole"] {
        assert_eq!(row[search], json!({"at_1": 3, "at_5": 3, "at_10": 3}), "{search}");
    }
    assert!(!bench.bench_folder().join("work").exists());
}

#[test]
fn what_is_missing_or_damaged_is_told_with_what_to_do() {
    let refused = |bench: &Bench, arguments: &[&str], code: i32, words: &[&str]| {
        let output = bench.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(code), "{said}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    };
    let ask = ["memory", "bfcl", "--retrieval-only"];
    refused(&Bench::new(), &ask, 3, &["BFCL_v4_memory.json does not exist", "mneme bench fetch bfcl"]);
    let bench = Bench::with_data();
    refused(
        &bench,
        &[&ask[..], &["--scenario", "all"]].concat(),
        3,
        &["memory_finance.json", "mneme bench fetch bfcl"],
    );
    std::fs::write(bench.data().join("possible_answer/BFCL_v4_memory.json"), "{\"id\": 1}\n").unwrap();
    refused(&bench, &ask, 3, &["line 1 of", "mneme bench fetch bfcl"]);
    std::fs::write(bench.data().join("possible_answer/BFCL_v4_memory.json"), "").unwrap();
    refused(&bench, &ask, 3, &["memory_0-customer-0 has no accepted answers"]);
    refused(&bench, &[&ask[..], &["--every", "0"]].concat(), 2, &["a whole number from 1"]);
}

#[cfg(all(unix, feature = "download"))]
mod fetching {
    use std::fs;

    use mneme::models::{DataSet, Error, Failure, HubSettings, Limits, PipSettings, PullOptions, Silent};
    use mneme::types::Cancel;

    use super::Bench;
    use crate::harness::hub_server::sha256;
    use crate::harness::model_world::{World, names_in, wheel_world, zipped};

    const MEMBERS: &[&str] = &["questions.json", "answers/questions.json"];

    /// A pip and its index; the model that is in the catalogue there is of no use here.
    fn index() -> World {
        wheel_world(&[("tiny", "tiny/tiny.gguf", None)])
    }

    fn wheel() -> Vec<u8> {
        zipped(&[
            ("tiny/data/questions.json", b"{\"id\": 1}\n"),
            ("tiny/data/answers/questions.json", b"{\"id\": 2}\n"),
            ("tiny/code.py", b"raise SystemExit"),
        ])
    }

    fn set<'a>(wheel: &[u8], sha256: &'a str) -> DataSet<'a> {
        DataSet {
            name: "tiny-1.0",
            package: "tiny",
            version: "1.0",
            wheel_bytes: wheel.len() as u64,
            sha256,
            prefix: "tiny/data/",
            members: MEMBERS,
            max_member_bytes: 1000,
        }
    }

    fn pull(world: &World, set: &DataSet<'_>) -> Result<bool, Error> {
        let pip = PipSettings { command: vec![world.pip().into()] };
        let hub = HubSettings { endpoint: String::new(), token: None, cache_dir: None, ca_file: None };
        let limits = Limits { disk_reserve_bytes: 0, ..Limits::default() };
        let (cancel, progress) = (Cancel::new(), &mut Silent);
        set.pull(&world.dir.path().join("bench"), &mut PullOptions { hub, pip, limits, cancel: &cancel, progress })
    }

    fn failure(world: &World, set: &DataSet<'_>) -> Failure {
        let error = pull(world, set).unwrap_err();
        assert!(!error.hint().is_empty());
        assert!(!set.folder(&world.dir.path().join("bench")).exists(), "{error}");
        match error {
            Error::DataSet { failure, .. } => *failure,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_named_members_come_into_a_folder_and_nothing_else_stays() {
        let world = index();
        let (wheel, dir) = (wheel(), world.dir.path().join("bench"));
        fs::write(world.index().join("tiny-1.0-py3-none-any.whl"), &wheel).unwrap();
        let hash = sha256(&wheel);
        let set = set(&wheel, &hash);
        assert!(pull(&world, &set).unwrap());
        assert_eq!(names_in(&dir), [".tiny-1.0.lock", "tiny-1.0"]);
        assert_eq!(names_in(&set.folder(&dir)), ["answers", "questions.json"]);
        assert_eq!(fs::read(set.folder(&dir).join("answers/questions.json")).unwrap(), b"{\"id\": 2}\n");
        assert!(!pull(&world, &set).unwrap(), "a second one has nothing to do");
        assert_eq!(world.asked(), ["tiny==1.0"]);
        // A set that has lost a file is fetched again as a whole.
        fs::remove_file(set.folder(&dir).join("questions.json")).unwrap();
        fs::write(set.folder(&dir).join("other"), "x").unwrap();
        assert!(pull(&world, &set).unwrap() && set.is_complete(&dir));
        assert_eq!(names_in(&set.folder(&dir)), ["answers", "questions.json"]);
    }

    #[test]
    fn another_wheel_a_lost_member_and_a_huge_one_are_refused() {
        let world = index();
        let wheel = wheel();
        let hash = sha256(&wheel);
        let good = set(&wheel, &hash);
        assert!(matches!(failure(&world, &good), Failure::PipFailed { .. }));
        fs::write(world.index().join("tiny-1.0-py3-none-any.whl"), &wheel).unwrap();
        assert!(matches!(failure(&world, &set(&wheel, &"0".repeat(64))), Failure::WrongHash { .. }));
        assert!(matches!(failure(&world, &set(&wheel[1..], &hash)), Failure::WrongSize { .. }));
        let lost = DataSet { members: &["questions.json", "lost.json"], ..good };
        assert!(matches!(failure(&world, &lost), Failure::BadWheel { reason, .. } if reason.contains("lost.json")));
        let small = DataSet { max_member_bytes: 5, ..good };
        assert!(matches!(failure(&world, &small), Failure::BadWheel { reason, .. } if reason.contains("5 bytes")));
        assert!(pull(&world, &good).unwrap());
    }

    #[test]
    fn the_command_says_where_the_data_are_and_why_they_cannot_be_had() {
        let bench = Bench::new();
        let fetch = |pip: &str| {
            let output = bench.command(&["fetch", "bfcl"]).env("MNEME_PIP", pip).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
            (output.status.code().unwrap(), said)
        };
        let (code, said) = fetch("/no/such/pip");
        assert!(code == 3 && said.contains("cannot be run") && said.contains("install Python 3 with pip"), "{said}");
        let world = index();
        let (code, said) = fetch(world.pip().to_str().unwrap());
        assert_eq!((code, world.asked()), (3, vec!["bfcl-eval==2026.3.23".to_owned()]));
        assert!(said.contains("bfcl-eval==2026.3.23") && said.contains("check the network"), "{said}");
        for member in super::WHEEL.members {
            let path = bench.data().join(member);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let (code, said) = fetch("/no/such/pip");
        assert!(code == 0 && said.contains("already in") && said.contains(super::WHEEL.name), "{said}");
    }
}
