//! Byte streams of a generation: whole characters out of tokens that split them, and string values out of a JSON
//! object while it is being written.

/// Gives out whole characters of a byte stream.
#[derive(Debug, Default)]
pub(super) struct Utf8Stream {
    pending: Vec<u8>,
}

impl Utf8Stream {
    /// Takes `bytes`; gives what is complete. Bytes that can never become a character become U+FFFD.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut out = String::new();
        let mut kept = 0;
        for chunk in self.pending.utf8_chunks() {
            out.push_str(chunk.valid());
            kept = chunk.invalid().len();
            // An unfinished character can only stand at the very end, and is a prefix of something valid.
            if kept > 0 {
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
        let tail_start = self.pending.len() - kept;
        let tail = self.pending.split_off(tail_start);
        let unfinished = match std::str::from_utf8(&tail) {
            Ok(_) => false,
            Err(error) => error.error_len().is_none(),
        };
        self.pending.clear();
        if unfinished {
            out.pop();
            self.pending = tail;
        }
        out
    }
}

/// Text to the user as it comes: white space is held back until something follows it.
#[derive(Debug, Default)]
pub(super) struct TextStream {
    utf8: Utf8Stream,
    shown: String,
    held: String,
}

impl TextStream {
    /// What can be shown now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Option<String> {
        self.held.push_str(&self.utf8.push(bytes));
        let end = self.held.trim_end().len();
        let rest = self.held.split_off(end);
        let piece = std::mem::replace(&mut self.held, rest);
        self.shown.push_str(&piece);
        (!piece.is_empty()).then_some(piece)
    }

    /// Everything shown.
    pub(super) fn into_text(self) -> String {
        self.shown
    }
}

/// A string value that streams out of a call in the classic format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// `inner_thoughts`.
    Thoughts,
    /// `message` in the params of `send_message`.
    Message,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Between,
    InString,
    Escape,
    Unicode { digits: u32, value: u32 },
}

/// Reads a classic call byte by byte and gives out the texts in it.
#[derive(Debug)]
pub(super) struct CallStream {
    place: Place,
    /// Keys of the objects that are open, outermost first; empty until the first key of one was read.
    path: Vec<String>,
    expects_key: bool,
    reads_key: bool,
    field: Option<Field>,
    reads_function: bool,
    function: Vec<u8>,
    key: Vec<u8>,
    high_surrogate: Option<u32>,
    utf8: Utf8Stream,
}

impl CallStream {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Between,
            path: Vec::new(),
            expects_key: false,
            reads_key: false,
            field: None,
            reads_function: false,
            function: Vec::new(),
            key: Vec::new(),
            high_surrogate: None,
            utf8: Utf8Stream::default(),
        }
    }

    /// Takes `bytes`; gives the texts that became known, in order.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<(Field, String)> {
        let mut pieces: Vec<(Field, String)> = Vec::new();
        for byte in bytes {
            let field = self.field;
            let Some(decoded) = self.step(*byte) else { continue };
            let Some(field) = field else { continue };
            let text = self.utf8.push(&decoded);
            match pieces.last_mut() {
                Some((last, piece)) if *last == field => piece.push_str(&text),
                _ if text.is_empty() => {}
                _ => pieces.push((field, text)),
            }
        }
        pieces
    }

    /// Takes one byte; gives the bytes of the string value that it completes.
    fn step(&mut self, byte: u8) -> Option<Vec<u8>> {
        match (self.place, byte) {
            (Place::Between, b'"') => {
                self.begin_string();
                None
            }
            (Place::Between, b'{') => {
                self.path.push(String::new());
                self.expects_key = true;
                None
            }
            (Place::Between, b'}') => {
                self.path.pop();
                self.expects_key = false;
                None
            }
            (Place::Between, b',') => {
                self.expects_key = true;
                None
            }
            (Place::Between, _) => None,
            (Place::InString, b'"') => {
                self.end_string();
                None
            }
            (Place::InString, b'\\') => {
                self.place = Place::Escape;
                None
            }
            (Place::InString, _) => Some(self.decoded(&[byte])),
            (Place::Escape, b'u') => {
                self.place = Place::Unicode { digits: 0, value: 0 };
                None
            }
            (Place::Escape, _) => {
                self.place = Place::InString;
                let plain = match byte {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'b' => 8,
                    b'f' => 12,
                    other => other,
                };
                Some(self.decoded(&[plain]))
            }
            (Place::Unicode { digits, value }, _) => {
                let value = value * 16 + char::from(byte).to_digit(16).unwrap_or(0);
                if digits < 3 {
                    self.place = Place::Unicode { digits: digits + 1, value };
                    return None;
                }
                self.place = Place::InString;
                self.unit(value)
            }
        }
    }

    /// Takes one UTF-16 unit of an escape.
    fn unit(&mut self, unit: u32) -> Option<Vec<u8>> {
        let code = match (self.high_surrogate.take(), unit) {
            (None, 0xD800..=0xDBFF) => {
                self.high_surrogate = Some(unit);
                return None;
            }
            (Some(high), 0xDC00..=0xDFFF) => 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00),
            (_, unit) => unit,
        };
        let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        let mut buffer = [0; 4];
        let encoded = character.encode_utf8(&mut buffer);
        Some(self.decoded(encoded.as_bytes()))
    }

    fn decoded(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.reads_key {
            self.key.extend_from_slice(bytes);
        } else if self.reads_function {
            self.function.extend_from_slice(bytes);
        }
        bytes.to_vec()
    }

    fn begin_string(&mut self) {
        self.place = Place::InString;
        self.reads_key = std::mem::take(&mut self.expects_key);
        if self.reads_key {
            self.key.clear();
            return;
        }
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        self.reads_function = path == ["function"];
        self.field = match path.as_slice() {
            ["inner_thoughts"] => Some(Field::Thoughts),
            ["params", "message"] if self.function == b"send_message" => Some(Field::Message),
            _ => None,
        };
    }

    fn end_string(&mut self) {
        self.place = Place::Between;
        if std::mem::take(&mut self.reads_key) {
            if let Some(key) = self.path.last_mut() {
                *key = String::from_utf8_lossy(&self.key).into_owned();
            }
        } else {
            self.field = None;
            self.reads_function = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_come_out_whole() {
        let mut stream = Utf8Stream::default();
        let pieces: Vec<String> = "aé😀".bytes().map(|byte| stream.push(&[byte])).collect();
        assert_eq!(pieces, ["a", "", "é", "", "", "", "😀"]);
        assert_eq!(stream.push(b"\xff\xe2\x82"), "\u{fffd}");
        assert_eq!(stream.push(b"\xacx"), "€x");
    }

    #[test]
    fn escapes_and_surrogate_pairs_are_decoded() {
        let mut stream = CallStream::new();
        let call = r#"{"inner_thoughts": "a\n\u00e9\ud83d\ude00\"", "function": "send_message", "params": {"other": "no", "message": "{\\}\/\t,"}}"#;
        assert_eq!(
            stream.push(call.as_bytes()),
            [(Field::Thoughts, "a\né😀\"".to_string()), (Field::Message, "{\\}/\t,".to_string())]
        );
    }

    #[test]
    fn the_message_argument_of_other_functions_does_not_stream() {
        let mut stream = CallStream::new();
        assert_eq!(stream.push(br#"{"function": "other", "params": {"message": "x"}}"#), []);
    }
}
