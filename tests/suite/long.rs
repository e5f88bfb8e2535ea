//! What takes minutes, for `make test-long`: a soak run, and talks with real models.

#[cfg(target_os = "linux")]
use crate::harness::endurance::endure;
use crate::harness::kills::kills;
use crate::harness::soak::soak;
use crate::suite::bench_functions::official;
use mneme::dialect::Profile;

#[test]
fn two_thousand_random_turns_agree_with_a_simple_model() {
    // In 2048 tokens an exchange of the classic profile is evicted while it runs, and the script's cues with it.
    soak(20_260_303, 2000, 3072);
}

#[cfg(target_os = "linux")]
#[test]
fn five_thousand_turns_at_4k_end_with_the_memory_of_a_thousand() {
    endure(20_261_124, 5000, 1000);
}

#[test]
fn three_hundred_kills_at_random_moments_lose_nothing_and_do_nothing_twice() {
    kills(20_260_323, 220, Profile::Native);
    kills(20_260_324, 80, Profile::Classic);
}

#[test]
fn function_calls_are_judged_as_the_official_judge_does() {
    official::verdicts_and_errors_are_the_official_ones();
}

#[test]
fn every_case_of_the_leaderboard_has_a_grammar_that_lets_its_accepted_calls_through() {
    official::every_case_has_a_grammar_that_lets_its_accepted_calls_through();
}

#[cfg(feature = "llama-cpp")]
mod models {
    use std::path::Path;

    use serde_json::{Value, json};

    use crate::harness::program::{Program, binary, reply};
    use crate::harness::weights::model_path;

    const SMALL: &str = "smollm2-135m-instruct-q4_1";
    const LARGE: &str = "qwen2.5-coder-1.5b-instruct-q4_k_m";

    /// The program on a model, with everything that decides what it says pinned.
    fn start(home: &Path, model: &str, arguments: &[&str]) -> Program {
        let path = model_path(model);
        let mut command = binary();
        command.env("MNEME_MODELS", path.parent().unwrap());
        command.args(["run", "--jsonl", "--yes", "--agent", "long", "--engine", "llama-cpp", "--idle", "wait"]);
        command.args(["--seed", "1", "--temperature", "0", "--model", model]).args(arguments);
        Program::spawn(home, command)
    }

    /// Every turn ends with an answer, and every call in it was carried out.
    fn assert_sound(events: &[Value], said: &str, window: u64) {
        let turn = events.last().unwrap();
        assert_eq!(turn["stop_reason"], "answer", "{said}: {events:?}");
        assert!(!reply(events).trim().is_empty(), "{said}: a silent turn: {events:?}");
        let failed = events.iter().find(|event| event["type"] == "result" && event["status"] != "OK");
        assert_eq!(failed, None, "{said}");
        let error = events.iter().find(|event| event["type"] == "error");
        assert_eq!(error, None, "{said}");
        let steps = turn["steps"].as_u64().unwrap();
        assert!(turn["tokens_read"].as_u64().unwrap() <= (steps + 2) * window, "{turn}");
    }

    #[test]
    fn calls_are_the_same_with_forcing_and_without_and_by_either_engine() {
        use crate::harness::engines::NATIVE;
        use crate::suite::inference::calls::{compare, written};
        for model in [SMALL, "qwen2.5-coder-0.5b-instruct-q4_k_m", LARGE] {
            let mut by_engine = Vec::new();
            for (name, load) in NATIVE {
                let (with, without) = (written(*load, model, 40, true), written(*load, model, 40, false));
                let alike = compare(&with, &without);
                eprintln!("{model}, {name}, with forcing and without: {alike:?}");
                assert!(alike.otherwise <= 2, "{model}, {name}: {alike:?}");
                by_engine.push(with);
            }
            if let [one, other] = &*by_engine {
                let alike = compare(one, other);
                eprintln!("{model}, by either engine: {alike:?}");
                assert!(alike.same >= 38, "{model}: {alike:?}");
            }
        }
    }

    #[test]
    fn masks_over_a_large_vocabulary_agree_with_llama_cpp() {
        use crate::suite::oracle::{World, llama};
        let tally = llama::compare(&World::open("qwen2.5-coder-0.5b-instruct-q4_k_m"), 200, 20_260_312);
        assert!(tally.grammars >= 12 && tally.decisions >= 300_000_000, "{tally:?}");
        assert!(tally.prefixes >= 200 * tally.grammars && tally.inside_character >= 200, "{tally:?}");
    }

    #[test]
    fn facts_told_to_the_large_model_survive_a_kill() {
        let home = tempfile::tempdir().unwrap();
        let facts = [
            ("Hi! My name is Torvald.", "torvald"),
            ("By the way, I keep two alpacas behind the house.", "alpaca"),
            ("My brother Anselm repairs church organs.", "anselm"),
        ];
        let mut program = start(home.path(), LARGE, &[]);
        let window = program.ready["context_window"].as_u64().unwrap();
        for (said, _) in facts {
            assert_sound(&program.say(said), said, window);
        }
        program
            .send_line(&json!({"type": "user", "text": "Tell me a long story about a ship in a storm."}).to_string());
        let mut deltas = 0;
        while deltas < 5 {
            let event = program.event();
            assert_ne!(event["type"], "turn", "the story was over before the kill: {event}");
            deltas += u32::from(event["type"] == "delta");
        }
        program.kill();
        let mut program = start(home.path(), LARGE, &[]);
        assert_eq!(program.ready["resumed"], true);
        let memory = program.memory();
        let human = memory["core"]["human"].as_str().unwrap().to_lowercase();
        for (said, word) in facts {
            assert!(human.contains(word), "{said:?} is not in {human:?}");
        }
        assert_sound(&program.say("What is my brother's name?"), "after the kill", window);
    }

    #[test]
    fn a_dozen_turns_with_the_small_model_in_a_small_window_are_all_answered() {
        for profile in ["native", "classic"] {
            let home = tempfile::tempdir().unwrap();
            let mut program = start(home.path(), SMALL, &["--context-window", "2048", "--profile", profile]);
            assert_eq!(program.ready["context_window"], 2048);
            for turn in 0..12 {
                let said = match turn % 3 {
                    0 => format!("I saw {} herons by the river this morning.", turn + 2),
                    1 => "What do you think about the weather in autumn?".to_owned(),
                    _ => "Tell me something about rivers.".to_owned(),
                };
                assert_sound(&program.say(&said), &format!("{profile}, turn {turn}: {said}"), 2048);
            }
            let memory = program.memory();
            assert!(memory["recall_count"].as_u64().unwrap() >= 24, "{memory}");
        }
    }
}
