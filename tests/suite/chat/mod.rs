//! Chat templates and the ways of writing prompts, against transformers and TRL.

mod limits;
mod rendering;
mod runs;
mod styles;

use std::path::PathBuf;

use confide::data::{Message, Role};
use confide::text::{ChatTemplate, Special, TextError};
use serde_json::Value;

use crate::common::fixture;

fn now() -> jiff::Zoned {
    let fixture = fixture("chat.json");
    let time: jiff::civil::DateTime = fixture["now"].as_str().unwrap().parse().unwrap();
    time.to_zoned(jiff::tz::TimeZone::UTC).unwrap()
}

fn special() -> Special {
    let fixture = fixture("chat.json");
    let named = fixture["special"].as_object().unwrap().iter();
    named.map(|(name, token)| (name.clone(), token.as_str().unwrap().to_owned())).collect()
}

fn template(source: &str) -> Result<ChatTemplate, TextError> {
    ChatTemplate::new(source, PathBuf::from("chat_template.jinja"), special(), &now())
}

fn render(source: &str, messages: &[Message], generation: bool) -> Result<String, TextError> {
    template(source)?.render(messages, generation)
}

fn message(role: &str, content: &str) -> Message {
    let role = match role {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => panic!("{other}"),
    };
    Message::new(role, content)
}

fn messages(value: &Value) -> Vec<Message> {
    let turn = |m: &Value| message(m["role"].as_str().unwrap(), m["content"].as_str().unwrap());
    value.as_array().unwrap().iter().map(turn).collect()
}
