//! Files and texts that commands are given: grammars, schemas, prompts. A path, `-` for standard input, or the name of a
//! shipped grammar; a text, `@FILE` or `-`. What comes from elsewhere is bounded before it is read.

use std::fs::File;
use std::io::Read;

use crate::grammar;

/// Longest prompt or text to judge, in bytes; far more than any window holds.
const MAX_TEXT_BYTES: usize = 16 << 20;
/// Longest JSON Schema, in bytes; the largest in use stay below 1 MB.
const MAX_SCHEMA_BYTES: usize = 4 << 20;
/// What some editors put before UTF-8 text.
const BYTE_ORDER_MARK: &str = "\u{FEFF}";
/// What stands for standard input.
const STANDARD_INPUT: &str = "-";

/// The shipped grammars: name and text, by name.
pub(super) const SHIPPED: &[(&str, &str)] = &[
    ("arithmetic", include_str!("../../grammars/arithmetic.gbnf")),
    ("chess", include_str!("../../grammars/chess.gbnf")),
    ("csv", include_str!("../../grammars/csv.gbnf")),
    ("date", include_str!("../../grammars/date.gbnf")),
    ("functions-classic", include_str!("../../grammars/functions-classic.gbnf")),
    ("functions-native", include_str!("../../grammars/functions-native.gbnf")),
    ("json", include_str!("../../grammars/json.gbnf")),
    ("json-array", include_str!("../../grammars/json-array.gbnf")),
    ("list", include_str!("../../grammars/list.gbnf")),
    ("sql-select", include_str!("../../grammars/sql-select.gbnf")),
];

/// Something that was given cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there, or may not be read.
    #[error("cannot read the {what} {name}")]
    Unreadable {
        /// What it should be: `grammar`, `schema` ..
        what: &'static str,
        /// The path, or standard input.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is a folder.
    #[error("the {what} {name} is a folder")]
    Folder {
        /// What it should be.
        what: &'static str,
        /// The path.
        name: String,
    },
    /// It is longer than anything of its kind.
    #[error("the {what} {name} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What it should be.
        what: &'static str,
        /// The path, or standard input.
        name: String,
        /// The limit.
        limit_bytes: usize,
    },
    /// It is no text.
    #[error("the {what} {name} is not UTF-8 at byte {at_byte}")]
    NotUtf8 {
        /// What it should be.
        what: &'static str,
        /// The path, or standard input.
        name: String,
        /// First byte that is not.
        at_byte: usize,
    },
    /// It is not JSON.
    #[error("the {what} {name} is not JSON: {source}")]
    NotJson {
        /// What it should be.
        what: &'static str,
        /// The path, or standard input.
        name: String,
        /// Why and where.
        source: serde_json::Error,
    },
    /// It is neither a file nor a shipped grammar.
    #[error("there is no grammar file {name} and no shipped grammar of that name")]
    UnknownGrammar {
        /// What was asked for.
        name: String,
    },
    /// Standard input can be read only once.
    #[error("the {what} cannot come from standard input: something else does already")]
    StandardInputTwice {
        /// What asked for it second.
        what: &'static str,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "check the path and its permissions".to_owned(),
            Self::Folder { .. } => "name a file in it".to_owned(),
            Self::TooLarge { .. } => "check that this is the file you mean".to_owned(),
            Self::NotUtf8 { .. } => "save it as UTF-8".to_owned(),
            Self::NotJson { .. } => "correct the JSON at that place".to_owned(),
            Self::UnknownGrammar { .. } => {
                let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
                format!("check the path; shipped are {}", names.join(", "))
            }
            Self::StandardInputTwice { .. } => "write one of them to a file".to_owned(),
        }
    }

    /// Whether the command line is wrong, as against a file.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::StandardInputTwice { .. })
    }
}

/// A grammar's text with the name by which messages call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GrammarText {
    /// The path, the shipped name, or standard input.
    pub(super) name: String,
    /// GBNF.
    pub(super) source: String,
}

/// Reads what a command line names; standard input at most once.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    standard_input_is_used: bool,
}

impl Inputs {
    /// A grammar: standard input, a path (anything with a slash or the ending `.gbnf`), a shipped name, or a file.
    ///
    /// # Errors
    /// There is no such grammar, or its file cannot be read as text.
    pub(super) fn grammar(&mut self, argument: &str) -> Result<GrammarText, Error> {
        let is_path =
            argument.contains('/') || argument.contains(std::path::MAIN_SEPARATOR) || argument.ends_with(".gbnf");
        if let Some((name, source)) = SHIPPED.iter().find(|(name, _)| !is_path && *name == argument) {
            return Ok(GrammarText { name: (*name).to_owned(), source: (*source).to_owned() });
        }
        if !is_path && argument != STANDARD_INPUT && !std::path::Path::new(argument).exists() {
            return Err(Error::UnknownGrammar { name: argument.to_owned() });
        }
        let limit_bytes = grammar::Limits::default().source_bytes;
        let source = utf8("grammar", argument, self.bytes("grammar", argument, limit_bytes)?)?;
        Ok(GrammarText { name: shown(argument), source: without_byte_order_mark(&source).to_owned() })
    }

    /// A JSON file.
    ///
    /// # Errors
    /// It cannot be read, or is not JSON.
    pub(super) fn schema(&mut self, argument: &str) -> Result<serde_json::Value, Error> {
        let bytes = self.bytes("schema", argument, MAX_SCHEMA_BYTES)?;
        let json = bytes.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(&bytes);
        serde_json::from_slice(json).map_err(|source| Error::NotJson { what: "schema", name: shown(argument), source })
    }

    /// Bytes: those of the argument itself, of the file behind `@`, or standard input.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn text_bytes(&mut self, what: &'static str, argument: &str) -> Result<Vec<u8>, Error> {
        match argument.strip_prefix('@') {
            Some(path) => self.bytes(what, path, MAX_TEXT_BYTES),
            None if argument == STANDARD_INPUT => self.bytes(what, argument, MAX_TEXT_BYTES),
            None => Ok(argument.as_bytes().to_vec()),
        }
    }

    /// As [`Inputs::text_bytes`], for text. A byte-order mark is not part of it.
    ///
    /// # Errors
    /// The file cannot be read, or is not UTF-8.
    pub(super) fn text(&mut self, what: &'static str, argument: &str) -> Result<String, Error> {
        let bytes = self.text_bytes(what, argument)?;
        let text = utf8(what, argument.strip_prefix('@').unwrap_or(argument), bytes)?;
        Ok(without_byte_order_mark(&text).to_owned())
    }

    fn bytes(&mut self, what: &'static str, path: &str, limit_bytes: usize) -> Result<Vec<u8>, Error> {
        let name = shown(path);
        let unreadable = |source| Error::Unreadable { what, name: name.clone(), source };
        let reader: Box<dyn Read> = if path == STANDARD_INPUT {
            if std::mem::replace(&mut self.standard_input_is_used, true) {
                return Err(Error::StandardInputTwice { what });
            }
            Box::new(std::io::stdin())
        } else {
            let file = File::open(path).map_err(unreadable)?;
            if file.metadata().map_err(unreadable)?.is_dir() {
                return Err(Error::Folder { what, name });
            }
            Box::new(file)
        };
        let mut bytes = Vec::new();
        reader.take(limit_bytes as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() > limit_bytes { Err(Error::TooLarge { what, name, limit_bytes }) } else { Ok(bytes) }
    }
}

/// The text without the mark that says how its bytes are ordered: UTF-8 needs none.
pub(super) fn without_byte_order_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

fn shown(path: &str) -> String {
    if path == STANDARD_INPUT { "(standard input)".to_owned() } else { path.to_owned() }
}

fn utf8(what: &'static str, argument: &str, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| Error::NotUtf8 {
        what,
        name: shown(argument),
        at_byte: error.utf8_error().valid_up_to(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grammar_of_the_folder_is_shipped() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("grammars");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".gbnf").map(str::to_owned))
            .collect();
        found.sort();
        let mut shipped: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        shipped.sort_unstable();
        assert_eq!(found, shipped);
    }

    #[test]
    fn a_shipped_name_needs_no_file_and_a_path_is_never_a_shipped_name() {
        assert!(Inputs::default().grammar("json").unwrap().source.contains("root"));
        assert!(matches!(Inputs::default().grammar("./json"), Err(Error::Unreadable { .. })));
        assert!(matches!(Inputs::default().grammar("json.gbnf"), Err(Error::Unreadable { .. })));
        assert!(matches!(Inputs::default().grammar("no-such"), Err(Error::UnknownGrammar { .. })));
    }

    #[test]
    fn an_argument_is_its_own_text_unless_it_names_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, b"a\xff\n").unwrap();
        let argument = format!("@{}", path.display());
        assert_eq!(Inputs::default().text("prompt", "-1").unwrap(), "-1");
        assert_eq!(Inputs::default().text_bytes("input", &argument).unwrap(), b"a\xff\n");
        assert!(matches!(Inputs::default().text("prompt", &argument), Err(Error::NotUtf8 { at_byte: 1, .. })));
    }
}
