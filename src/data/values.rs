//! Single values: what they are, and in words.

use serde_json::Value;

use super::report::BadReason;
use super::row::Fields;
use crate::legible::line;

/// Who says a chat message.
pub(super) const SPEAKER: [&str; 2] = ["role", "from"];
/// What it says.
pub(super) const SAID: [&str; 3] = ["content", "value", "text"];
/// A turn may say nothing and call functions.
pub(super) const CALLS: [&str; 2] = ["tool_calls", "function_call"];

/// Longest excerpt of a value in a message.
const EXCERPT: usize = 60;

/// Why a row is bad.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) reason: BadReason,
    pub(super) detail: String,
}

impl Bad {
    pub(super) fn new(reason: BadReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    pub(super) fn wrong_type(name: &str, found: &Value, expected: &str) -> Self {
        Self::new(
            BadReason::WrongType,
            format!("`{name}` holds {}; expected {expected}", describe(found)),
        )
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::new(BadReason::MissingField, format!("`{name}` is absent"))
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    /// One chat message.
    Message,
    /// A list of chat messages.
    Messages,
    /// A list of texts.
    Texts,
    List,
    Object,
}

impl Kind {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::Text,
            Value::Array(items) if !items.is_empty() && items.iter().all(is_message) => {
                Self::Messages
            }
            Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_string) => {
                Self::Texts
            }
            Value::Array(_) => Self::List,
            Value::Object(_) if is_message(value) => Self::Message,
            Value::Object(_) => Self::Object,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::Text => "text",
            Self::Message => "chat message",
            Self::Messages => "chat messages",
            Self::Texts => "list of texts",
            Self::List => "list",
            Self::Object => "object",
        }
    }
}

/// Whether it is a chat message.
pub(super) fn is_message(value: &Value) -> bool {
    let Value::Object(fields) = value else { return false };
    let has = |keys: &[&str]| keys.iter().any(|key| fields.contains_key(*key));
    // A node of a reply tree also has a role and a text.
    has(&SPEAKER) && (has(&SAID) || has(&CALLS)) && !fields.contains_key("replies")
}

/// Bytes of text in a value and in all that it holds.
pub(super) fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(length).sum(),
        Value::Object(fields) => fields.values().map(length).sum(),
        _ => 0,
    }
}

/// A value in words, short enough for a message.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("{value} ({})", Kind::of(value).name()),
        Value::String(text) => format!("the text “{}”", excerpt(text)),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(fields) => {
            let keys: Vec<_> = fields.keys().take(6).map(|key| excerpt(key)).collect();
            format!("an object with {}", keys.join(", "))
        }
    }
}

/// The beginning of a text, on one line.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", line(&text[..end])),
        None => line(text).into_owned(),
    }
}

/// A short value in one spelling: `1`, `1.0`, `"1"` and `" 1 "` are the same.
///
/// `None` for null, an empty text, a list and an object.
pub(super) fn scalar(value: &Value) -> Option<String> {
    let text = match value {
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_lowercase(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    let whole = text.strip_suffix(".0").unwrap_or(&text);
    (!whole.is_empty()).then(|| whole.to_owned())
}

/// A finite number, or a text or boolean that stands for one.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// Whether nothing is there: null, an empty text, list or object, or lists of such.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => matches!(text.trim(), "" | "[]" | "{}" | "null" | "None"),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(fields) => fields.values().all(is_empty),
        _ => false,
    }
}

/// Take a text out of a row.
pub(super) fn take_text(row: &mut Fields, name: &str) -> Result<String, Bad> {
    match row.get_mut(name).map(Value::take) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(Bad::wrong_type(name, &other, "text")),
        None => Err(Bad::missing(name)),
    }
}
