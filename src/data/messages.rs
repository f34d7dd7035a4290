//! Values as chat messages.

use serde_json::Value;

use super::pair::{Message, Role};
use super::report::BadReason;
use super::values::{Bad, CALLS, SAID, SPEAKER, excerpt, is_empty, is_message};

/// Fields beside the text that chat templates ask for.
const FIELDS: [&str; 6] =
    ["tool_calls", "function_call", "tool_call_id", "name", "reasoning_content", "thinking"];
/// Words in the types and keys of content parts that are no text.
const MEDIA: [&str; 4] = ["image", "audio", "video", "file"];

/// What a bad row with a picture says of the way out.
pub(super) const WITHOUT_MEDIA: &str =
    "which these models do not see (data.media = \"leave-out\" trains on the text alone)";

/// Read a list of chat messages, or a single one.
pub(super) fn messages(name: &str, value: Value) -> Result<Vec<Message>, Bad> {
    match value {
        Value::Array(items) => items.into_iter().map(|item| message(name, item)).collect(),
        other => Ok(vec![message(name, other)?]),
    }
}

fn message(name: &str, value: Value) -> Result<Message, Bad> {
    let Value::Object(mut fields) = value else {
        return Err(Bad::wrong_type(name, &value, "chat messages with `role` and `content`"));
    };
    let speaker = match SPEAKER.iter().find_map(|key| fields.remove(*key)) {
        Some(Value::String(speaker)) => speaker,
        Some(other) => return Err(Bad::wrong_type(&format!("{name}[].role"), &other, "text")),
        None => return Err(Bad::missing(&format!("{name}[].role"))),
    };
    let content = SAID.iter().find_map(|key| fields.remove(*key));
    let others = FIELDS.iter().filter_map(|key| {
        let value = fields.remove(*key).filter(|value| !is_empty(value))?;
        Some(((*key).to_owned(), as_json(key, value)))
    });
    let others: Vec<_> = others.collect();
    let calls = others.iter().any(|(key, _)| CALLS.contains(&key.as_str()));
    let content = match content {
        None if calls => String::new(),
        None => return Err(Bad::missing(&format!("{name}[].content"))),
        Some(Value::Null) if calls => String::new(),
        Some(value) => content_text(name, value)?,
    };
    match speaker.trim().to_lowercase().as_str() {
        // A call in the manner of ShareGPT: the content is the function's name and arguments.
        "function_call" | "tool_call" => Ok(call(content)),
        speaker => match role(speaker) {
            Some(role) => Ok(Message { role, content, fields: others }),
            None => {
                let by = excerpt(speaker);
                let detail = format!(
                    "`{name}` has a message by “{by}”; expected system, user, assistant or tool"
                );
                Err(Bad::new(BadReason::WrongType, detail))
            }
        },
    }
}

/// Calls are kept as the JSON that they were read as; see `containers::record`.
fn as_json(key: &str, value: Value) -> String {
    match value {
        Value::String(json) if CALLS.contains(&key) => json,
        other => other.to_string(),
    }
}

fn call(content: String) -> Message {
    match serde_json::from_str::<Value>(&content) {
        Ok(Value::Object(_)) => {
            let calls = format!("[{{\"type\": \"function\", \"function\": {content}}}]");
            let fields = vec![("tool_calls".to_owned(), calls)];
            Message { role: Role::Assistant, content: String::new(), fields }
        }
        _ => Message::new(Role::Assistant, content),
    }
}

/// The text of a message: text, or parts of which all are text.
fn content_text(name: &str, value: Value) -> Result<String, Bad> {
    match value {
        Value::String(text) => Ok(text),
        Value::Array(parts) => {
            let parts: Result<Vec<_>, _> =
                parts.into_iter().map(|part| part_text(name, part)).collect();
            Ok(parts?.concat())
        }
        part @ Value::Object(_) => part_text(name, part),
        other => Err(Bad::wrong_type(&format!("{name}[].content"), &other, "text")),
    }
}

fn part_text(name: &str, part: Value) -> Result<String, Bad> {
    let mut fields = match part {
        Value::String(text) => return Ok(text),
        Value::Object(fields) => fields,
        other => {
            return Err(Bad::wrong_type(&format!("{name}[].content[]"), &other, "a part of text"));
        }
    };
    if let Some(found) = media_in(&fields) {
        let detail = format!("`{name}` has a message with a part “{found}”, {WITHOUT_MEDIA}");
        return Err(Bad::new(BadReason::Media, detail));
    }
    let text = ["text", "content", "value"].iter().find_map(|key| fields.remove(*key));
    match text {
        Some(Value::String(text)) => Ok(text),
        // A part that was left out.
        None if fields.values().all(is_empty) => Ok(String::new()),
        _ => {
            let kind = fields.get("type").and_then(Value::as_str).unwrap_or("unknown");
            let detail = format!(
                "`{name}` has a message with a part of type “{}”; expected parts of text",
                excerpt(kind)
            );
            Err(Bad::new(BadReason::WrongType, detail))
        }
    }
}

/// What a content part shows that is no text.
fn media_in(part: &serde_json::Map<String, Value>) -> Option<String> {
    let shows = |text: &str| MEDIA.iter().any(|word| text.contains(word));
    if let Some(kind) = part.get("type").and_then(Value::as_str).filter(|kind| shows(kind)) {
        return Some(excerpt(kind));
    }
    let text = ["text", "type"];
    let mut keys = part.iter().filter(|(key, value)| {
        !text.contains(&key.as_str()) && shows(&key.to_lowercase()) && !is_empty(value)
    });
    keys.next().map(|(key, _)| excerpt(key))
}

/// Take pictures and sounds out of the messages in a value; whether there were any.
pub(super) fn leave_media_out(value: &mut Value) -> bool {
    let is_turn = is_message(value);
    match value {
        Value::Array(items) => {
            items.iter_mut().map(leave_media_out).filter(|found| *found).count() > 0
        }
        Value::Object(fields) if is_turn => {
            let Some(Value::Array(parts)) = fields.get_mut("content") else { return false };
            let before = parts.len();
            parts.retain(|part| part.as_object().is_none_or(|part| media_in(part).is_none()));
            parts.len() < before
        }
        Value::Object(fields) => {
            fields.values_mut().map(leave_media_out).filter(|found| *found).count() > 0
        }
        _ => false,
    }
}

fn role(speaker: &str) -> Option<Role> {
    match speaker {
        "system" | "developer" => Some(Role::System),
        "user" | "human" | "prompter" => Some(Role::User),
        "assistant" | "gpt" | "bot" | "chatbot" | "model" | "ai" => Some(Role::Assistant),
        "tool" | "function" | "observation" | "ipython" | "environment" | "tool_response" => {
            Some(Role::Tool)
        }
        _ => None,
    }
}
