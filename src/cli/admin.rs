//! What was typed after `mneme list`, `add`, `delete` and the other commands that look after a home.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::sources::ReachArgs;
use super::{ProfileName, whole_number};

/// The commands that need no model.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// List agents, personas, humans, sources, or the passages in an agent's archival storage
    List {
        /// What to list
        #[arg(value_enum)]
        what: Item,
        /// The agent whose passages are meant
        #[arg(long, value_name = "NAME", required_if_eq_any([("what", "passages"), ("what", "passage")]))]
        agent: Option<String>,
        /// Which page of the passages, from 1
        #[arg(long, value_name = "N", requires = "agent", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..))]
        page: Option<u64>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make an agent, a persona, a human, or a source of documents
    #[command(subcommand)]
    Add(AddCommand),
    /// Delete an agent with everything it knows, a persona or human of yours, a source with its documents, or a passage
    Delete {
        /// What to delete
        #[arg(value_enum)]
        what: Item,
        /// Its name; the number of a passage
        name: String,
        /// The agent whose passage is meant
        #[arg(long, value_name = "NAME", required_if_eq_any([("what", "passages"), ("what", "passage")]))]
        agent: Option<String>,
        /// Ask nothing
        #[arg(long, short)]
        yes: bool,
    },
    /// Give an agent, a persona, a human or a source another name
    Rename {
        /// What to rename
        #[arg(value_enum)]
        what: Thing,
        /// Its name
        name: String,
        /// Its new name
        new_name: String,
    },
    /// Show every edit of an agent's core memory, with what caused it
    History(HistoryArgs),
    /// Show and change the settings of the home
    Config {
        /// What to do [default: show]
        #[command(subcommand)]
        command: Option<ConfigCommand>,
    },
    /// Check this machine, the home and the models
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write an agent with all its memory to one file
    Export(ExportArgs),
    /// Read an agent, or a chat history of ChatGPT, Claude or JSON lines
    Import(ImportArgs),
    /// Write a copy of the whole database, also while a chat is open
    Backup {
        /// The file to write [default: mneme-DATE-TIME.db in this folder]
        file: Option<PathBuf>,
    },
    /// Put a backup into the place of the database, which is kept under another name
    Restore {
        /// A file that `mneme backup` has written
        file: PathBuf,
        /// Ask nothing
        #[arg(long, short)]
        yes: bool,
    },
}

/// A kind of thing that a home holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Thing {
    /// Agents with their memory
    #[value(alias = "agent")]
    Agents,
    /// Texts about the agent
    #[value(alias = "persona")]
    Personas,
    /// Texts about the user
    #[value(alias = "human")]
    Humans,
    /// Sets of documents
    #[value(alias = "source")]
    Sources,
}

/// What can be listed and deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Item {
    /// Agents with their memory
    #[value(alias = "agent")]
    Agents,
    /// Texts about the agent
    #[value(alias = "persona")]
    Personas,
    /// Texts about the user
    #[value(alias = "human")]
    Humans,
    /// Sets of documents
    #[value(alias = "source")]
    Sources,
    /// What an agent has in archival storage
    #[value(alias = "passage")]
    Passages,
}

/// `mneme add ..`
#[derive(Debug, Subcommand)]
pub enum AddCommand {
    /// Make an agent; no model is loaded
    #[command(alias = "agents")]
    Agent {
        /// Its name
        name: String,
        /// Who the agent is: a name from personas/ or your own folder, or a path
        #[arg(long, value_name = "NAME|FILE")]
        persona: Option<String>,
        /// Who you are: a name from personas/humans/ or your own folder, or a path
        #[arg(long, value_name = "NAME|FILE")]
        human: Option<String>,
        /// How the model writes calls
        #[arg(long, value_enum)]
        profile: Option<ProfileName>,
    },
    /// Keep a text about the agent under a name
    #[command(alias = "personas")]
    Persona(TextArgs),
    /// Keep a text about the user under a name
    #[command(alias = "humans")]
    Human(TextArgs),
    /// Read documents into a source, as mneme load does
    #[command(alias = "sources")]
    Source(SourceArgs),
}

/// `mneme add source ..`
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// Its name; it is made where there is none of that name
    pub name: String,
    /// Files and folders
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// What is taken up
    #[command(flatten)]
    pub reach: ReachArgs,
}

/// A text and its name.
#[derive(Debug, Args)]
pub struct TextArgs {
    /// Its name
    pub name: String,
    /// Read the text from this file
    #[arg(long, short, value_name = "FILE", required_unless_present = "text")]
    pub file: Option<PathBuf>,
    /// The text itself
    #[arg(long, conflicts_with = "file")]
    pub text: Option<String>,
    /// Replace a text of yours that has this name
    #[arg(long)]
    pub replace: bool,
}

/// Flags of `mneme history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Name of the agent
    #[arg(long, value_name = "NAME")]
    pub agent: String,
    /// Edits of this block only
    #[arg(long, value_enum)]
    pub block: Option<BlockName>,
    /// The last N edits
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole_number::<usize>)]
    pub limit: Option<usize>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// A block of core memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BlockName {
    /// The agent's own block
    Persona,
    /// The block about the user
    Human,
}

/// `mneme config ..`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show every setting, what it is and where it comes from
    Show {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print one setting
    Get {
        /// Its name, such as temperature or queue.warn_fraction
        key: String,
    },
    /// Change one setting in the file; comments stay
    Set {
        /// Its name, such as temperature or queue.warn_fraction
        key: String,
        /// Its value
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Take one setting out of the file: the default holds again
    Unset {
        /// Its name
        key: String,
    },
    /// Print the path of the file
    Path,
    /// Open the file in $VISUAL or $EDITOR; what is not valid is not taken over, and opened again the next time
    Edit,
}

/// Flags of `mneme export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Name of the agent
    #[arg(long, value_name = "NAME")]
    pub agent: String,
    /// Our own complete form, or Letta's agent file
    #[arg(long, value_enum, default_value_t = ExportFormat::Mneme)]
    pub format: ExportFormat,
    /// The documents of the attached sources, too, so that the agent finds the same elsewhere (mneme format only)
    #[arg(long)]
    pub with_sources: bool,
    /// The file to write, or - for standard output [default: NAME.jsonl or NAME.af in this folder]
    #[arg(long, short, value_name = "FILE|-")]
    pub output: Option<PathBuf>,
}

/// How an agent is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Everything, as JSON lines
    Mneme,
    /// What Letta's agent file has a place for
    Af,
}

/// Flags of `mneme import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// An export of an agent, or a chat history (.json, .jsonl, or the .zip it comes in)
    pub file: PathBuf,
    /// Name for the imported agent; for a chat history the agent that takes it
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
}
