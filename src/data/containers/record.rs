//! One JSON record, as Python writes it too.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::super::limits::{ENTRY, MAP, VALUE};
use super::super::python;

/// Values under these keys are kept as JSON text: a chat template writes them into the prompt,
/// where the order of their keys counts, and that of a [`Value`] is lost.
pub(super) const ORDERED: [&str; 3] = ["tools", "tool_calls", "function_call"];

/// What Python's `json` writes for numbers that JSON does not have.
const NO_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// Why a record is not read.
#[derive(Debug)]
pub(in crate::data) enum Wrong {
    /// It is no JSON.
    Json(serde_json::Error),
    /// It becomes more than it may.
    Memory,
}

/// Read a record that becomes so many bytes in memory at most; also how many numbers in it are none,
/// which are null.
pub(in crate::data) fn parse(text: &str, most: u64) -> Result<(Value, usize), Wrong> {
    let error = match strict(text, most) {
        Ok(value) => return Ok((value, 0)),
        Err(Wrong::Memory) => return Err(Wrong::Memory),
        Err(error) => error,
    };
    if let Some((text, count)) = without_nan(text) {
        return strict(&text, most).map(|value| (value, count));
    }
    // A line that Python printed without its `json`.
    let printed = text.trim_start().starts_with("{'").then(|| python::to_json(text)).flatten();
    printed.map_or(Err(error), |json| strict(&json, most).map(|value| (value, 0)))
}

fn strict(text: &str, most: u64) -> Result<Value, Wrong> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let left = Cell::new(Some(most));
    let value = Record { left: &left }.deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| if left.get().is_none() { Wrong::Memory } else { Wrong::Json(error) })
}

/// The text with null for what is no number; `None` where all are.
fn without_nan(text: &str) -> Option<(String, usize)> {
    let mut out = String::new();
    let (mut kept, mut at, mut count, mut quoted) = (0, 0, 0, false);
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'N' | b'I' | b'-' if !quoted => {
                if let Some(word) = NO_NUMBERS.iter().find(|word| text[at..].starts_with(**word)) {
                    out.push_str(&text[kept..at]);
                    out.push_str("null");
                    count += 1;
                    kept = at + word.len();
                    at = kept - 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    out.push_str(&text[kept..]);
    (count > 0).then_some((out, count))
}

/// Builds a value; see [`ORDERED`].
#[derive(Clone, Copy)]
struct Record<'a> {
    /// Bytes of memory that may still be taken; none once that was not enough.
    left: &'a Cell<Option<u64>>,
}

impl Record<'_> {
    fn take<E: Error>(self, bytes: u64) -> Result<(), E> {
        self.left.set(self.left.get().and_then(|left| left.checked_sub(bytes)));
        self.left.get().map(drop).ok_or_else(|| E::custom("it unpacks to too much"))
    }
}

impl<'de> DeserializeSeed<'de> for Record<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.take(value.len() as u64 + ENTRY)?;
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        self.take(value.len() as u64 + ENTRY)?;
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            self.take(VALUE)?;
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            // A node of a map has room for eleven entries.
            let node = if fields.len().is_multiple_of(6) { MAP } else { 0 };
            self.take(node + key.len() as u64 + ENTRY)?;
            let value = if ORDERED.contains(&key.as_str()) {
                // Its maps keep the order of their keys.
                let value: minijinja::Value = entries.next_value()?;
                if value.is_none() {
                    Value::Null
                } else if let Some(text) = value.as_str() {
                    text.into()
                } else {
                    serde_json::to_string(&value).map_err(A::Error::custom)?.into()
                }
            } else {
                entries.next_value_seed(self)?
            };
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}
