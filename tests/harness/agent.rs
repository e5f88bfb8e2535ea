//! An agent in this process, on the scripted engine, a clock that stands still and a database in memory: what the model
//! sees and what the user sees, without a process between.

use std::path::PathBuf;
use std::sync::Arc;

use mneme::app::chat::{Opened, Texts, open_agent};
use mneme::bench::turn::trace::{Trace, TracedEngine};
use mneme::config::{Config, ConfigFile, Idle, Overrides};
use mneme::dialect::Profile;
use mneme::inference::{Script, ScriptedEngine, ScriptedLog};
use mneme::kernel::{Agent, Request, handle};
use mneme::memory::Store;
use mneme::types::{Cancel, Cause, Clock, CoreMemoryText, Event, ManualClock};

/// Tuesday 2026-03-03 09:30 UTC.
pub const START_MS: i64 = 1_772_530_200_000;
/// A minute passes between two inputs.
const MINUTE_MS: i64 = 60_000;

/// An agent with everything around it.
pub struct Talk {
    pub agent: Agent,
    pub log: ScriptedLog,
    /// What the engine is asked to do.
    pub trace: Trace,
    pub clock: ManualClock,
}

/// How an agent is opened.
pub struct Setting<'a> {
    pub profile: Profile,
    pub script: Script,
    pub persona: &'a str,
    pub human: &'a str,
    pub config: ConfigFile,
    /// Whether a turn waits for the memory passes.
    pub idle: Idle,
}

impl<'a> Setting<'a> {
    /// Defaults, with these replies in order.
    pub fn new(profile: Profile, replies: &'a [&'a str]) -> Self {
        let script = Script { otherwise: Some(answer(profile, "All right.")), ..Script::of(replies.iter().copied()) };
        Self {
            profile,
            script,
            persona: "I am a test.",
            human: "",
            config: ConfigFile {
                memory_pass: Some(false),
                recollection: Some(false),
                answer_pass: Some(false),
                ..ConfigFile::default()
            },
            idle: Idle::Now,
        }
    }

    /// Opens the agent `t` in a fresh database.
    pub fn open(self) -> Talk {
        self.open_in(Store::open_in_memory().unwrap())
    }

    /// Opens the agent `t` in `store`.
    pub fn open_in(self, store: Store) -> Talk {
        let clock = ManualClock::at(START_MS);
        let engine = ScriptedEngine::new(self.script);
        let (log, trace) = (engine.log(), Trace::default());
        let engine = TracedEngine::new(Box::new(engine), trace.clone());
        let overrides = Overrides { profile: Some(self.profile), idle: Some(self.idle), ..Overrides::default() };
        let config = Config::new(PathBuf::from("unused"), self.config, overrides).unwrap();
        let texts = Texts { persona: self.persona.to_owned(), human: self.human.to_owned() };
        let clock_for_agent: Arc<dyn Clock> = Arc::new(clock.clone());
        let Opened { agent, .. } =
            open_agent(&config, store, "t", texts, Box::new(engine), clock_for_agent, Cancel::new()).unwrap();
        Talk { agent, log, trace, clock }
    }
}

/// A reply to the user as the profile's dialect writes it.
pub fn answer(profile: Profile, text: &str) -> String {
    match profile {
        Profile::Native => text.to_owned(),
        Profile::Classic => {
            let text = serde_json::to_string(text).unwrap();
            format!(
                "{{\"inner_thoughts\": \"I answer.\", \"function\": \"send_message\", \"params\": {{\"message\": {text}}}}}"
            )
        }
    }
}

/// A call with text arguments as the profile's dialect writes it.
pub fn call(profile: Profile, name: &str, arguments: &[(&str, &str)]) -> String {
    let mut arguments: Vec<String> = arguments.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    match profile {
        Profile::Native => {
            let arguments = arguments.join(", ");
            format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {{{arguments}}}}}\n</tool_call>")
        }
        Profile::Classic => {
            arguments.push("\"request_heartbeat\": true".to_owned());
            let arguments = arguments.join(", ");
            format!("{{\"inner_thoughts\": \"I act.\", \"function\": \"{name}\", \"params\": {{{arguments}}}}}")
        }
    }
}

impl Talk {
    /// Answers one request and gives back its events without the deltas.
    pub fn request(&mut self, request: Request) -> Vec<Event> {
        self.request_with_causes(request).into_iter().map(|(_, event)| event).collect()
    }

    /// Answers one request and gives back its events without the deltas, each with what brought it about.
    pub fn request_with_causes(&mut self, request: Request) -> Vec<(Cause, Event)> {
        self.clock.advance(MINUTE_MS);
        let mut events = Vec::new();
        handle(&mut self.agent, request, None, &mut |cause, event| events.push((cause, event)));
        events.retain(|(_, event)| !matches!(event, Event::Delta { .. }));
        events
    }

    /// The user says something.
    pub fn say(&mut self, text: &str) -> Vec<Event> {
        self.request(Request::User { text: text.to_owned() })
    }

    /// The user types a command.
    pub fn command(&mut self, text: &str) -> Vec<Event> {
        self.request(Request::Command { text: text.to_owned() })
    }

    /// The text of the notice that a command ends in.
    pub fn notice(&mut self, text: &str) -> String {
        match self.command(text).pop() {
            Some(Event::Notice { text }) => text,
            other => panic!("{text} ended in {other:?}"),
        }
    }

    /// Core memory and counts.
    pub fn memory(&mut self) -> (CoreMemoryText, u64, u64) {
        match self.command("/memory").pop() {
            Some(Event::Memory { core, recall_count, archival_count, .. }) => (core, recall_count, archival_count),
            other => panic!("/memory ended in {other:?}"),
        }
    }

    /// The newest prompt as text, control tokens spelled.
    pub fn prompt(&self) -> String {
        self.log.prompts().pop().expect("the model was asked")
    }
}

/// The texts of all `message` events.
pub fn messages(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| if let Event::Message { text } = event { Some(text.as_str()) } else { None })
        .collect()
}
