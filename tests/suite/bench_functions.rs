//! `mneme bench functions`: cases, judge, prompts and the runner, on made-up suites in the format of the real one.

pub mod official;

use std::path::PathBuf;
use std::process::Output;

use mneme::bench::bfcl::Costs;
use mneme::bench::functions::{Caller, Case, Category, Constrained, Judge, Reply, Verdict, drawn, present, read};
use mneme::dialect::Profile;
use mneme::inference::{Script, ScriptedEngine};
use mneme::types::{Call, Cancel};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::program::{binary, script};

/// A folder with a suite, a home and a script.
struct Bench {
    folder: TempDir,
}

fn weather() -> Value {
    json!({
        "name": "weather.get", "description": "Tells the weather.",
        "parameters": {"type": "dict", "required": ["city"], "properties": {
            "city": {"type": "string", "description": "Which city."},
            "days": {"type": "integer", "description": "How many days.", "default": 1},
        }},
    })
}

fn call(name: &str, arguments: &str) -> String {
    format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>")
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bench = Self { folder };
        std::fs::create_dir_all(bench.path("home")).unwrap();
        std::fs::create_dir_all(bench.path("suite/possible_answer")).unwrap();
        let asked = |id: &str, text: &str| json!({"id": id, "question": [[{"role": "user", "content": text}]], "function": [weather()]});
        let accepted = |id: &str, city: &str, days: Value| json!({"id": id, "ground_truth": [{"weather.get": {"city": [city], "days": days}}]});
        bench.lines(
            "simple_python.json",
            &[
                asked("s0", "Is it warm in Rome?"),
                asked("s1", "And in Oslo, for three days?"),
                asked("s2", "In Lima?"),
                asked("s3", "In <b>Bonn</b>?"),
            ],
        );
        bench.lines(
            "possible_answer/simple_python.json",
            &[
                accepted("s0", "Rome", json!(["", 1])),
                accepted("s1", "Oslo", json!([3])),
                accepted("s2", "Lima", json!([""])),
                accepted("s3", "Bonn", json!([""])),
            ],
        );
        bench.lines("irrelevance.json", &[asked("i0", "Who wrote Faust?"), asked("i1", "What is 1 + 1?")]);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lines(&self, name: &str, lines: &[Value]) {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        std::fs::write(self.path("suite").join(name), lines.join("\n")).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = binary();
        command.env("MNEME_HOME", self.path("home")).env("MNEME_MODELS", self.path("models"));
        command.env("MNEME_BENCH_DATA", self.path("bench")).current_dir(self.folder.path());
        command.args(["bench", "functions", "--engine", "scripted", "--model", "script.json"]);
        if !arguments.contains(&"--suite") {
            command.args(["--suite", "suite"]);
        }
        command.args(arguments).output().unwrap()
    }

    /// Runs the suite; the table and what was said meanwhile.
    fn ask(&self, arguments: &[&str]) -> (String, String) {
        let path = self.path("script.json");
        if !path.exists() {
            let reply = |when: &str, reply: &str| json!({"when": when, "reply": reply, "repeat": true});
            let replies = [
                reply("Rome", &call("weather_get", r#"{"city": "Rome", "days": 1}"#)),
                reply("Oslo", &call("weather_get", r#"{"city": "Oslo"}"#)),
                reply("Lima", &call("weather_get", r#"{"town": "Lima"}"#)),
                reply("Bonn", "<i>I cannot know.</i>"),
                reply("Faust", "Goethe did."),
                reply("1 + 1", &call("weather_get", r#"{"city": "2"}"#)),
            ];
            script(self.folder.path(), &json!({"replies": replies}));
        }
        let output = self.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        (String::from_utf8(output.stdout).unwrap(), said)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn cases(&self, category: Category) -> Vec<Case> {
        read(&self.path("suite"), category).unwrap()
    }
}

#[test]
fn replies_are_judged_and_written_down_one_a_line() {
    let bench = Bench::new();
    let (table, _) = bench.ask(&["--constrained", "off", "--report", "report"]);
    assert!(table.contains("simple_python") && table.contains("25.0 %"), "{table}");
    let lines = |name: &str| -> Vec<Value> {
        bench.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let simple = lines("report/simple_python.jsonl");
    let verdicts: Vec<&str> = simple.iter().map(|line| line["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["right", "wrong", "invalid", "refused"]);
    assert_eq!(simple[0]["result"], json!([{"name": "weather_get", "arguments": {"city": "Rome", "days": 1}}]));
    assert_eq!(simple[3]["result"], "<i>I cannot know.</i>");
    let keys: Vec<&String> = simple[1].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "result", "verdict", "reason", "tokens", "ms"]);
    assert!(
        simple[1]["reason"].as_str().unwrap().starts_with("simple_function_checker:missing_optional"),
        "{simple:?}"
    );
    assert!(simple[2]["reason"].as_str().unwrap().contains("lacks city"), "{simple:?}");
    let irrelevance = lines("report/irrelevance.jsonl");
    assert_eq!((&irrelevance[0]["verdict"], &irrelevance[1]["verdict"]), (&json!("right"), &json!("false_call")));
}

#[test]
fn a_report_has_figures_of_both_ways_and_a_page_without_markup_of_the_model() {
    let bench = Bench::new();
    bench.ask(&["--report", "report"]);
    let report: Value = serde_json::from_str(&bench.read("report/report.json")).unwrap();
    let model = &report["models"][0];
    let figures = |constrained: &str| {
        let mut found = model["categories"].as_array().unwrap().iter();
        found.find(|one| one["name"] == "simple_python" && one["constrained"] == constrained).unwrap()
    };
    // What the schema does not allow cannot be written under the grammar.
    assert_eq!((&figures("off")["invalid"], &figures("on")["invalid"]), (&json!(1), &json!(0)));
    assert_eq!(figures("on")["cases"], 4);
    assert!(figures("on")["tokens_forced"].as_f64().unwrap() > 0.0);
    let all = model["paired"].as_array().unwrap().last().unwrap();
    assert_eq!((&all["name"], &all["cases"]), (&json!("all cases"), &json!(6)));
    let csv = bench.read("report/report.csv");
    assert!(
        csv.starts_with("model,constrained,category,cases,right") && csv.contains("scripted,off,simple_python,4,1")
    );
    assert!(bench.read("report/report.md").contains("| simple_python | 4 |"));
    let page = bench.read("report/report.html");
    assert!(page.contains("&lt;i&gt;I cannot know.&lt;/i&gt;") && !page.contains("<i>"), "{page}");
    for from_outside in ["<script", "src=", "href=", "http", "@import"] {
        assert!(!page.contains(from_outside), "{from_outside}");
    }
    assert!(page.contains("width=device-width") && page.matches("<svg").count() == 3);
    for way in ["on", "off"] {
        assert_eq!(bench.read(&format!("report/scripted-{way}/irrelevance.jsonl")).lines().count(), 2);
    }
}

#[test]
fn what_was_measured_of_memory_joins_the_report() {
    let bench = Bench::new();
    let costs = serde_json::to_value(Costs::default()).unwrap();
    let measured = json!({
        "model": "<b>m</b>", "profile": "native", "policy": "default", "idle": "wait", "embedder": null, "data": "bfcl",
        "context_window": 8192, "note": "Not comparable.", "telling": costs, "answering": costs, "told": [], "answers": [],
        "scores": [{
            "name": "customer", "variant": "without", "questions": 30, "right": 24, "share": 0.8, "interval": [0.62, 0.9],
            "mean_words": 9.5, "max_words": 30, "recited_right": 27,
        }],
    });
    std::fs::write(bench.path("memory.json"), measured.to_string()).unwrap();
    let (table, _) = bench.ask(&["--memory", "memory.json", "--report", "report"]);
    let cells = ["customer", "without", "30", "80.0 % (62.0-90.0)", "9.5 (30)", "27 of 30"];
    let row = table.lines().find(|line| line.starts_with("customer")).unwrap();
    assert!(cells.iter().all(|cell| row.contains(cell)) && table.trim_end().ends_with("Not comparable."), "{table}");
    assert!(bench.read("report/report.md").contains(&format!("| {} |", cells.join(" | "))));
    assert!(
        bench
            .read("report/report.csv")
            .contains("on,\"memory customer, without\",30,24,6,0,0,0,0,0,0.8000,0.6200,0.9000")
    );
    let page = bench.read("report/report.html");
    assert!(page.contains("&lt;b&gt;m&lt;/b&gt;") && page.contains("27 of 30") && !page.contains("<b>m</b>"));
    let report: Value = serde_json::from_str(&bench.read("report/report.json")).unwrap();
    assert_eq!(report["memory"][0]["scores"], measured["scores"]);
    std::fs::write(bench.path("memory.json"), "{}").unwrap();
    let output = bench.run(&["--memory", "memory.json"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(3) && said.contains("bench memory bfcl --json"), "{said}");
}

#[test]
fn a_run_goes_on_where_an_earlier_one_ended() {
    let bench = Bench::new();
    let asked = |said: &str| said.contains("replies a minute");
    let few = ["--count", "2", "--category", "simple_python"];
    assert!(asked(&bench.ask(&few).1));
    let (table, said) = bench.ask(&few);
    assert!(!asked(&said), "everything is known: {said}");
    assert!(table.contains("simple_python"), "{table}");
    assert!(asked(&bench.ask(&["--category", "simple_python"]).1), "two cases are new");
    let mut works = std::fs::read_dir(bench.path("bench/work")).unwrap();
    let written = works.next().unwrap().unwrap().path().join("written.jsonl");
    let rows = std::fs::read_to_string(&written).unwrap();
    assert_eq!(rows.lines().count(), 8);
    // A kill cut the last row off.
    std::fs::write(&written, &rows[..rows.len() - 20]).unwrap();
    assert!(asked(&bench.ask(&["--category", "simple_python"]).1), "the last one is asked again");
    assert_eq!(std::fs::read_to_string(&written).unwrap().lines().count(), 8);
    assert!(asked(&bench.ask(&["--category", "simple_python", "--fresh"]).1));
}

#[test]
fn earlier_reports_are_put_side_by_side() {
    let bench = Bench::new();
    bench.ask(&["--report", "one"]);
    bench.ask(&["--report", "two", "--constrained", "on", "--category", "simple_python"]);
    let mut command = binary();
    command.current_dir(bench.folder.path()).env("MNEME_HOME", bench.path("home"));
    let compare = ["bench", "functions", "--compare", "one/report.json,two/report.json"];
    let output = command.args(compare).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let row = table.lines().find(|line| line.starts_with("simple_python")).unwrap();
    assert!(table.starts_with("[1] one/report.json: scripted, on, suite") && table.contains("\n[3] two/"), "{table}");
    assert!(row.matches(" % (").count() == 3 && row.trim_end().ends_with("+0.0"), "{row}");
    assert!(table.lines().any(|line| line.starts_with("irrelevance ") && line.trim_end().ends_with('-')), "{table}");
    std::fs::write(bench.path("one/report.json"), "{}").unwrap();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let bench = Bench::new();
    let refused = |arguments: &[&str], code: i32, text: &str| {
        let output = bench.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && said.contains(text), "{arguments:?}: {said}");
    };
    refused(&["--category", "simple"], 2, "simple_python");
    refused(&["--count", "0"], 2, "from 1");
    refused(&["--parallel", "0"], 2, "from 1 to 16");
    refused(&["--parallel", "17"], 2, "from 1 to 16");
    refused(&["--category", "multiple"], 3, "put a file NAME.json");
    refused(&["--suite", "bfcl"], 3, "mneme bench fetch bfcl");
    std::fs::remove_file(bench.path("suite/possible_answer/simple_python.json")).unwrap();
    refused(&[], 3, "possible_answer");
    bench.lines("possible_answer/simple_python.json", &[]);
    refused(&[], 3, "the case s0 has no accepted calls");
    std::fs::remove_file(bench.path("suite/simple_python.json")).unwrap();
    std::fs::remove_file(bench.path("suite/irrelevance.json")).unwrap();
    refused(&[], 3, "no case of the chosen categories");
}

#[test]
fn a_prompt_is_read_once_for_both_ways_of_asking() {
    let bench = Bench::new();
    let case = &bench.cases(Category::SimplePython)[0];
    let reply = call("weather_get", r#"{"city": "Rome"}"#);
    let engine = ScriptedEngine::new(Script::of([&*reply, &*reply]));
    let (mut caller, notice) = Caller::new(Box::new(engine), Profile::Native).unwrap();
    assert_eq!((notice, caller.dialect_name()), (None, "hermes"));
    let mut ask = |way| {
        let question = caller.question(case, way).unwrap();
        caller.ask(&question, &Cancel::new()).unwrap().unwrap()
    };
    let (on, off) = (ask(Constrained::On), ask(Constrained::Off));
    assert_eq!((on.tokens_read, off.tokens_read), (on.prompt_tokens, 1));
    assert_eq!(on.text, off.text);
    assert!(on.tokens_forced > 0 && off.tokens_forced == 0);
    let expected = Call { name: "weather_get".into(), arguments: json!({"city": "Rome"}).as_object().unwrap().clone() };
    assert_eq!(on.reply(case), Reply::Calls(vec![expected]));
    assert_eq!(Judge::new().unwrap().judge(case, &off.reply(case)).verdict, Verdict::Right);
}

#[test]
fn an_engine_without_lanes_asks_one_case_at_a_time_and_says_so() {
    let bench = Bench::new();
    let (alone, _) = bench.ask(&[]);
    let (table, said) = bench.ask(&["--parallel", "4"]);
    assert!(said.contains("this engine writes one reply at a time"), "{said}");
    let accuracies = |table: &str| table.matches(" %").count();
    assert_eq!(accuracies(&table), accuracies(&alone));
}

#[cfg(feature = "llama-cpp")]
#[test]
fn cases_that_are_asked_together_are_answered_as_alone() {
    use mneme::inference::{LlamaCppEngine, LoadOptions};

    let bench = Bench::new();
    let path = crate::harness::weights::model_path("smollm2-135m-instruct-q4_1");
    let options = LoadOptions { context_window: Some(2048), lanes: 4, lane_tokens: 1024, ..LoadOptions::default() };
    let engine = LlamaCppEngine::load(&path, &options, &mut |_| true).unwrap();
    let (mut caller, _) = Caller::new(Box::new(engine), Profile::Native).unwrap();
    assert_eq!((caller.lanes(), caller.window_tokens()), (4, 1024));
    let cases = bench.cases(Category::SimplePython);
    let questions: Vec<_> = cases.iter().map(|case| caller.question(case, Constrained::On).unwrap()).collect();
    let cancel = Cancel::new();
    let alone: Vec<_> = questions.iter().map(|one| caller.ask(one, &cancel).unwrap().unwrap()).collect();
    let together = caller.ask_together(&questions, &cancel).unwrap().unwrap();
    assert_eq!(together.len(), alone.len());
    for (case, written) in cases.iter().zip(&together) {
        let reply = written.reply(case);
        assert!(!matches!(reply, Reply::Unreadable { .. }), "under the grammar: {reply:?}");
        assert!(written.is_complete, "{written:?}");
    }
    // What prompts begin with in common is read by the first of them.
    let read: Vec<bool> = together.iter().map(|written| written.tokens_read == written.prompt_tokens).collect();
    assert_eq!(read, [true, false, false, false], "{together:?}");
    // Passes of another size round otherwise, so that a near-tie of this small model can go the other way.
    let same = alone.iter().zip(&together).filter(|(alone, together)| alone.text == together.text).count();
    assert!(same * 2 >= alone.len(), "{same} of {} are the same: {alone:?} and {together:?}", alone.len());
    let stopped = Cancel::new();
    stopped.raise();
    assert!(caller.ask_together(&questions, &stopped).unwrap().is_none());
}

#[test]
fn a_call_that_has_no_end_is_closed_under_the_grammar_and_invalid_without() {
    let bench = Bench::new();
    let case = &bench.cases(Category::SimplePython)[0];
    let endless =
        format!("<tool_call>\n{{\"name\": \"weather_get\", \"arguments\": {{\"city\": \"{}", "Rome ".repeat(2000));
    let engine = ScriptedEngine::new(Script::of([&*endless, &*endless]));
    let (mut caller, _) = Caller::new(Box::new(engine), Profile::Native).unwrap();
    let judge = Judge::new().unwrap();
    let mut ask = |way| {
        let question = caller.question(case, way).unwrap();
        let written = caller.ask(&question, &Cancel::new()).unwrap().unwrap();
        judge.judge(case, &written.reply(case)).verdict
    };
    assert_eq!((ask(Constrained::On), ask(Constrained::Off)), (Verdict::Wrong, Verdict::Invalid));
}

#[test]
fn where_no_call_is_accepted_none_is_right() {
    let bench = Bench::new();
    let case = Case { accepted: Vec::new(), ..bench.cases(Category::SimplePython)[0].clone() };
    let arguments = serde_json::json!({"city": "Rome"}).as_object().unwrap().clone();
    let reply = Reply::Calls(vec![Call { name: "weather_get".to_owned(), arguments }]);
    assert_eq!(Judge::new().unwrap().judge(&case, &reply).verdict, Verdict::Wrong);
}

#[test]
fn a_text_under_the_grammar_ends_when_it_is_known_to_be_one() {
    let bench = Bench::new();
    let case = &bench.cases(Category::Irrelevance)[0];
    let long = "It was a dark night. ".repeat(40);
    let engine = ScriptedEngine::new(Script::of([&*long, &*long]));
    let (mut caller, _) = Caller::new(Box::new(engine), Profile::Native).unwrap();
    let mut ask = |way| {
        let question = caller.question(case, way).unwrap();
        caller.ask(&question, &Cancel::new()).unwrap().unwrap()
    };
    let (on, off) = (ask(Constrained::On), ask(Constrained::Off));
    assert_eq!((on.tokens_sampled + on.tokens_forced, on.is_complete), (64, true));
    assert!(off.tokens_sampled > 64, "without it, a call may follow");
    assert!(matches!((on.reply(case), off.reply(case)), (Reply::Text(_), Reply::Text(_))));
}

#[test]
fn a_suite_of_ones_own_has_the_categories_of_its_files() {
    let bench = Bench::new();
    assert_eq!(present(&bench.path("suite")), [Category::SimplePython, Category::Irrelevance]);
    let cases = bench.cases(Category::SimplePython);
    assert_eq!(cases.len(), 4);
    assert_eq!(cases[1].accepted[0]["weather.get"]["days"], json!([3]));
    assert_eq!(drawn(cases, 2, 1).len(), 2);
}
