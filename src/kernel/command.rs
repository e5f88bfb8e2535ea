//! The commands of the chat: names, arguments and help in one table.

use crate::memory::BlockLabel;

use super::archive::Archival;
use super::interrupt::Interrupt;

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Leave.
    Exit,
    /// Make a checkpoint.
    Save {
        /// Its name; by default the time.
        name: Option<String>,
    },
    /// Go back to a checkpoint.
    Load {
        /// Its name; by default the newest.
        name: Option<String>,
    },
    /// Show the messages in view.
    Dump {
        /// Only so many of the last.
        count: Option<usize>,
    },
    /// Show the messages in view as they are stored.
    DumpRaw {
        /// Only so many of the last.
        count: Option<usize>,
    },
    /// Type messages of several lines from now on, or no longer.
    ManyLines,
    /// Show the state of the memory.
    Memory,
    /// Attach a source of documents.
    Attach {
        /// Its name; without one the sources are listed.
        source: Option<String>,
    },
    /// Remove the last messages.
    Pop {
        /// How many.
        count: usize,
    },
    /// Take back the last turns of the user with all that they did.
    Undo {
        /// How many.
        count: usize,
    },
    /// Bring back turns that were taken back.
    Redo {
        /// How many.
        count: usize,
    },
    /// Have the last message of the user answered again.
    Retry,
    /// Replace the last inner thought.
    Rethink {
        /// The new thought.
        text: String,
    },
    /// Replace the text of the last reply.
    Rewrite {
        /// The new text.
        text: String,
    },
    /// Evict and summarise older messages now.
    Summarize,
    /// Show how the window is filled.
    ContextLength,
    /// Search what was said.
    Search {
        /// What for.
        text: String,
        /// From 1.
        page: u64,
    },
    /// List, search or delete passages of archival storage.
    Archival(Archival),
    /// Put a text into archival storage.
    Archive {
        /// The text.
        text: String,
    },
    /// Show core memory, or change a block of it.
    Core {
        /// The block; by default both are shown.
        label: Option<BlockLabel>,
        /// Its new text; without one it is shown, or edited where there is a terminal.
        text: Option<String>,
    },
    /// Show the system instructions, or put others in their place.
    SystemSwap {
        /// A text, a file or `default`.
        text: Option<String>,
    },
    /// Show the model, or go on with another one.
    Model {
        /// Its name or file, or `default`.
        name: Option<String>,
    },
    /// Let the model run without a message.
    Heartbeat,
    /// Warn the model that its window is nearly full.
    MemoryWarning,
    /// Delete everything that holds a text.
    Forget {
        /// The text.
        text: String,
    },
    /// List the commands.
    Help,
}

/// One user turn: message, reply and, with a call, its result.
pub(super) const DEFAULT_POP_COUNT: usize = 3;

/// A shorter text stands in nearly everything.
const MIN_FORGET_CHARS: usize = 3;

/// What tells commands of the first implementation what to do here instead: name, what it is not, what to do.
const ABSENT: &[(&str, &str, &str)] = &[
    (
        "/wipe",
        "an agent is not emptied in the middle of a chat",
        "take turns back with /undo, delete a text everywhere with /forget, or the agent with mneme delete agent NAME",
    ),
    (
        "/add_function",
        "the functions of an agent are fixed, so that each of its calls can be executed",
        "give it knowledge instead: /attach, /archive, /core",
    ),
    (
        "/remove_function",
        "the functions of an agent are fixed, so that each of its calls can be executed",
        "max_calls_of_a_function in the config bounds their use",
    ),
];

/// Other names, as in the first implementation.
const ALIASES: &[(&str, &str)] = &[("/", "/help"), ("/savechat", "/save")];

/// What begins a page number in front of the text of a search.
const PAGE_FLAG: &str = "--page";

const HELP: &[(&str, &str)] = &[
    ("/exit", "leave; everything is saved already"),
    ("/save [name]", "make a checkpoint of the whole agent, also /savechat"),
    ("/load [name]", "go back to a checkpoint, the newest by default; an unknown name lists them"),
    ("/undo [n]", "take back your last n messages (1 by default) with all that they brought about"),
    ("/redo [n]", "bring them back, until your next message"),
    ("/retry", "have your last message answered again"),
    ("/rewrite TEXT", "replace the agent's last reply"),
    ("/rethink TEXT", "replace the agent's last inner thought (classic profile)"),
    ("/pop [n]", "remove the last n messages (3 by default); what they did to the memory stays"),
    ("/dump [n]", "show the messages in view, or the last n"),
    ("/dumpraw [n]", "show them as they are stored, as JSON lines"),
    ("/search [--page N] TEXT", "search everything that was said, by words and meaning"),
    ("/memory", "show core memory with its last edits, and what is in storage"),
    ("/core [persona|human [TEXT]]", "show core memory; edit a block in $EDITOR, or put TEXT in its place"),
    ("/archive TEXT", "put a text into archival storage"),
    ("/archival [N|[--page N] TEXT|delete ID]", "list archival storage, search it, or delete a passage"),
    ("/summarize", "summarise older messages now; they can still be searched"),
    ("/contextlength", "show how the window is filled"),
    ("/systemswap [TEXT|FILE|default]", "show the system instructions, or put others in their place"),
    ("/model [NAME|FILE|default]", "show the model, or go on with another one"),
    ("/attach [source]", "let the agent search a source of documents, or list the sources"),
    ("/heartbeat", "let the agent think without a message from you"),
    ("/memorywarning", "warn the agent that its window is nearly full"),
    ("/forget TEXT", "delete for good everything that holds this text, in any case"),
    ("//", "type messages of several lines, each sent by an empty line; again: no longer"),
    ("/help", "this list"),
];

/// A line that is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is none of that name.
    #[error("there is no command {name}")]
    Unknown {
        /// As typed, in lower case.
        name: String,
    },
    /// Commands begin with another character.
    #[error("commands begin with /, not with !")]
    Exclamation,
    /// The first implementation has one of that name, and this one has not.
    #[error("there is no {name}: {why}")]
    Absent {
        /// Its name.
        name: &'static str,
        /// Why there is none.
        why: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// There is one, but not with these arguments.
    #[error("{reason}")]
    Arguments {
        /// What is wrong with them.
        reason: String,
        /// The command with what it takes, and what it does.
        usage: String,
    },
}

impl CommandError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { .. } => format!("commands:\n{}", help()),
            Self::Exclamation => "/help lists them".to_owned(),
            Self::Absent { instead, .. } => (*instead).to_owned(),
            Self::Arguments { usage, .. } => format!("usage: {usage}"),
        }
    }
}

/// The list that `/help` shows.
#[must_use]
pub(super) fn help() -> String {
    let width = HELP.iter().map(|(usage, _)| usage.len()).max().unwrap_or_default();
    let lines: Vec<String> = HELP.iter().map(|(usage, meaning)| format!("{usage:width$}  {meaning}")).collect();
    lines.join("\n")
}

impl Command {
    /// The name of each command and what it takes.
    pub fn usages() -> impl Iterator<Item = &'static str> {
        HELP.iter().map(|(usage, _)| *usage)
    }

    /// The turn that the command begins, for those that run the model.
    pub(crate) fn interrupt(&self) -> Option<Interrupt> {
        match self {
            Self::Heartbeat => Some(Interrupt::Heartbeat { reason: "Automated timer".to_owned() }),
            Self::MemoryWarning => Some(Interrupt::MemoryPressure),
            Self::Retry => Some(Interrupt::Retry),
            Self::Summarize => Some(Interrupt::Summarize),
            _ => None,
        }
    }

    /// Whether the command shows or leaves the memory, so that what is still to be saved is saved first.
    pub(crate) const fn needs_settled_memory(&self) -> bool {
        matches!(self, Self::Memory | Self::Exit | Self::Save { .. } | Self::Core { .. })
    }

    /// Reads a command as typed; case does not matter.
    ///
    /// # Errors
    /// There is no such command, or its arguments are wrong; a name that is none is told before its arguments.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let text = text.trim();
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim_start();
        let mut words = rest.split_whitespace();
        let name = name.to_ascii_lowercase();
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name.as_str(), |&(_, name)| name);
        if name.starts_with('!') {
            return Err(CommandError::Exclamation);
        }
        if let Some(&(name, why, instead)) = ABSENT.iter().find(|(absent, ..)| *absent == name) {
            return Err(CommandError::Absent { name, why, instead });
        }
        let Some((usage, meaning)) = HELP.iter().find(|(usage, _)| usage.split(' ').next() == Some(name)) else {
            return Err(CommandError::Unknown { name: name.to_owned() });
        };
        let wrong = |reason: String| CommandError::Arguments { reason, usage: format!("{usage}  {meaning}") };
        if name == "/forget" {
            let text = text.split_once(char::is_whitespace).map_or("", |(_, text)| text.trim());
            let long_enough = text.chars().count() >= MIN_FORGET_CHARS;
            let too_short = || wrong(format!("{name} takes a text of at least {MIN_FORGET_CHARS} characters"));
            return if long_enough { Ok(Self::Forget { text: text.to_owned() }) } else { Err(too_short()) };
        }
        let argument = words.next();
        if let Some(argument) = argument.filter(|_| !usage.contains(' ')) {
            return Err(wrong(format!("{name} takes no argument, but {argument:?} was given")));
        }
        // Capitals stand for what the user words: it is taken as it stands.
        let is_text = usage.bytes().any(|byte| byte.is_ascii_uppercase());
        if let Some(extra) = words.next().filter(|_| !is_text) {
            return Err(wrong(format!("{name} takes at most one argument, but {extra:?} follows")));
        }
        let count_of = |what: &str| match argument {
            None => Ok(None),
            Some(argument) => match argument.parse::<usize>() {
                Ok(count) if count > 0 => Ok(Some(count)),
                _ => Err(wrong(format!("{name} takes a number of {what} from 1, not {argument:?}"))),
            },
        };
        let count = || count_of("messages");
        let turns = || Ok(count_of("turns")?.unwrap_or(1));
        let whole = || (!rest.is_empty()).then(|| rest.to_owned());
        let needed = || whole().ok_or_else(|| wrong(format!("{name} takes a text")));
        let paged = || -> Result<(String, u64), CommandError> {
            match rest.strip_prefix(PAGE_FLAG).filter(|rest| rest.starts_with(char::is_whitespace)) {
                None => Ok((needed()?, 1)),
                Some(rest) => {
                    let rest = rest.trim_start();
                    let (page, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                    let number = page.parse::<u64>().ok().filter(|page| *page > 0);
                    let page = number.ok_or_else(|| wrong(format!("{name} takes a page from 1, not {page:?}")))?;
                    let text = text.trim_start();
                    if text.is_empty() {
                        Err(wrong(format!("{name} takes a text")))
                    } else {
                        Ok((text.to_owned(), page))
                    }
                }
            }
        };
        match name {
            "/exit" => Ok(Self::Exit),
            "/save" => Ok(Self::Save { name: argument.map(str::to_owned) }),
            "/load" => Ok(Self::Load { name: argument.map(str::to_owned) }),
            "/dump" => Ok(Self::Dump { count: count()? }),
            "/dumpraw" => Ok(Self::DumpRaw { count: count()? }),
            "//" => Ok(Self::ManyLines),
            "/memory" => Ok(Self::Memory),
            "/attach" => Ok(Self::Attach { source: argument.map(str::to_owned) }),
            "/pop" => Ok(Self::Pop { count: count()?.unwrap_or(DEFAULT_POP_COUNT) }),
            "/undo" => Ok(Self::Undo { count: turns()? }),
            "/redo" => Ok(Self::Redo { count: turns()? }),
            "/retry" => Ok(Self::Retry),
            "/rethink" => Ok(Self::Rethink { text: needed()? }),
            "/rewrite" => Ok(Self::Rewrite { text: needed()? }),
            "/summarize" => Ok(Self::Summarize),
            "/contextlength" => Ok(Self::ContextLength),
            "/search" => paged().map(|(text, page)| Self::Search { text, page }),
            "/archival" => {
                let mut words = rest.split_whitespace();
                let asked = match (words.next(), words.next(), words.next()) {
                    (None, ..) => Archival::List { page: 1 },
                    (Some(page), None, _) if page.bytes().all(|byte| byte.is_ascii_digit()) => {
                        let page = page.parse::<u64>().ok().filter(|page| *page > 0);
                        Archival::List { page: page.ok_or_else(|| wrong(format!("{name} takes a page from 1")))? }
                    }
                    (Some("delete"), id, None) => {
                        let id = id.and_then(|id| id.parse().ok());
                        let id = id.ok_or_else(|| wrong(format!("{name} delete takes the number of a passage")))?;
                        Archival::Delete { id }
                    }
                    _ => paged().map(|(text, page)| Archival::Search { text, page })?,
                };
                Ok(Self::Archival(asked))
            }
            "/archive" => Ok(Self::Archive { text: needed()? }),
            "/core" => {
                let (section, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                let label = match section {
                    "" => None,
                    section => Some(
                        BlockLabel::parse(&section.to_ascii_lowercase())
                            .ok_or_else(|| wrong(format!("core memory has no section {section:?}")))?,
                    ),
                };
                let text = text.trim();
                Ok(Self::Core { label, text: (!text.is_empty()).then(|| text.to_owned()) })
            }
            "/systemswap" => Ok(Self::SystemSwap { text: whole() }),
            "/model" => Ok(Self::Model { name: whole() }),
            "/heartbeat" => Ok(Self::Heartbeat),
            "/memorywarning" => Ok(Self::MemoryWarning),
            "/help" => Ok(Self::Help),
            _ => Err(CommandError::Unknown { name: name.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_help_can_be_typed() {
        for (usage, _) in HELP {
            let name = usage.split(' ').next().unwrap();
            let line = if usage.ends_with(" TEXT") { format!("{name} a text") } else { name.to_owned() };
            assert!(Command::parse(&line).is_ok(), "{line}");
        }
        for (alias, name) in ALIASES {
            assert_eq!(Command::parse(alias), Command::parse(name));
        }
    }

    #[test]
    fn what_the_first_implementation_had_is_answered_with_what_to_do_instead() {
        for (name, ..) in ABSENT {
            let error = Command::parse(&format!("{name} x")).unwrap_err();
            assert!(error.to_string().contains(name) && error.hint().lines().count() == 1, "{error:?}");
        }
        assert_eq!(Command::parse("!help me"), Err(CommandError::Exclamation));
    }

    #[test]
    fn pages_lists_and_deletions_are_told_from_texts() {
        let search = |text: &str, page| Ok(Command::Search { text: text.to_owned(), page });
        assert_eq!(Command::parse("/search my  boat"), search("my  boat", 1));
        assert_eq!(Command::parse("/search --page 3 my boat"), search("my boat", 3));
        assert_eq!(Command::parse("/search --pages of it"), search("--pages of it", 1));
        let archival = |line: &str| match Command::parse(line).unwrap() {
            Command::Archival(asked) => asked,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(archival("/archival"), Archival::List { page: 1 });
        assert_eq!(archival("/archival 2"), Archival::List { page: 2 });
        assert_eq!(archival("/ARCHIVAL delete 12"), Archival::Delete { id: 12 });
        for (line, text, page) in [
            ("/archival 2 boats", "2 boats", 1),
            ("/archival delete the old one", "delete the old one", 1),
            ("/archival --page 2 2026", "2026", 2),
        ] {
            assert_eq!(archival(line), Archival::Search { text: text.to_owned(), page }, "{line}");
        }
    }

    #[test]
    fn texts_are_taken_as_they_stand() {
        let text = "Two  words.\n  And a line.".to_owned();
        assert_eq!(Command::parse(&format!("/Rewrite {text} ")), Ok(Command::Rewrite { text: text.clone() }));
        assert_eq!(Command::parse(&format!("/archive\n{text}")), Ok(Command::Archive { text: text.clone() }));
        let label = Some(BlockLabel::Human);
        assert_eq!(
            Command::parse(&format!("/core HUMAN {text}")),
            Ok(Command::Core { label, text: Some(text.clone()) })
        );
        assert_eq!(Command::parse("/core human"), Ok(Command::Core { label, text: None }));
        assert_eq!(Command::parse("/core"), Ok(Command::Core { label: None, text: None }));
        assert_eq!(
            Command::parse("/model my models/a.gguf"),
            Ok(Command::Model { name: Some("my models/a.gguf".into()) })
        );
    }

    #[test]
    fn arguments_are_read_and_wrong_ones_refused() {
        assert_eq!(Command::parse("/pop 2"), Ok(Command::Pop { count: 2 }));
        assert_eq!(Command::parse("/POP"), Ok(Command::Pop { count: DEFAULT_POP_COUNT }));
        assert_eq!(Command::parse("/dump 3"), Ok(Command::Dump { count: Some(3) }));
        assert_eq!(Command::parse("/save spring"), Ok(Command::Save { name: Some("spring".into()) }));
        assert_eq!(Command::parse("/undo"), Ok(Command::Undo { count: 1 }));
        assert_eq!(Command::parse("/redo 3"), Ok(Command::Redo { count: 3 }));
        assert_eq!(Command::parse("/Forget  My Boat "), Ok(Command::Forget { text: "My Boat".into() }));
        let wrong = [
            "/pop x",
            "/pop 0",
            "/pop 1 2",
            "/memory now",
            "/undo -1",
            "/undo 1 2",
            "/redo 0",
            "/retry it",
            "/search",
            "/rewrite  ",
            "/rethink",
            "/archive",
            "/core humans",
            "/contextlength 3",
            "/summarize all",
            "/forget",
            "/forget ab",
            "/forget  a ",
            "/search --page 0 x",
            "/search --page two x",
            "/search --page 2",
            "/archival 0",
            "/archival delete",
            "/archival delete it",
            "/dumpraw 0",
            "// x",
        ];
        for wrong in wrong {
            let error = Command::parse(wrong).unwrap_err();
            let name = wrong.split(' ').next().unwrap();
            assert!(error.hint().starts_with(&format!("usage: {name}")), "{wrong}: {error:?}");
            assert_eq!(error.hint().lines().count(), 1, "{wrong}: {error:?}");
        }
        for unknown in ["/undone", "/cor", "/usr/bin is full of files", "/poppy 1 2", ""] {
            let error = Command::parse(unknown).unwrap_err();
            assert!(error.to_string().starts_with("there is no command"), "{unknown}: {error:?}");
            assert!(HELP.iter().all(|(usage, _)| error.hint().contains(usage)), "{unknown}: {error:?}");
        }
    }
}
