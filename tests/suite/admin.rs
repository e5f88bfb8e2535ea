//! The commands that look after a home, as a user types them: lists, texts, deletion, history, settings, transfer,
//! backup, doctor.

mod chats;
mod transfer;

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use mneme::types::Draft;

use crate::harness::world::World;

/// A word that nothing else says and that stemming leaves as it is.
const SECRET: &str = "xanthoquark";

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a command that must succeed, and gives back its standard output.
pub(super) fn done(world: &World, arguments: &[&str]) -> String {
    let output = world.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Runs a command that must be refused with this exit code, and gives back what it says.
pub(super) fn refused(world: &World, code: i32, arguments: &[&str]) -> String {
    let output: Output = world.run(arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{said}", text(&output.stdout));
    assert!(said.lines().count() >= 2, "a refusal has a hint: {said}");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn append(section: &str, content: &str) -> Value {
    let call = format!(
        "<tool_call>\n{{\"name\": \"core_memory_append\", \"arguments\": {{\"section\": {}, \"content\": {}}}}}\n</tool_call>",
        json!(section),
        json!(content)
    );
    json!({"reply": call})
}

/// A home with the agent `a`, which has noted a secret.
fn told() -> World {
    let world = World::new();
    let mut program =
        world.start(json!([append("human", &format!("The password is {SECRET}.")), {"reply": "Noted."}]), &[]);
    program.say(&format!("Keep in mind that the password is {SECRET}."));
    program.command("/save before");
    assert!(program.close().success());
    world
}

/// Every file under `folder` that holds `needle`.
fn holding(folder: &Path, needle: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, needle));
        } else if std::fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle) {
            found.push(path);
        }
    }
    found
}

#[test]
fn agents_are_added_listed_renamed_and_deleted() {
    let world = World::new();
    assert!(done(&world, &["list", "agents"]).contains("no agents yet"));
    done(&world, &["add", "agent", "anna", "--persona", "muse"]);
    assert!(refused(&world, 2, &["add", "agent", "anna"]).contains("already"));
    assert!(refused(&world, 2, &["add", "agent", "../x"]).contains("not a usable name"));
    done(&world, &["rename", "agent", "anna", "bea"]);
    let listed: Value = serde_json::from_str(&done(&world, &["list", "agent", "--json"])).unwrap();
    assert_eq!(listed[0]["name"], "bea");
    assert_eq!((&listed[0]["messages"], &listed[0]["last_login_at_ms"]), (&json!(0), &Value::Null));
    let table = done(&world, &["list", "agents"]);
    for word in ["created", "last login", "messages", "passages", "size", "bea", "never"] {
        assert!(table.contains(word), "{word} is not in {table}");
    }
    assert!(refused(&world, 2, &["rename", "agents", "anna", "c"]).contains("there is no agent anna; there are bea"));
    assert!(refused(&world, 2, &["delete", "agent", "bea"]).contains("--yes"));
    done(&world, &["delete", "agent", "bea", "--yes"]);
    assert_eq!(done(&world, &["list", "agents", "--json"]).trim(), "[]");
}

#[test]
fn an_agent_whose_drafts_cannot_move_keeps_name_and_drafts() {
    let world = World::new();
    done(&world, &["add", "agent", "a"]);
    let draft = |agent: &str, label: &str| Draft::new(world.home.path(), agent, label, "").path;
    for label in ["human", "persona"] {
        std::fs::write(draft("a", label), "What I wrote.").unwrap();
    }
    std::fs::create_dir(draft("b", "persona")).unwrap();
    assert!(refused(&world, 1, &["rename", "agent", "a", "b"]).contains("cannot change"));
    assert!(done(&world, &["list", "agents"]).contains("a  "));
    assert!(draft("a", "human").exists() && draft("a", "persona").exists() && !draft("b", "human").exists());
    // An agent that is open keeps them as well.
    std::fs::remove_dir(draft("b", "persona")).unwrap();
    let program = world.start(json!([]), &[]);
    assert!(refused(&world, 1, &["rename", "agent", "a", "b"]).contains("open in another process"));
    assert!(draft("a", "human").exists() && !draft("b", "human").exists());
    assert!(program.close().success());
}

#[test]
fn an_agent_that_was_added_talks_with_its_own_texts() {
    let world = World::new();
    done(&world, &["add", "human", "me", "--text", "I am Ilva."]);
    done(&world, &["add", "agent", "a", "--human", "me"]);
    let mut program = world.start(json!([{"reply": "Hello Ilva."}]), &[]);
    assert_eq!(program.memory()["core"]["human"], "I am Ilva.");
    program.say("hi");
    for command in [&["rename", "agent", "a", "b"][..], &["delete", "agent", "a", "--yes"]] {
        assert!(refused(&world, 1, command).contains("open in another process"));
    }
    let copy = world.path("copy.db");
    done(&world, &["backup", &copy]);
    assert!(refused(&world, 1, &["restore", &copy, "--yes"]).contains("open in another process"));
    assert!(program.close().success());
}

#[test]
fn texts_of_the_user_are_kept_and_shipped_ones_stay() {
    let world = World::new();
    let file = world.file("p.txt", "I am brief.\n");
    done(&world, &["add", "persona", "brief", "--file", &file]);
    assert!(refused(&world, 2, &["add", "persona", "brief", "--text", "x"]).contains("already"));
    done(&world, &["add", "persona", "brief", "--text", "I am short.", "--replace"]);
    let listed: Value = serde_json::from_str(&done(&world, &["list", "personas", "--json"])).unwrap();
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["archivist", "brief", "mneme", "muse"]);
    assert_eq!(listed[1]["text"], "I am short.");
    done(&world, &["rename", "persona", "brief.txt", "short.txt"]);
    // One text that cannot be read hides no other.
    let broken = world.home.path().join("personas/broken.txt");
    std::fs::write(&broken, b"caf\xe9").unwrap();
    let listed = done(&world, &["list", "personas"]);
    assert!(listed.contains("I am short.") && listed.contains("is not UTF-8 at byte 3"), "{listed}");
    let listed: Value = serde_json::from_str(&done(&world, &["list", "personas", "--json"])).unwrap();
    assert!(listed[1]["text"].is_null() && listed[1]["error"].as_str().unwrap().contains("UTF-8"), "{listed}");
    done(&world, &["delete", "persona", "broken.txt", "--yes"]);
    assert!(!broken.exists());
    assert!(refused(&world, 2, &["delete", "persona", "brief", "--yes"]).contains("no persona brief"));
    assert!(refused(&world, 2, &["delete", "persona", "muse", "--yes"]).contains("shipped"));
    done(&world, &["delete", "personas", "short", "--yes"]);
    assert!(refused(&world, 2, &["add", "human", "long", "--text", &"x".repeat(2001)]).contains("2001 characters"));
    assert!(refused(&world, 2, &["add", "human", "none", "--text", " "]).contains("empty"));
    assert!(done(&world, &["list", "humans"]).contains("basic"));
}

#[test]
fn nothing_of_a_deleted_agent_is_left_in_the_home() {
    let world = told();
    let home = world.home.path();
    // What a terminal and --debug leave, a state of the KV cache, and a copy from before a migration.
    std::fs::write(home.join("history.txt"), format!("#V2\nthe password is {SECRET}\n")).unwrap();
    std::fs::write(home.join("logs/mneme.log"), format!("prompt: {SECRET}\n")).unwrap();
    std::fs::create_dir_all(home.join("kv")).unwrap();
    std::fs::write(home.join("kv/00.kv"), SECRET).unwrap();
    std::fs::copy(home.join("mneme.db"), home.join("mneme.db.v2-5.backup")).unwrap();
    std::fs::copy(home.join("mneme.db"), home.join("mneme.db.part")).unwrap();
    let draft = |agent: &str| Draft::new(home, agent, "human", "").path;
    std::fs::write(draft("a"), SECRET).unwrap();
    std::fs::write(draft("a").with_extension("txt~"), SECRET).unwrap();
    std::fs::write(draft("other"), "A draft of its own.").unwrap();
    done(&world, &["add", "agent", "other"]);
    assert!(holding(home, SECRET.as_bytes()).len() >= 8);
    let said = done(&world, &["delete", "agent", "a", "--yes"]);
    for word in ["history.txt", "log was emptied", "2 copies of the database"] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
    let utf16: Vec<u8> = SECRET.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for needle in [SECRET.as_bytes(), &SECRET.to_uppercase().into_bytes(), &utf16, b"xanthoq"] {
        assert_eq!(holding(home, needle), Vec::<std::path::PathBuf>::new(), "{needle:?}");
    }
    let database = world.database();
    for index in ["messages_fts", "messages_trigram", "passages_fts", "passages_trigram"] {
        let sql = format!("CREATE VIRTUAL TABLE temp.terms_{index} USING fts5vocab(main, {index}, row)");
        database.execute_batch(&sql).unwrap();
        let sql = format!("SELECT count(*) FROM terms_{index}");
        assert_eq!(database.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "{index}");
    }
    assert!(done(&world, &["list", "agents"]).contains("other"));
    done(&world, &["rename", "agent", "other", "another"]);
    assert_eq!(std::fs::read_to_string(draft("another")).unwrap(), "A draft of its own.");
    assert!(!draft("other").exists());
}

#[test]
fn the_history_shows_what_changed_and_why() {
    let world = told();
    let shown = done(&world, &["history", "--agent", "a"]);
    assert!(shown.contains("human by core_memory_append"), "{shown}");
    assert!(shown.contains(&format!("+ The password is {SECRET}.")), "{shown}");
    assert!(shown.contains("because of"), "{shown}");
    let rows: Value = serde_json::from_str(&done(&world, &["history", "--agent", "a", "--json"])).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["block"], "human");
    assert!(rows[0]["after"].as_str().unwrap().contains(SECRET));
    // The call itself, as the model wrote it.
    let call = json!({"name": "core_memory_append",
        "arguments": {"section": "human", "content": format!("The password is {SECRET}.")}});
    let body = &rows[0]["message"]["body"];
    assert_eq!((&body["kind"], &body["call"]), (&json!("assistant"), &call), "{rows}");
    let said = done(&world, &["history", "--agent", "a", "--block", "persona"]);
    assert!(said.starts_with("The persona block is as it was"), "{said}");
    assert_eq!(done(&world, &["history", "--agent", "a", "--limit", "0"]), "");
    assert_eq!(done(&world, &["history", "--agent", "a", "--limit", "0", "--json"]).trim(), "[]");
    assert!(refused(&world, 2, &["history", "--agent", "b"]).contains("there is no agent b"));
}

#[test]
fn the_history_of_a_memory_pass_names_the_message_of_the_user() {
    let world = World::new();
    std::fs::write(world.home.path().join("config.toml"), "memory_pass = true\n").unwrap();
    let replies = json!([
        {"when": "Message:\nI keep bees on the roof.", "reply": "FACT: The user keeps bees.", "repeat": true},
        {"when": "Message:\n", "reply": "NONE", "repeat": true},
    ]);
    let script = json!({"replies": replies, "otherwise": "All right."});
    let mut program = world.start_script(script, &["--idle", "wait"]);
    program.say("I keep bees on the roof.");
    program.say("What is the time?");
    assert!(program.close().success());
    let rows: Value = serde_json::from_str(&done(&world, &["history", "--agent", "a", "--json"])).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert!(rows[0]["after"].as_str().unwrap().contains("keeps bees"), "{rows}");
    let body = json!({"kind": "user", "text": "I keep bees on the roof."});
    assert_eq!(rows[0]["message"]["body"], body, "{rows}");
    let shown = done(&world, &["history", "--agent", "a"]);
    assert!(shown.contains("I keep bees on the roof."), "{shown}");
}

#[test]
fn settings_are_shown_with_their_origin_and_changed_with_care() {
    let world = World::new();
    done(&world, &["config", "set", "temperature", "0.7"]);
    let path = done(&world, &["config", "path"]);
    let path = Path::new(path.trim());
    let written = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, format!("# warm\n{written}")).unwrap();
    done(&world, &["config", "set", "queue.keep_last_messages", "4"]);
    assert!(std::fs::read_to_string(path).unwrap().starts_with("# warm\ntemperature = 0.7"));
    assert_eq!(done(&world, &["config", "get", "temperature"]).trim(), "0.7");
    assert_eq!(done(&world, &["config", "get", "persona"]).trim(), "mneme");
    let rows: Value = serde_json::from_str(&done(&world, &["config", "show", "--json"])).unwrap();
    let origin = |key: &str| {
        let row = rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap();
        row["origin"].as_str().unwrap().to_owned()
    };
    assert_eq!(origin("temperature"), "file");
    assert_eq!(origin("queue.keep_last_messages"), "file");
    assert_eq!(origin("queue.warn_fraction"), "default");
    assert_eq!(origin("home (MNEME_HOME)"), "environment");
    assert!(refused(&world, 2, &["config", "set", "temperature", "9"]).contains("from 0 to 2"));
    assert!(refused(&world, 2, &["config", "set", "warmth", "1"]).contains("temperature"));
    assert!(refused(&world, 2, &["config", "get", "warmth"]).contains("no setting warmth"));
    done(&world, &["config", "unset", "temperature"]);
    assert_eq!(done(&world, &["config", "get", "temperature"]).trim(), "0.0");
}

/// Runs `mneme config edit` with an editor that may hold quotes, as the shell reads them: exit code and what was said.
#[cfg(unix)]
fn edited(world: &World, editor: &str) -> (i32, String) {
    let mut command = crate::harness::program::binary();
    command.args(["config", "edit"]).env("MNEME_HOME", world.home.path()).env("VISUAL", "").env("EDITOR", editor);
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    (output.status.code().unwrap(), text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
#[cfg(unix)]
fn settings_that_are_edited_badly_are_opened_again() {
    let world = World::new();
    let path = world.home.path().join("config.toml");
    std::fs::write(&path, "# mine\nmodel = \"m\"\nstopgap_model = \"m\"\n").unwrap();
    assert_eq!(edited(&world, "true").0, 0);
    let (code, said) = edited(&world, "sh -c 'echo \"temperature = 9\" >> \"$1\"' ed");
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("from 0 to 2") && said.contains("opens it again"), "{said}");
    assert!(!std::fs::read_to_string(&path).unwrap().contains("temperature"));
    let (code, said) = edited(
        &world,
        "sh -c 'sed \"s/= 9/= 0.9/; s/^model.*/model = \\\"n\\\"/\" \"$1\" > \"$1.x\"; mv \"$1.x\" \"$1\"' ed",
    );
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("opens what you wrote before"), "{said}");
    // A model that the user has written is no stopgap of the program's.
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\nmodel = \"n\"\ntemperature = 0.9\n");
    assert!(!world.home.path().join("config.edited.toml").exists());
    let (code, said) = edited(&world, "sh -c 'exit 3'");
    assert!(code == 1 && said.contains("ended with") && said.contains("config set"), "{said}");
}

#[test]
#[cfg(unix)]
fn settings_that_cannot_be_read_are_not_edited_as_if_there_were_none() {
    let world = World::new();
    let path = world.home.path().join("config.toml");
    std::fs::write(&path, b"# caf\xe9\nseed = 3\n").unwrap();
    let (code, said) = edited(&world, "sh -c 'echo \"seed = 4\" > \"$1\"' ed");
    assert!(code == 2 && said.contains("config.toml"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), b"# caf\xe9\nseed = 3\n");
}

#[test]
fn a_model_that_was_set_is_chosen_though_it_was_a_stopgap() {
    let world = World::new();
    std::fs::write(world.home.path().join("config.toml"), "model = \"m\"\nstopgap_model = \"m\"\n").unwrap();
    assert_eq!(done(&world, &["config", "get", "model"]).trim(), "");
    done(&world, &["config", "set", "model", "m"]);
    assert_eq!(done(&world, &["config", "get", "model"]).trim(), "m");
}

#[test]
fn the_doctor_names_what_is_wrong_and_what_to_do() {
    let world = World::new();
    let report = |world: &World| -> (i32, Value) {
        let output = world.run(&["doctor", "--json"]);
        (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap())
    };
    let state = |report: &Value, name: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == name).unwrap()["state"].as_str().unwrap().to_owned()
    };
    let (code, found) = report(&world);
    assert_eq!((code, state(&found, "chat model").as_str()), (1, "fail"), "{found}");
    assert_eq!(state(&found, "database"), "ok");
    assert!(!world.home.path().join("mneme.db").exists(), "the doctor makes nothing");
    // A model counts as installed by its size.
    let models = world.scratch.path().join("models");
    std::fs::create_dir(&models).unwrap();
    let model = models.join("smollm2-135m-instruct-q4_1.gguf");
    std::fs::File::create(&model).unwrap().set_len(98_362_432).unwrap();
    done(&world, &["add", "agent", "a"]);
    let (code, found) = report(&world);
    assert_eq!((code, state(&found, "chat model").as_str()), (0, "ok"), "{found}");
    let text = done(&world, &["doctor"]);
    assert!(text.contains("smollm2-135m-instruct-q4_1") && text.contains("1 agents"), "{text}");
    std::fs::write(world.home.path().join("config.toml"), "temperature = 9.0\n").unwrap();
    std::fs::File::create(&model).unwrap().set_len(7).unwrap();
    world.database().execute("INSERT INTO messages_fts (rowid, text) VALUES (77, 'nothing')", []).unwrap();
    let (code, found) = report(&world);
    assert_eq!(code, 1);
    for name in ["settings", "models", "database"] {
        assert_eq!(state(&found, name), "fail", "{found}");
    }
}

#[test]
fn a_backup_made_during_a_chat_is_restored() {
    let world = World::new();
    let mut program = world.start(json!([append("human", "The user rows."), {"reply": "Noted."}]), &[]);
    program.say("I row.");
    let copy = world.path("copy.db");
    done(&world, &["backup", &copy]);
    assert!(refused(&world, 2, &["backup", &copy]).contains("already"));
    program.say("And I sing.");
    assert!(program.close().success());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let messages = |world: &World| -> i64 {
        let rows: Value = serde_json::from_str(&done(world, &["list", "agents", "--json"])).unwrap();
        rows[0]["messages"].as_i64().unwrap()
    };
    let before = messages(&world);
    assert!(refused(&world, 2, &["restore", &copy]).contains("--yes"));
    let junk = world.file("junk.db", "no database");
    assert!(refused(&world, 3, &["restore", &junk, "--yes"]).contains("cannot be restored"));
    assert_eq!(messages(&world), before);
    let said = done(&world, &["restore", &copy, "--yes"]);
    assert!(messages(&world) < before);
    let aside = said.lines().find_map(|line| line.strip_prefix("What was there before is in ")).unwrap().to_owned();
    done(&world, &["restore", &aside, "--yes"]);
    assert_eq!(messages(&world), before);
}

#[test]
fn a_backup_that_cannot_be_written_is_told_by_what_is_wrong() {
    let world = World::new();
    done(&world, &["add", "agent", "a"]);
    let said = refused(&world, 1, &["backup", &world.path("no/such/folder/copy.db")]);
    assert!(said.contains("cannot write the backup") && said.contains("a folder that exists"), "{said}");
    assert!(!said.contains("migration") && !said.contains("disk space"), "{said}");
}

#[test]
fn an_export_that_nobody_reads_to_its_end_ends_quietly() {
    let world = World::new();
    done(&world, &["add", "agent", "a"]);
    let mut command = crate::harness::program::binary();
    command.args(["export", "--agent", "a", "--output", "-"]).env("MNEME_HOME", world.home.path());
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

#[test]
fn passages_of_an_agent_are_listed_in_pages_and_deleted() {
    let world = World::new();
    let mut program = world.start(json!([]), &[]);
    for number in 1..=21 {
        program.command(&format!("/archive Note {number} is here."));
    }
    assert!(program.close().success());
    let listed: Value = serde_json::from_str(&done(&world, &["list", "passages", "--agent", "a", "--json"])).unwrap();
    assert_eq!((&listed["total"], &listed["pages"]), (&json!(21), &json!(2)));
    assert_eq!(listed["passages"].as_array().unwrap().len(), 20);
    assert_eq!(listed["passages"][0]["text"], "Note 21 is here.");
    let id = listed["passages"][0]["id"].to_string();
    let last = done(&world, &["list", "passages", "--agent", "a", "--page", "2"]);
    assert!(last.contains("Note 1 is here.") && last.contains("21 in all, page 2 of 2"), "{last}");
    let delete = ["delete", "passage", &id, "--agent", "a"];
    assert!(refused(&world, 2, &delete).contains("--yes"));
    let said = done(&world, &[&delete[..], &["--yes"]].concat());
    assert!(said.contains("Note 21 is here.") && said.contains("is deleted"), "{said}");
    for (wrong, named) in [
        (&["list", "passages"][..], "--agent"),
        (&["list", "agents", "--agent", "a"], "passages"),
        (&["list", "passages", "--agent", "a", "--page", "3"], "the last page is 1"),
        (&["list", "passages", "--agent", "a", "--page", "0"], "--page"),
        (&["delete", "passage", &id, "--agent", "a", "--yes"], "no passage"),
        (&["delete", "passage", "first", "--agent", "a", "--yes"], "no number"),
        (&["delete", "agent", "a", "--agent", "a", "--yes"], "passages"),
    ] {
        let said = refused(&world, 2, wrong);
        assert!(said.contains(named), "{wrong:?}: {said}");
    }
    // While a chat has the agent open, nothing is deleted behind its back.
    let program = world.start(json!([]), &[]);
    let id = &listed["passages"][1]["id"].to_string();
    let output = world.run(&["delete", "passage", id, "--agent", "a", "--yes"]);
    assert!(!output.status.success() && text(&output.stderr).contains("open"), "{}", text(&output.stderr));
    assert!(program.close().success());
}
