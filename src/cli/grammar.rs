//! `mneme grammar ..` and `mneme complete` as they are typed.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::{EngineName, whole_number};
use crate::types::Device;

/// `mneme grammar ..`
#[derive(Debug, Subcommand)]
pub enum GrammarCommand {
    /// List the shipped grammars
    List,
    /// Say whether a grammar is right, or where it is wrong
    Check {
        /// The grammar and where its tokens come from
        #[command(flatten)]
        grammar: GrammarArgs,
    },
    /// Say whether a grammar accepts a text (exit code 0) or where it does not (1)
    Accepts {
        /// The grammar and where its tokens come from
        #[command(flatten)]
        grammar: GrammarArgs,
        /// The text; control tokens that it spells and the grammar names are tokens
        #[arg(long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
        input: String,
        /// When the grammar comes into force
        #[command(flatten)]
        triggers: TriggerArgs,
    },
    /// Print the tokens that a model may write next, as JSON
    Mask {
        /// GBNF file, - for standard input, or the name of a shipped grammar
        #[arg(value_name = "FILE|NAME", group = "language")]
        file: String,
        /// The model
        #[command(flatten)]
        model: ModelArgs,
        /// What has been written so far
        #[arg(long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
        prefix: Option<String>,
        /// When the grammar comes into force
        #[command(flatten)]
        triggers: TriggerArgs,
        /// Print the text of each token as well
        #[arg(long)]
        pieces: bool,
    },
    /// Print the grammar of a JSON Schema
    FromSchema {
        /// JSON file, or - for standard input
        #[arg(value_name = "FILE")]
        schema: String,
        /// How the JSON is written
        #[command(flatten)]
        form: JsonFormArgs,
    },
    /// Print a grammar: a shipped one, or that of an agent's next step
    #[command(group(ArgGroup::new("which").args(["name", "agent"]).required(true)))]
    Show {
        /// Name of a shipped grammar
        name: Option<String>,
        /// Name of an agent: what it may write in answer to the next message
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// Catalogue name or path of a GGUF file [default: the model that the agent used last]
        #[arg(long, value_name = "NAME|FILE", requires = "agent")]
        model: Option<String>,
        /// What runs the model: llama-cpp, candle, or scripted (prepared replies from a JSON file)
        #[arg(long, value_enum, default_value_t = EngineName::default(), hide_possible_values = true, requires = "agent")]
        engine: EngineName,
    },
    /// Print texts that a model writes under a grammar, one JSON string a line
    Sample {
        /// GBNF file, - for standard input, or the name of a shipped grammar
        #[arg(value_name = "FILE|NAME")]
        file: String,
        /// How many
        #[arg(
            short = 'n',
            long,
            value_name = "NUMBER",
            default_value_t = 1,
            allow_negative_numbers = true,
            value_parser = clap::value_parser!(u32).range(1..)
        )]
        count: u32,
        /// The model
        #[command(flatten)]
        model: ModelArgs,
        /// How it writes
        #[command(flatten)]
        writing: WritingArgs,
    },
}

/// A grammar that may name tokens of a model.
#[derive(Debug, Args)]
pub struct GrammarArgs {
    /// GBNF file, - for standard input, or the name of a shipped grammar
    #[arg(value_name = "FILE|NAME", group = "language")]
    pub file: String,
    /// Needed only where the grammar names tokens: catalogue name or path of a GGUF file
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// What runs the model: llama-cpp, candle, or scripted (prepared replies from a JSON file)
    #[arg(long, value_enum, default_value_t = EngineName::default(), hide_possible_values = true, requires = "model")]
    pub engine: EngineName,
}

/// A model that must be named.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// Catalogue name or path of a GGUF file
    #[arg(long, value_name = "NAME|FILE")]
    pub model: String,
    /// What runs the model: llama-cpp, candle, or scripted (prepared replies from a JSON file)
    #[arg(long, value_enum, default_value_t = EngineName::default(), hide_possible_values = true)]
    pub engine: EngineName,
}

/// What a model is to write, and how.
#[derive(Debug, Args)]
pub struct WritingArgs {
    /// What the model reads first; text is never control, whatever it spells
    #[arg(long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
    pub prompt: Option<String>,
    /// Put the prompt into the model's own chat template, as a message of the user
    #[arg(long)]
    pub chat: bool,
    /// The system message of the chat template
    #[arg(
        long,
        value_name = "TEXT",
        requires = "chat",
        allow_hyphen_values = true,
        default_value = "You are a helpful assistant."
    )]
    pub system: String,
    /// Control tokens that the prompt spells are control tokens
    #[arg(long, conflicts_with = "chat")]
    pub special: bool,
    /// Most tokens of a text
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 512,
        allow_negative_numbers = true,
        value_parser = whole_number::<usize>
    )]
    pub max_tokens: usize,
    /// Seed of the sampler; sample K of a run has this seed plus K
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        allow_negative_numbers = true,
        value_parser = whole_number::<u64>
    )]
    pub seed: u64,
    /// 0 always takes the most probable token [default: 0; for samples 0.8]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// Window in tokens
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true, value_parser = whole_number::<usize>)]
    pub context_window: Option<usize>,
    /// Where the model runs: auto (a GPU where there is one), cpu, cuda, cuda:N or metal
    #[arg(long)]
    pub device: Option<Device>,
}

/// Flags of `mneme complete`.
#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// The model
    #[command(flatten)]
    pub model: ModelArgs,
    /// Hold the text to this GBNF file (- for standard input) or shipped grammar
    #[arg(long, value_name = "FILE|NAME", group = "language")]
    pub grammar: Option<String>,
    /// Hold the text to JSON of this JSON Schema file (- for standard input)
    #[arg(long, value_name = "FILE", group = "language")]
    pub schema: Option<String>,
    /// How the JSON is written
    #[command(flatten)]
    pub form: JsonFormArgs,
    /// When the grammar comes into force
    #[command(flatten)]
    pub triggers: TriggerArgs,
    /// How it writes
    #[command(flatten)]
    pub writing: WritingArgs,
    /// Print one JSON object with the text, its cost and why it stopped
    #[arg(long)]
    pub json: bool,
}

/// What makes a grammar lazy. In a command where the grammar may be left out, it is in the group `language`.
#[derive(Debug, Clone, Default, Args)]
pub struct TriggerArgs {
    /// Leave the text free until it holds TEXT, with which the grammar begins; from TEXT on hold it to the grammar, with
    /// whose end it ends (may be given more than once: what is complete first counts)
    #[arg(long = "trigger", value_name = "TEXT", allow_hyphen_values = true, requires = "language")]
    pub texts: Vec<String>,
    /// As --trigger, for a control token of the model, <tool_call> for instance; its letters as text are not the token
    #[arg(long = "trigger-token", value_name = "TOKEN", requires_all = ["language", "model"])]
    pub tokens: Vec<String>,
}

/// What a schema leaves open.
#[derive(Debug, Args)]
pub struct JsonFormArgs {
    /// White space in the JSON: compact (none), template (a blank behind comma and colon) or flexible
    #[arg(
        long,
        value_enum,
        default_value_t = WhitespaceName::Template,
        hide_possible_values = true,
        requires = "schema"
    )]
    pub whitespace: WhitespaceName,
    /// Objects have the properties that the schema lists and no others
    #[arg(long, requires = "schema")]
    pub closed: bool,
}

/// White space in the JSON that a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhitespaceName {
    /// None
    Compact,
    /// As chat templates write it: one blank behind each comma and colon
    Template,
    /// What JSON allows, within bounds
    Flexible,
}
