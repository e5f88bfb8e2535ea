//! The judge of function calls beside the official one, on all cases of the leaderboard: answers built from the accepted
//! calls, and the same damaged in every way that the judge looks at.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use mneme::bench::bfcl::WHEEL;
use mneme::bench::functions::{Case, Category, Demand, Judge, Language, Reply, Verdict, offer, read, read_reply};
use mneme::dialect::{Profile, choose};
use mneme::grammar::{Compiler, Limits};
use mneme::inference::{Engine, Script, ScriptedEngine, tokenize_template};
use mneme::types::{Call, Constraint, Hasher};
use serde_json::{Map, Value, json};

/// The data of the wheel in `folder`.
fn unpack(wheel: &Path, folder: &Path) {
    let mut archive = zip::ZipArchive::new(File::open(wheel).unwrap()).unwrap();
    for member in WHEEL.members {
        let path = folder.join(member);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut text = String::new();
        archive.by_name(&format!("{}{member}", WHEEL.prefix)).unwrap().read_to_string(&mut text).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

fn wheel() -> PathBuf {
    let fetch = "fetch it with `pip download --no-deps bfcl-eval==2026.3.23` and name it in MNEME_BFCL_WHEEL";
    let path = std::env::var_os("MNEME_BFCL_WHEEL").map(PathBuf::from);
    let path = path.unwrap_or_else(|| panic!("the official judge is needed: {fetch}"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: {fetch}", path.display()));
    let mut hasher = Hasher::default();
    hasher.update(&bytes);
    assert_eq!(hasher.hex(), WHEEL.sha256, "{} is another one: {fetch}", path.display());
    path
}

/// One of the accepted values: the first that is told, or the one `choice` places behind it.
fn chosen(accepted: &Value, choice: usize) -> Option<Value> {
    let values: Vec<&Value> = accepted.as_array()?.iter().filter(|value| *value != "").collect();
    let value = *values.get(choice % values.len().max(1))?;
    Some(match value {
        Value::Object(_) => chosen_members(value, choice),
        Value::Array(items) => items
            .iter()
            .map(|item| if item.is_object() { chosen_members(item, choice) } else { item.clone() })
            .collect(),
        other => other.clone(),
    })
}

fn chosen_members(accepted: &Value, choice: usize) -> Value {
    let members = accepted.as_object().unwrap().iter();
    members.filter_map(|(key, values)| Some((key.clone(), chosen(values, choice)?))).collect::<Map<_, _>>().into()
}

/// A value as an expression of a type in a language; JSON in Python.
fn expression(value: Value, kind: &str, language: Language) -> Value {
    let plain = |value: &Value| match value {
        Value::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    };
    let list = |items: &[Value]| items.iter().map(plain).collect::<Vec<_>>().join(", ");
    let text = match (language, &value) {
        (Language::Python, _) => return value,
        (_, Value::String(text)) => text.clone(),
        (Language::Java, Value::Array(items)) if kind == "ArrayList" => {
            format!("new ArrayList<>(Arrays.asList({}))", list(items))
        }
        (Language::Java, Value::Array(items)) => format!("new Object[]{{{}}}", list(items)),
        (Language::Java, Value::Object(members)) => {
            let puts = members.iter().map(|(key, value)| format!("put(\"{key}\", {}); ", plain(value)));
            format!("new HashMap<String, Object>() {{{{ {}}}}}", puts.collect::<String>())
        }
        (Language::Java, Value::Number(_)) if kind == "long" => format!("{value}L"),
        (Language::Java, Value::Number(_)) if kind == "float" => format!("{value}f"),
        (Language::Javascript, Value::Array(items)) => format!("[{}]", list(items)),
        _ => value.to_string(),
    };
    text.into()
}

/// The accepted calls, built with the values at `choice`.
fn keyed(case: &Case, choice: usize) -> Vec<Call> {
    let language = case.category.language();
    let call = |accepted: &Map<String, Value>| {
        let (name, values) = accepted.iter().next().unwrap();
        let function = case.functions.iter().find(|function| function.name == *name).unwrap();
        let values = values.as_object().unwrap().iter();
        let argument = |(key, values): (&String, &Value)| {
            let kind = function.parameters.properties.get(key).and_then(|parameter| parameter["type"].as_str());
            Some((key.clone(), expression(chosen(values, choice)?, kind.unwrap_or_default(), language)))
        };
        Call { name: name.replace('.', "_"), arguments: values.filter_map(argument).collect() }
    };
    case.accepted.iter().map(call).collect()
}

/// Other values in the place of `value`, each with what was done.
fn damaged_values(value: &Value) -> Vec<(&'static str, Value)> {
    let mut found = vec![
        ("types", json!(null)),
        ("types", json!(7)),
        ("types", json!(7.5)),
        ("types", json!(true)),
        ("types", json!([])),
        ("types", json!({})),
        ("types", json!([value])),
        ("types", json!({ "key": value })),
        ("types", value.to_string().into()),
        ("wrong value", json!("")),
    ];
    match value {
        Value::String(text) => {
            let expressions = [
                format!("{text}x"),
                format!("{text}\n"),
                format!("{text}L"),
                format!("{text}f"),
                format!("{text}n"),
                format!("[{text}]"),
                format!("\"{text}\""),
                format!("'{text}'"),
                format!("new Array({text})"),
                format!("new int[] {{ {text} }}"),
                format!("new HashMap<>() {{ put(\"a\", {text}); }}"),
                format!("{{'key': {text}, other: 'x'}}"),
                format!("[[{text}, 1], [2]]"),
                text.replace(", ", ","),
                text.replace('"', "'"),
                text.chars().rev().collect(),
                text.trim_end_matches(['L', 'f', 'n', ')', '}', ']']).to_owned(),
            ];
            found.extend(expressions.map(|text| ("wrong value", text.into())));
            found.push(("spelling", text.to_uppercase().into()));
            found.push(("spelling", text.replace(' ', "-_, ./*^").replace('"', "'").into()));
            found.extend(text.parse::<f64>().ok().map(|number| ("types", json!(number))));
        }
        Value::Number(number) => {
            let float = number.as_f64().unwrap();
            found.push(("types", json!(float)));
            #[expect(clippy::cast_possible_truncation)]
            found.push(("types", json!(float as i64)));
            found.extend([("wrong value", json!(float + 1.0)), ("wrong value", json!(-float))]);
            found.extend(number.as_i64().map(|whole| ("wrong value", json!(whole + 1))));
        }
        Value::Bool(flag) => found.extend([("wrong value", json!(!flag)), ("types", json!(i32::from(*flag)))]),
        Value::Array(items) => {
            found.push(("order", items.iter().rev().cloned().collect()));
            found.push(("missing", items.iter().skip(1).cloned().collect()));
            found.push(("extra", items.iter().chain(items.first()).cloned().collect()));
            if let Some((first, rest)) = items.split_first() {
                for (how, other) in damaged_values(first) {
                    found.push((how, [other].into_iter().chain(rest.iter().cloned()).collect()));
                }
            }
        }
        Value::Object(members) => {
            let reversed: Map<String, Value> = members.clone().into_iter().rev().collect();
            found.push(("order", reversed.into()));
            let mut more = members.clone();
            more.insert("unexpected".to_owned(), json!("x"));
            found.push(("extra parameter", more.into()));
            for (key, member) in members {
                let mut fewer = members.clone();
                fewer.shift_remove(key);
                found.push(("missing", fewer.into()));
                for (how, other) in damaged_values(member) {
                    let mut changed = members.clone();
                    changed.insert(key.clone(), other);
                    found.push((how, changed.into()));
                }
            }
        }
        Value::Null => {}
    }
    found
}

/// What is left of `calls` where `change` is done to a copy.
fn changed(calls: &[Call], change: impl FnOnce(&mut Vec<Call>)) -> Vec<Call> {
    let mut calls = calls.to_vec();
    change(&mut calls);
    calls
}

/// `calls` damaged in every way.
fn damaged(case: &Case, calls: &[Call]) -> Vec<(&'static str, Vec<Call>)> {
    let mut found = vec![
        ("prose", Vec::new()),
        ("order", calls.iter().rev().cloned().collect()),
        ("extra", calls.iter().chain(calls.last()).cloned().collect()),
        ("missing", calls.iter().skip(1).cloned().collect()),
        ("extra", vec![calls[0].clone(); calls.len()]),
    ];
    for (at, call) in calls.iter().enumerate() {
        found.push(("name", changed(calls, |calls| calls[at].name.push('x'))));
        for function in &case.functions {
            found.push(("name", changed(calls, |calls| calls[at].name.clone_from(&function.name))));
            found.push(("name", changed(calls, |calls| calls[at].name = function.name.replace('.', "_"))));
            for name in function.parameters.properties.keys().filter(|name| !call.arguments.contains_key(*name)) {
                let extra = |calls: &mut Vec<Call>| _ = calls[at].arguments.insert(name.clone(), json!("x"));
                found.push(("extra parameter", changed(calls, extra)));
            }
        }
        let extra = |calls: &mut Vec<Call>| _ = calls[at].arguments.insert("unexpected".to_owned(), json!("x"));
        found.push(("extra parameter", changed(calls, extra)));
        found.push(("missing", changed(calls, |calls| calls[at].arguments.clear())));
        let reversed = call.arguments.clone().into_iter().rev().collect();
        found.push(("order", changed(calls, |calls| calls[at].arguments = reversed)));
        for (name, value) in &call.arguments {
            found.push(("missing", changed(calls, |calls| _ = calls[at].arguments.shift_remove(name))));
            for (how, other) in damaged_values(value) {
                let replace = |calls: &mut Vec<Call>| _ = calls[at].arguments.insert(name.clone(), other);
                found.push((how, changed(calls, replace)));
            }
        }
    }
    found
}

/// The answers that are tried on a case.
fn answers(case: &Case) -> Vec<(&'static str, Vec<Call>)> {
    if matches!(case.category.demand(), Demand::NoCall | Demand::AnyCall) {
        let any = Call { name: "any".to_owned(), arguments: Map::new() };
        return vec![("prose", Vec::new()), ("any call", vec![any.clone()]), ("any calls", vec![any.clone(), any])];
    }
    let mut found: Vec<_> = (0..3).map(|choice| ("keyed", keyed(case, choice))).collect();
    found.extend(damaged(case, &keyed(case, 0)));
    found
}

/// The official verdicts on answers, in their order.
fn official(wheel: &Path, answers: &str) -> Vec<(bool, Option<String>)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bfcl_ast_checker.py");
    let mut python = Command::new("python3");
    // The judge prints what it cannot read; only lists are verdicts.
    python.arg(script).arg(wheel).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().expect("python3 runs the official judge");
    let mut input = child.stdin.take().unwrap();
    let answers = answers.to_owned();
    let writer = std::thread::spawn(move || input.write_all(answers.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().filter(|line| line.starts_with('[')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Compares all verdicts and, where the official judge names an error, the errors.
pub fn verdicts_and_errors_are_the_official_ones() {
    let wheel = wheel();
    let folder = tempfile::tempdir().unwrap();
    unpack(&wheel, folder.path());
    let judge = Judge::new().unwrap();
    let (mut asked, mut ours) = (String::new(), Vec::new());
    for category in Category::ALL {
        for case in read(folder.path(), category).unwrap() {
            for (how, calls) in answers(&case) {
                let spelled: Vec<Value> = calls.iter().map(|call| json!({ &*call.name: call.arguments })).collect();
                let answer = json!({"category": category, "id": case.id, "calls": spelled});
                asked.push_str(&format!("{answer}\n"));
                let reply = if calls.is_empty() { Reply::Text("Well.".to_owned()) } else { Reply::Calls(calls) };
                ours.push((category, how, judge.judge(&case, &reply), answer));
            }
        }
    }
    let official = official(&wheel, &asked);
    assert_eq!(official.len(), ours.len());
    let mut counts: BTreeMap<(&str, &str), [usize; 3]> = BTreeMap::new();
    let (mut differing, mut raised) = (Vec::new(), 0);
    for ((category, how, judged, answer), (valid, error)) in ours.iter().zip(official) {
        let [all, right, other] = counts.entry((category.as_str(), how)).or_default();
        *all += 1;
        *right += usize::from(valid);
        let error = error.unwrap_or_default();
        raised += usize::from(error.starts_with("raises"));
        let is_right = judged.verdict == Verdict::Right;
        let same_error = valid
            || error.is_empty()
            || error.starts_with("raises")
            || judged.verdict == Verdict::Refused
            || judged.reason.starts_with(&error);
        if is_right != valid || !same_error {
            *other += 1;
            differing.push(format!("{answer}: official {valid} {error}, ours {judged:?}"));
        }
    }
    for ((category, how), [all, right, other]) in &counts {
        eprintln!("{category:24}{how:16}{all:>8} answers{right:>8} right{other:>8} differing");
    }
    eprintln!("{} answers, {raised} on which the official judge fails, {} differing", ours.len(), differing.len());
    assert!(differing.is_empty(), "{}", differing[..differing.len().min(20)].join("\n"));
    let keyed = counts.iter().filter(|((_, how), _)| *how == "keyed").map(|(_, counts)| counts);
    let [all, right] = keyed.fold([0, 0], |[all, right], counts| [all + counts[0], right + counts[1]]);
    assert!(right * 100 >= all * 98, "of {all} answers built from accepted calls only {right} are right");
}

/// `value` with the members of its objects in the order of the schema.
fn in_order(value: &Value, schema: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let declared = schema["properties"].as_object().cloned().unwrap_or_default();
            let known =
                declared.iter().filter_map(|(key, schema)| Some((key.clone(), in_order(members.get(key)?, schema))));
            let others = members.iter().filter(|(key, _)| !declared.contains_key(*key));
            known.chain(others.map(|(key, value)| (key.clone(), value.clone()))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(|item| in_order(item, &schema["items"])).collect(),
        other => other.clone(),
    }
}

/// JSON as Python writes it.
fn python_json(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(python_json).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("{}: {}", json!(key), python_json(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// Compiles the grammar of every case, and lets the accepted calls through wherever they are what the schemas allow.
pub fn every_case_has_a_grammar_that_lets_its_accepted_calls_through() {
    let folder = tempfile::tempdir().unwrap();
    unpack(&wheel(), folder.path());
    let engine = ScriptedEngine::new(Script::default());
    let dialect = choose(engine.identity(), engine.vocab(), Profile::Native).unwrap().dialect;
    let judge = Judge::new().unwrap();
    let (mut all, mut let_through, mut refused) = (0, 0, Vec::new());
    for category in Category::ALL {
        for case in read(folder.path(), category).unwrap() {
            let offer = offer(&case);
            let source = dialect.calls_grammar(&offer).unwrap_or_else(|error| panic!("{}: {error}", case.id));
            let compiler = Compiler::new(Arc::clone(engine.vocab()), Limits::default());
            let grammar = compiler.compile(&source).unwrap_or_else(|error| panic!("{}: {error}", case.id));
            if case.accepted.is_empty() {
                continue;
            }
            let schema_of = |name: &str| &offer.functions.iter().find(|one| one.name == name).unwrap().parameters;
            let written = |call: &Call| {
                let arguments = in_order(&call.arguments.clone().into(), schema_of(&call.name));
                let (name, arguments) = (json!(call.name), python_json(&arguments));
                format!("<tool_call>\n{{\"name\": {name}, \"arguments\": {arguments}}}\n</tool_call>")
            };
            let calls = keyed(&case, 0);
            let reply = calls.iter().map(written).collect::<Vec<_>>().join("\n");
            all += 1;
            let mut matcher = grammar.matcher().unwrap();
            let tokens = tokenize_template(&engine, &reply).unwrap();
            let is_let_through =
                tokens.iter().all(|token| matcher.allows(*token).unwrap() && matcher.commit(*token).is_ok());
            if is_let_through && matcher.may_end() {
                let names: Vec<String> = offer.functions.iter().map(|function| function.name.clone()).collect();
                let read = read_reply(&reply, &names, true);
                let right = |reply: &Reply| judge.judge(&case, reply).verdict == Verdict::Right;
                assert_eq!(right(&read), right(&Reply::Calls(calls)), "{}: {reply}", case.id);
                let_through += 1;
            } else {
                refused.push(format!("{}: {reply}", case.id));
            }
        }
    }
    eprintln!("{let_through} of {all} accepted answers are let through; refused:\n{}", refused.join("\n"));
    // What is refused contradicts the schema of its own function: a text for a number, a parameter that is not there.
    assert!(let_through * 100 >= all * 97, "only {let_through} of {all}");
}
