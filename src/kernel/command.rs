//! The commands of the chat: names, arguments and help in one table.

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
    /// Let the model run without a message.
    Heartbeat,
    /// Warn the model that its window is nearly full.
    MemoryWarning,
    /// List the commands.
    Help,
}

/// One user turn: message, reply and, with a call, its result.
pub(super) const DEFAULT_POP_COUNT: usize = 3;

const HELP: &[(&str, &str)] = &[
    ("/exit", "leave; everything is saved already"),
    ("/save [name]", "make a checkpoint of the whole agent"),
    ("/load [name]", "go back to a checkpoint, the newest by default"),
    ("/dump [n]", "show the messages in view, or the last n"),
    ("/memory", "show core memory and what is in storage"),
    ("/attach [source]", "let the agent search a source of documents, or list the sources"),
    ("/pop [n]", "remove the last n messages (3 by default)"),
    ("/heartbeat", "let the agent think without a message from you"),
    ("/memorywarning", "warn the agent that its window is nearly full"),
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
    /// The turn that the command begins, for those that run the model.
    pub(crate) fn interrupt(&self) -> Option<Interrupt> {
        match self {
            Self::Heartbeat => Some(Interrupt::Heartbeat { reason: "Automated timer".to_owned() }),
            Self::MemoryWarning => Some(Interrupt::MemoryPressure),
            _ => None,
        }
    }

    /// Whether the command shows or leaves the memory, so that what is still to be saved is saved first.
    pub(crate) const fn needs_settled_memory(&self) -> bool {
        matches!(self, Self::Memory | Self::Exit | Self::Save { .. })
    }

    /// Reads a command as typed; case does not matter.
    ///
    /// # Errors
    /// There is no such command, or its arguments are wrong; a name that is none is told before its arguments.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        let name = if name == "/" { "/help" } else { &name };
        let Some((usage, meaning)) = HELP.iter().find(|(usage, _)| usage.split(' ').next() == Some(name)) else {
            return Err(CommandError::Unknown { name: name.to_owned() });
        };
        let wrong = |reason: String| CommandError::Arguments { reason, usage: format!("{usage}  {meaning}") };
        let argument = words.next();
        if let Some(argument) = argument.filter(|_| !usage.contains(' ')) {
            return Err(wrong(format!("{name} takes no argument, but {argument:?} was given")));
        }
        if let Some(extra) = words.next() {
            return Err(wrong(format!("{name} takes at most one argument, but {extra:?} follows")));
        }
        let count = || match argument {
            None => Ok(None),
            Some(argument) => match argument.parse::<usize>() {
                Ok(count) if count > 0 => Ok(Some(count)),
                _ => Err(wrong(format!("{name} takes a number of messages from 1, not {argument:?}"))),
            },
        };
        match name {
            "/exit" => Ok(Self::Exit),
            "/save" => Ok(Self::Save { name: argument.map(str::to_owned) }),
            "/load" => Ok(Self::Load { name: argument.map(str::to_owned) }),
            "/dump" => Ok(Self::Dump { count: count()? }),
            "/memory" => Ok(Self::Memory),
            "/attach" => Ok(Self::Attach { source: argument.map(str::to_owned) }),
            "/pop" => Ok(Self::Pop { count: count()?.unwrap_or(DEFAULT_POP_COUNT) }),
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
            assert!(Command::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn arguments_are_read_and_wrong_ones_refused() {
        assert_eq!(Command::parse("/pop 2"), Ok(Command::Pop { count: 2 }));
        assert_eq!(Command::parse("/POP"), Ok(Command::Pop { count: DEFAULT_POP_COUNT }));
        assert_eq!(Command::parse("/dump 3"), Ok(Command::Dump { count: Some(3) }));
        assert_eq!(Command::parse("/save spring"), Ok(Command::Save { name: Some("spring".into()) }));
        for wrong in ["/pop x", "/pop 0", "/pop 1 2", "/memory now"] {
            let error = Command::parse(wrong).unwrap_err();
            let name = wrong.split(' ').next().unwrap();
            assert!(error.hint().starts_with(&format!("usage: {name}")), "{wrong}: {error:?}");
            assert_eq!(error.hint().lines().count(), 1, "{wrong}: {error:?}");
        }
        for unknown in ["/undone", "/usr/bin is full of files", "/poppy 1 2", ""] {
            let error = Command::parse(unknown).unwrap_err();
            assert!(error.to_string().starts_with("there is no command"), "{unknown}: {error:?}");
            assert!(HELP.iter().all(|(usage, _)| error.hint().contains(usage)), "{unknown}: {error:?}");
        }
    }
}
