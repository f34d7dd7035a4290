//! Where the prompt of a row stands.

use serde_json::Value;

use super::columns::{Column, Columns};
use super::messages::messages;
use super::names::{Twins, is_about, is_response_word, words};
use super::pair::{Message, Prompt, Role};
use super::report::BadReason;
use super::row::Fields;
use super::values::{Bad, Kind, is_empty, take_text};

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

/// Words in the names of columns that speak of something else than what was asked.
const OTHERS: &[&str] = &[
    "judge",
    "judging",
    "grader",
    "grading",
    "labelling",
    "labeling",
    "labeled",
    "evaluation",
    "eval",
    "evaluator",
    "rubric",
    "criteria",
    "criterion",
    "principle",
    "reference",
    "gold",
    "critique",
    "feedback",
    "rationale",
    "explanation",
    "elaboration",
    "statement",
    "reasoning",
    "chosen",
    "rejected",
    "preferred",
    "hash",
    "id",
    "raw",
    "annotation",
    "annotations",
    "negative",
    "title",
    "subreddit",
    "site",
    "system",
    "image",
    "images",
    "audio",
    "video",
    "tools",
    "tool",
    "functions",
    "correct",
    "incorrect",
];

/// Names of columns with a system message.
const SYSTEMS: &[&[&str]] =
    &[&["system"], &["system", "prompt"], &["system", "message"], &["custom", "system", "prompt"]];

/// Rows that are searched for responses in prompts.
const SAMPLE: usize = 500;
/// Shorter responses may stand in any text by chance.
const TELLING: usize = 12;

/// What a row asks, before the responses are looked at.
#[derive(Debug)]
pub(super) enum Asked {
    /// The prompt is in what the responses share.
    Nothing,
    /// A prompt.
    Prompt(Prompt),
    /// What the user said turn by turn, beside as many replies in each response.
    Questions(Vec<String>),
}

impl Asked {
    /// The prompt, where the responses say nothing of it.
    pub(super) fn alone(self) -> Result<Prompt, Bad> {
        match self {
            Self::Prompt(prompt) => Ok(prompt),
            Self::Questions(mut turns) if turns.len() == 1 => {
                Ok(Prompt::Text(turns.pop().unwrap_or_default()))
            }
            Self::Questions(turns) => {
                let detail = format!("the prompt has {} turns; expected one", turns.len());
                Err(Bad::new(BadReason::WrongType, detail))
            }
            Self::Nothing => Err(Bad::new(BadReason::MissingField, "the row has no prompt")),
        }
    }
}

/// The columns of a prompt.
#[derive(Clone, Debug, Default)]
pub(super) struct PromptColumns {
    /// What is asked; more than one only where a person names them.
    main: Vec<String>,
    /// What the instruction is about, in a column of its own.
    input: Option<String>,
    /// The system message, in a column of its own.
    system: Option<String>,
    /// Turns before the last one.
    history: Option<String>,
    /// Functions that the model may call.
    tools: Option<String>,
}

impl PromptColumns {
    /// Find them among all columns but those that are taken, for responses in two columns.
    pub(super) fn find(columns: &Columns, taken: &[&str], twins: Option<&Twins>) -> Self {
        let free = |column: &&Column| !taken.contains(&column.name.as_str());
        let judges = |column: &Column| {
            twins.is_some_and(|twins| holds_both(columns, &column.name, &twins.names))
        };
        let speaking = || {
            columns.speaking().filter(free).filter(|column| {
                !is_about(&column.name, None) && !judges(column) && system_words(column).is_none()
            })
        };
        // `orig_instruction` beside `orig_response_a`.
        let extra = twins.map(Twins::extra).unwrap_or_default();
        let kin = || {
            speaking().filter(|column| {
                let words = words(&column.name);
                !extra.is_empty() && extra.iter().all(|word| words.contains(word))
            })
        };
        let exact = || {
            NAMES.iter().find_map(|name| speaking().find(|column| words(&column.name) == [*name]))
        };
        let main = Self::by_words(&kin)
            .or_else(exact)
            .or_else(|| Self::by_words(&speaking))
            .or_else(|| Self::by_content(&speaking))
            .map(|column| column.name.clone());
        Self::beside(columns, taken, main)
    }

    /// The columns around one that is known.
    fn beside(columns: &Columns, taken: &[&str], main: Option<String>) -> Self {
        let free = |column: &&Column| {
            !taken.contains(&column.name.as_str()) && Some(&column.name) != main.as_ref()
        };
        let all = || columns.iter().filter(free);
        let instruction = main.as_ref().is_some_and(|name| words(name) == ["instruction"]);
        let input = all().find(|column| column.name == "input" && column.speaks());
        let system = |wanted: &&&[&str]| {
            columns.every().filter(free).find(|column| {
                column.kind() == Kind::Text && system_words(column) == Some(**wanted)
            })
        };
        let history = columns.every().filter(free).find(|column| {
            let list = matches!(column.kind(), Kind::List | Kind::Messages | Kind::Texts);
            list && words(&column.name).contains(&"history".to_owned())
        });
        let tools = columns.every().filter(free).find(|column| {
            words(&column.name).last().is_some_and(|word| word == "tools") && column.filled() > 0
        });
        let name = |column: &Column| column.name.clone();
        Self {
            input: input.filter(|_| instruction).map(name),
            system: SYSTEMS.iter().find_map(|wanted| system(&wanted)).map(name),
            history: history.map(name),
            tools: tools.map(name),
            main: main.into_iter().collect(),
        }
    }

    /// The columns that a person named; without any, what stands around the messages.
    pub(super) fn mapped(columns: &Columns, taken: &[&str], main: &[String]) -> Self {
        let around = Self::beside(columns, taken, main.first().cloned());
        Self { main: main.to_vec(), input: None, ..around }
    }

    /// The same under a system message that a person named.
    pub(super) fn under(self, columns: &Columns, system: &str) -> Self {
        match columns.get(system) {
            Some(_) => Self { system: Some(system.to_owned()), ..self },
            None => self,
        }
    }

    /// A name such as `user_prompt`; of several those with the fewest words.
    fn by_words<'a, I: Iterator<Item = &'a Column>>(
        speaking: &impl Fn() -> I,
    ) -> Option<&'a Column> {
        let fits = |column: &&Column, name: &str| {
            let words = words(&column.name);
            words.iter().any(|word| word == name)
                && !words.iter().any(|word| OTHERS.contains(&word.as_str()))
        };
        NAMES.iter().find_map(|name| {
            speaking().filter(|column| fits(column, name)).min_by_key(|c| words(&c.name).len())
        })
    }

    /// The only column of long texts that are not all the same, unless its name says that it is
    /// something else.
    fn by_content<'a, I: Iterator<Item = &'a Column>>(
        speaking: &impl Fn() -> I,
    ) -> Option<&'a Column> {
        let other = |column: &&Column| {
            let words = words(&column.name);
            words.iter().any(|word| OTHERS.contains(&word.as_str()) || is_response_word(word))
        };
        let long = |column: &&Column| column.is_varied() && column.mean_length() >= 16;
        let mut fitting = speaking().filter(|column| !other(column)).filter(long);
        let only = fitting.next()?;
        fitting.next().is_none().then_some(only)
    }

    /// Whether there is a column for what is asked.
    pub(super) fn has_main(&self) -> bool {
        !self.main.is_empty()
    }

    /// Whether what is asked is a list of what the user said turn by turn.
    pub(super) fn is_by_turns(&self, columns: &Columns) -> bool {
        self.main
            .first()
            .and_then(|name| columns.get(name))
            .is_some_and(|column| column.kind() == Kind::Texts)
    }

    /// Every column that is read.
    pub(super) fn columns(&self) -> Vec<String> {
        let beside = [&self.input, &self.system, &self.history, &self.tools];
        self.main.iter().chain(beside.into_iter().flatten()).cloned().collect()
    }

    /// The columns in words.
    pub(super) fn describe(&self) -> String {
        let around = [&self.tools, &self.system, &self.history].into_iter().flatten();
        let names = around.chain(&self.main).chain(&self.input);
        let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
        match self.has_main() {
            true => format!("the prompt in {}", names.join(" + ")),
            false if names.is_empty() => "the prompt in the messages that both share".to_owned(),
            false => {
                format!("the prompt in {} + the messages that both share", names.join(" + "))
            }
        }
    }

    /// The prompt's text in place, where it is one column of text.
    pub(super) fn text<'a>(&self, row: &'a Fields) -> Option<&'a str> {
        match (self.main.as_slice(), &self.input, &self.system, &self.history, &self.tools) {
            ([main], None, None, None, None) => row.get(main)?.as_str(),
            _ => None,
        }
    }

    /// Take what is asked out of a row.
    pub(super) fn take(&self, row: &mut Fields) -> Result<Asked, Bad> {
        let asked = match self.main.as_slice() {
            [] => Asked::Nothing,
            [main] => asked(main, row)?,
            several => {
                let texts: Result<Vec<_>, _> =
                    several.iter().map(|name| optional_text(row, name)).collect();
                let texts: Vec<_> = texts?.into_iter().flatten().collect();
                Asked::Prompt(Prompt::Text(texts.join("\n\n")))
            }
        };
        let Asked::Prompt(mut prompt) = asked else { return Ok(asked) };
        if let (Prompt::Text(text), Some(name)) = (&mut prompt, &self.input)
            && let Some(input) = optional_text(row, name)?
        {
            text.push_str("\n\n");
            text.push_str(&input);
        }
        if let Some(name) = &self.history {
            let mut turns = match row.get_mut(name).map(Value::take) {
                Some(value) if !is_empty(&value) => history(name, value)?,
                _ => Vec::new(),
            };
            turns.extend(as_messages(prompt));
            prompt = Prompt::Messages(turns);
        }
        Ok(Asked::Prompt(prompt))
    }

    /// A prompt with what stands above it in columns of its own: the system message, functions.
    pub(super) fn around(&self, row: &mut Fields, prompt: Prompt) -> Result<Prompt, Bad> {
        // A file with either is one of conversations, in the rows without one too.
        if self.system.is_none() && self.tools.is_none() {
            return Ok(prompt);
        }
        let mut turns = as_messages(prompt);
        if let Some(name) = &self.system
            && let Some(system) = optional_text(row, name)?
            && turns.first().is_none_or(|turn| turn.role != Role::System)
        {
            turns.insert(0, Message::new(Role::System, system));
        }
        if let Some(name) = &self.tools
            && let Some(tools) = row.get_mut(name).map(Value::take).filter(|value| !is_empty(value))
        {
            // Kept as the JSON that it was read as.
            let json = match tools {
                Value::String(json) => json,
                other => other.to_string(),
            };
            if !serde_json::from_str::<Value>(&json).is_ok_and(|value| value.is_array()) {
                return Err(Bad::wrong_type(
                    name,
                    &Value::String(json),
                    "a JSON list of functions",
                ));
            }
            turns.insert(0, Message::new(Role::Tools, json));
        }
        Ok(Prompt::Messages(turns))
    }
}

/// The words of a name that is one for system messages.
fn system_words(column: &Column) -> Option<&'static [&'static str]> {
    let words = words(&column.name);
    // Perhaps inside an object.
    let is = |end: &&[&str]| {
        words.len() <= end.len() + 1
            && words.len() >= end.len()
            && words[words.len() - end.len()..] == **end
    };
    SYSTEMS.iter().copied().rev().find(is)
}

/// Whether the texts of a column hold both responses, as what a judge was asked does.
fn holds_both(columns: &Columns, name: &str, responses: &[String; 2]) -> bool {
    let said = |row: &Fields, name: &str| -> Option<String> {
        let mut text = String::new();
        collect(row.get(name)?, &mut text);
        Some(text.trim().to_owned())
    };
    let reply = |row: &Fields, name: &str| -> Option<String> {
        let value = row.get(name)?;
        let last = value.as_array().and_then(|items| items.last()).unwrap_or(value);
        let last = last.get("content").unwrap_or(last);
        Some(last.as_str()?.trim().to_owned()).filter(|text| text.len() >= TELLING)
    };
    columns.share_of_some(SAMPLE, |row| {
        let (first, second) = (reply(row, &responses[0])?, reply(row, &responses[1])?);
        let asked = said(row, name)?;
        Some(first != second && asked.contains(&first) && asked.contains(&second))
    }) >= 0.5
}

/// All texts in a value.
fn collect(value: &Value, text: &mut String) {
    match value {
        Value::String(part) => {
            text.push_str(part);
            text.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, text)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, text)),
        _ => {}
    }
}

fn asked(name: &str, row: &mut Fields) -> Result<Asked, Bad> {
    match row.get_mut(name).map(Value::take) {
        Some(Value::String(text)) => Ok(Asked::Prompt(Prompt::Text(text))),
        Some(list) if Kind::of(&list) == Kind::Texts => {
            let Value::Array(items) = list else { return Ok(Asked::Nothing) };
            let text = |item| if let Value::String(text) = item { Some(text) } else { None };
            Ok(Asked::Questions(items.into_iter().filter_map(text).collect()))
        }
        Some(list @ (Value::Array(_) | Value::Object(_))) => {
            Ok(Asked::Prompt(Prompt::Messages(messages(name, list)?)))
        }
        Some(other) => Err(Bad::wrong_type(name, &other, "text or chat messages")),
        None => Err(Bad::missing(name)),
    }
}

/// A text that need not be there.
fn optional_text(row: &mut Fields, name: &str) -> Result<Option<String>, Bad> {
    match row.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(_) => take_text(row, name).map(Some),
    }
}

fn as_messages(prompt: Prompt) -> Vec<Message> {
    match prompt {
        Prompt::Text(content) => vec![Message::new(Role::User, content)],
        Prompt::Messages(turns) => turns,
    }
}

/// Turns of a conversation: messages, pairs of what was asked and answered, or both in turn.
fn history(name: &str, value: Value) -> Result<Vec<Message>, Bad> {
    if Kind::of(&value) == Kind::Messages {
        return messages(name, value);
    }
    let wrong = |value: &Value| {
        Bad::wrong_type(name, value, "chat messages, or pairs of question and answer")
    };
    let Value::Array(items) = value else { return Err(wrong(&value)) };
    let mut said = Vec::new();
    for item in items {
        match item {
            Value::Array(pair) if pair.len() == 2 => said.extend(pair),
            Value::String(_) => said.push(item),
            other => return Err(wrong(&other)),
        }
    }
    if said.len() % 2 == 1 {
        let detail = format!("`{name}` ends with a question; expected question and answer in turn");
        return Err(Bad::new(BadReason::WrongType, detail));
    }
    let turn = |(i, value): (usize, Value)| match value {
        Value::String(text) => {
            Ok(Message::new(if i % 2 == 0 { Role::User } else { Role::Assistant }, text))
        }
        other => Err(wrong(&other)),
    };
    said.into_iter().enumerate().map(turn).collect()
}
