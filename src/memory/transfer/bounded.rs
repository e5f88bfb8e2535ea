//! JSON of others, read piece by piece: neither the bytes of a piece nor what it takes in memory grows without bound.
//!
//! A value can take many times the bytes that it is spelled with (`[0,0,0]`), and a string is held before anyone can
//! look at it: so both are counted, what is read ([`Metered`]) and what is held ([`Bounded`]).

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Most bytes of one piece (a conversation, a line). The longest conversations of people have some ten megabytes.
const MAX_PIECE_BYTES: u64 = 128 << 20;
/// Most bytes of memory that the values of one piece may take, give or take what the allocator adds.
const MAX_HELD_BYTES: usize = 512 << 20;
/// Most bytes of one file after unpacking.
const MAX_FILE_BYTES: u64 = 8 << 30;

/// What may still be read and held.
#[derive(Debug)]
pub(super) struct Budget {
    /// How a piece is called.
    piece: &'static str,
    max_piece_bytes: u64,
    max_held_bytes: usize,
    file_bytes: Cell<u64>,
    piece_bytes: Cell<u64>,
    held_bytes: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new("a conversation", MAX_PIECE_BYTES, MAX_HELD_BYTES)
    }
}

impl Budget {
    fn new(piece: &'static str, max_piece_bytes: u64, max_held_bytes: usize) -> Self {
        Self {
            piece,
            max_piece_bytes,
            max_held_bytes,
            file_bytes: Cell::new(MAX_FILE_BYTES),
            piece_bytes: Cell::new(max_piece_bytes),
            held_bytes: Cell::new(max_held_bytes),
        }
    }

    /// For an agent, whose file is read in pieces of at most `max_piece_bytes`.
    pub(super) fn of_agent(max_piece_bytes: u64) -> Self {
        Self::new("it", max_piece_bytes, MAX_HELD_BYTES)
    }

    /// Another piece begins; the one before is held no more.
    pub(super) fn next_piece(&self) {
        self.piece_bytes.set(self.max_piece_bytes);
        self.held_bytes.set(self.max_held_bytes);
    }

    fn read(&self, bytes: usize) -> io::Result<()> {
        let bytes = bytes as u64;
        let spend = |left: &Cell<u64>, what: &str, limit: u64| match left.get().checked_sub(bytes) {
            Some(rest) => {
                left.set(rest);
                Ok(())
            }
            None => Err(io::Error::other(format!("{what} is longer than {limit} bytes"))),
        };
        spend(&self.file_bytes, "it", MAX_FILE_BYTES)?;
        spend(&self.piece_bytes, self.piece, self.max_piece_bytes)
    }

    fn hold<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        let left = self.held_bytes.get().checked_sub(bytes);
        let too_much = || E::custom(format!("{} takes more than {} bytes of memory", self.piece, self.max_held_bytes));
        self.held_bytes.set(left.ok_or_else(too_much)?);
        Ok(())
    }
}

/// An input whose bytes are counted.
pub(super) struct Metered<'a> {
    pub(super) input: &'a mut dyn BufRead,
    pub(super) budget: &'a Budget,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.budget.read(read)?;
        Ok(read)
    }
}

/// Reads one value within the budget.
#[derive(Clone, Copy)]
pub(super) struct Bounded<'a>(pub(super) &'a Budget);

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.hold::<D::Error>(size_of::<Value>())?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.0.hold::<E>(text.len())?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            // The key, its hash and its place in the index.
            self.0.hold::<A::Error>(key.len() + size_of::<String>() + 2 * size_of::<usize>())?;
            object.insert(key, map.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}

/// The value that a line holds.
pub(super) fn line_value(line: &[u8], budget: &Budget) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let value = Bounded(budget).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// The value that a whole file holds.
pub(super) fn file_value(input: &mut dyn BufRead, budget: &Budget) -> serde_json::Result<Value> {
    let input = BufReader::new(Metered { input, budget });
    let mut deserializer = serde_json::Deserializer::from_reader(input);
    let value = Bounded(budget).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Hands each element of an array, or the one object that there is, to `take`; stops at the first failure of either.
pub(super) struct Pieces<'a, E> {
    pub(super) budget: &'a Budget,
    pub(super) take: &'a mut dyn FnMut(Value) -> Result<(), E>,
    pub(super) failed: &'a mut Option<E>,
}

impl<E> Pieces<'_, E> {
    fn piece<F: serde::de::Error>(&mut self, value: Value) -> Result<(), F> {
        self.budget.next_piece();
        (self.take)(value).map_err(|error| {
            *self.failed = Some(error);
            F::custom("refused")
        })
    }
}

impl<'de, E> DeserializeSeed<'de> for Pieces<'_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, E> Visitor<'de> for Pieces<'_, E> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a conversation or an array of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<(), A::Error> {
        while let Some(value) = sequence.next_element_seed(Bounded(self.budget))? {
            self.piece::<A::Error>(value)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        let value = Bounded(self.budget).visit_map(map)?;
        self.piece(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, budget: &Budget) -> serde_json::Result<Vec<Value>> {
        let mut found = Vec::new();
        let mut input = text.as_bytes();
        let mut deserializer = serde_json::Deserializer::from_reader(Metered { input: &mut input, budget });
        let mut failed: Option<()> = None;
        let mut take = |value| {
            found.push(value);
            Ok(())
        };
        Pieces { budget, take: &mut take, failed: &mut failed }.deserialize(&mut deserializer)?;
        Ok(found)
    }

    #[test]
    fn values_come_out_as_they_are_spelled() {
        let text = r#"[{"a": [1, -2, 2.5, true, null, "é\n"], "b": {}}, 7, "x"]"#;
        let whole: Vec<Value> = serde_json::from_str(text).unwrap();
        assert_eq!(read(text, &Budget::default()).unwrap(), whole);
        assert_eq!(line_value(br#"{"a": 1}"#, &Budget::default()).unwrap(), serde_json::json!({"a": 1}));
        assert!(line_value(b"{} {}", &Budget::default()).is_err());
        assert_eq!(file_value(&mut &b" {\"a\": 1}\n"[..], &Budget::default()).unwrap(), serde_json::json!({"a": 1}));
        assert!(file_value(&mut &b"{} {}"[..], &Budget::default()).is_err());
    }

    #[test]
    fn what_is_held_and_what_is_read_is_bounded_for_each_piece() {
        let numbers = format!("[[{}0]]", "0,".repeat(1000));
        let held = || Budget::new("a conversation", MAX_PIECE_BYTES, 500 * size_of::<Value>());
        for error in [
            read(&numbers, &held()).unwrap_err(),
            line_value(numbers.as_bytes(), &held()).unwrap_err(),
            file_value(&mut numbers.as_bytes(), &held()).unwrap_err(),
        ] {
            assert!(error.to_string().contains("bytes of memory"), "{error}");
        }
        let long = format!("[\"{}\"]", "x".repeat(1000));
        let error = file_value(&mut long.as_bytes(), &Budget::of_agent(500)).unwrap_err();
        assert!(error.to_string().contains("it is longer than 500 bytes"), "{error}");
        let piece = Budget { piece_bytes: Cell::new(500), ..Budget::default() };
        assert!(read(&long, &piece).unwrap_err().to_string().contains("a conversation is longer"));
        let file = Budget { file_bytes: Cell::new(500), ..Budget::default() };
        assert!(read(&long, &file).unwrap_err().to_string().contains("it is longer"));
        // Many pieces that are small by themselves are read.
        let many = format!("[{}\"\"]", "\"0123456789\",".repeat(100));
        let piece = Budget { held_bytes: Cell::new(size_of::<Value>() + 20), ..Budget::default() };
        assert_eq!(read(&many, &piece).unwrap().len(), 101);
    }
}
