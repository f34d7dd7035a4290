//! One JSON record, as Python writes it too.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::super::python;

/// Values under these keys are kept as JSON text: a chat template writes them into the prompt,
/// where the order of their keys counts, and that of a [`Value`] is lost.
pub(super) const ORDERED: [&str; 3] = ["tools", "tool_calls", "function_call"];

/// What Python's `json` writes for numbers that JSON does not have.
const NO_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// Read a record; also how many numbers in it are none, which are null.
pub(in crate::data) fn parse(text: &str) -> Result<(Value, usize), serde_json::Error> {
    let error = match strict(text) {
        Ok(value) => return Ok((value, 0)),
        Err(error) => error,
    };
    if let Some((text, count)) = without_nan(text) {
        return strict(&text).map(|value| (value, count));
    }
    // A line that Python printed without its `json`.
    let printed = text.trim_start().starts_with("{'").then(|| python::to_json(text)).flatten();
    printed.map_or(Err(error), |json| strict(&json).map(|value| (value, 0)))
}

fn strict(text: &str) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Record.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
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
struct Record;

impl<'de> DeserializeSeed<'de> for Record {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Record {
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

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
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
                entries.next_value_seed(Self)?
            };
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}
