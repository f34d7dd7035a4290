//! Where the prompt of a row stands.

use serde_json::Value;

use super::columns::{Column, Columns, Fields};
use super::names::words;
use super::pair::{Message, Prompt, Role};
use super::values::{Bad, messages, take_text};

/// Names under which prompts are found, best first.
const NAMES: &[&str] = &[
    "prompt",
    "instruction",
    "question",
    "query",
    "request",
    "messages",
    "conversations",
    "conversation",
    "dialogue",
    "dialog",
    "history",
    "post",
    "context",
    "problem",
    "input",
    "user",
    "text",
];

/// Columns about something else than a prompt's text.
const OTHERS: &[&str] = &[
    "id", "idx", "index", "hash", "key", "source", "type", "category", "model", "lang", "language",
    "split", "url",
];

/// The columns of a prompt.
#[derive(Clone, Debug)]
pub(super) struct PromptColumns {
    main: String,
    /// What the instruction is about, in a column of its own.
    input: Option<String>,
    /// The system message, in a column of its own.
    system: Option<String>,
}

impl PromptColumns {
    /// Find them among all columns but those that are taken.
    pub(super) fn find(columns: &Columns, taken: &[&str]) -> Option<Self> {
        let free = |column: &&Column| !taken.contains(&column.name.as_str());
        let speaking = || columns.speaking().filter(free);
        let exact =
            NAMES.iter().find_map(|name| speaking().find(|column| words(&column.name) == [*name]));
        let main =
            exact.or_else(|| Self::by_words(&speaking)).or_else(|| Self::by_content(&speaking))?;
        let beside = |name: &str| {
            let column =
                columns.get(name).filter(free).filter(|column| column.name != main.name)?;
            column.speaks().then(|| column.name.clone())
        };
        Some(Self {
            main: main.name.clone(),
            input: if words(&main.name) == ["instruction"] { beside("input") } else { None },
            system: beside("system").or_else(|| beside("system_prompt")),
        })
    }

    /// A name such as `user_prompt`.
    fn by_words<'a, I: Iterator<Item = &'a Column>>(
        speaking: &impl Fn() -> I,
    ) -> Option<&'a Column> {
        let fits = |column: &&Column, name: &str| {
            let words = words(&column.name);
            words.iter().any(|word| word == name)
                && !words.iter().any(|word| OTHERS.contains(&word.as_str()))
        };
        NAMES.iter().find_map(|name| speaking().find(|column| fits(column, name)))
    }

    /// The only column of long texts that are not all the same.
    fn by_content<'a, I: Iterator<Item = &'a Column>>(
        speaking: &impl Fn() -> I,
    ) -> Option<&'a Column> {
        let about = |column: &&Column| {
            !words(&column.name).iter().any(|word| OTHERS.contains(&word.as_str()))
        };
        let long = |column: &&Column| column.open_ended && column.mean_length() >= 16;
        let mut fitting = speaking().filter(about).filter(long);
        let only = fitting.next()?;
        fitting.next().is_none().then_some(only)
    }

    /// The columns in words.
    pub(super) fn describe(&self) -> String {
        let mut text = match &self.input {
            Some(input) => format!("`{}` + `{input}`", self.main),
            None => format!("`{}`", self.main),
        };
        if let Some(system) = &self.system {
            text = format!("`{system}` + {text}");
        }
        text
    }

    /// The prompt's text in place, where it is one column of text.
    pub(super) fn text<'a>(&self, row: &'a Fields) -> Option<&'a str> {
        if self.input.is_some() || self.system.is_some() {
            return None;
        }
        row.get(&self.main)?.as_str()
    }

    /// Take the prompt out of a row.
    pub(super) fn take(&self, row: &mut Fields) -> Result<Prompt, Bad> {
        let system = match &self.system {
            Some(name) if row.get(name).is_some_and(|value| !value.is_null()) => {
                Some(take_text(row, name)?)
            }
            _ => None,
        };
        let mut prompt = match row.get_mut(&self.main).map(Value::take) {
            Some(Value::String(text)) => Prompt::Text(text),
            Some(list @ (Value::Array(_) | Value::Object(_))) => {
                Prompt::Messages(messages(&self.main, list)?)
            }
            Some(other) => {
                return Err(Bad::wrong_type(&self.main, &other, "text or chat messages"));
            }
            None => return Err(Bad::missing(&self.main)),
        };
        if let (Prompt::Text(text), Some(name)) = (&mut prompt, &self.input) {
            match row.get(name) {
                None | Some(Value::Null) => {}
                Some(Value::String(input)) if input.trim().is_empty() => {}
                Some(Value::String(input)) => {
                    text.push_str("\n\n");
                    text.push_str(input);
                }
                Some(other) => return Err(Bad::wrong_type(name, other, "text")),
            }
        }
        // A file with system messages is one of conversations, in the rows without one too.
        Ok(if self.system.is_some() { under_system(system, prompt) } else { prompt })
    }
}

fn under_system(system: Option<String>, prompt: Prompt) -> Prompt {
    let mut messages = Vec::new();
    if let Some(content) = system.filter(|text| !text.trim().is_empty()) {
        messages.push(Message { role: Role::System, content });
    }
    match prompt {
        Prompt::Text(content) => messages.push(Message { role: Role::User, content }),
        Prompt::Messages(turns) => messages.extend(turns),
    }
    Prompt::Messages(messages)
}
