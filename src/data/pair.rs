//! Pairs and what they are made of.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::FileReport;

/// Everything that was read, in file order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// All pairs; those of one file stand together.
    pub pairs: Vec<Pair>,
    /// What each file held, in the order in which the files were named.
    pub files: Vec<FileReport>,
}

/// One prompt with two candidate responses, and possibly a human label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// What both responses answer.
    pub prompt: Prompt,
    /// The candidates, exactly as in the file. Where the file names a chosen response, it is
    /// the first.
    pub responses: [String; 2],
    /// Which of them a human preferred, if known.
    pub label: Option<Label>,
    /// What multiplies the pair's weight, whoever labels it; 1 where the file says nothing.
    pub weight: f32,
    /// Where the pair was read.
    pub source: Source,
}

/// What two responses answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Text that a response follows as it stands.
    Text(String),
    /// The turns of a conversation before the response.
    Messages(Vec<Message>),
}

impl Prompt {
    /// The prompt for a person to read.
    pub fn display(&self) -> String {
        match self {
            Self::Text(text) => text.trim().to_owned(),
            Self::Messages(messages) => {
                let turn = |m: &Message| format!("{}: {}", m.role.name(), m.said().trim());
                messages.iter().map(turn).collect::<Vec<_>>().join("\n\n")
            }
        }
    }

    /// The identity of the prompt, the same on every machine and in every version.
    ///
    /// White space does not count, and one question has one key whether it is plain text, a
    /// transcript (`Human: … Assistant:`) or messages, so that a prompt that occurs in two
    /// files cannot be trained on through one and held out through the other.
    pub fn key(&self) -> PromptKey {
        let mut text = String::new();
        let mut add = |part: &str| {
            for word in part.split_ascii_whitespace() {
                text.push_str(word);
                text.push(' ');
            }
        };
        match self {
            Self::Text(prompt) if prompt.trim_start().starts_with("Human:") => add(prompt),
            Self::Text(prompt) => ["Human:", prompt, "Assistant:"].into_iter().for_each(add),
            Self::Messages(messages) => {
                for message in messages {
                    add(message.role.speaker());
                    add(&message.said());
                }
                add("Assistant:");
            }
        }
        let mut key = [0; 16];
        key.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
        PromptKey(key)
    }

    /// Bytes of its text, and of the JSON beside it.
    pub fn bytes(&self) -> usize {
        let beside = |m: &Message| m.fields.iter().map(|(_, json)| json.len()).sum::<usize>();
        match self {
            Self::Text(text) => text.len(),
            Self::Messages(messages) => messages.iter().map(|m| m.content.len() + beside(m)).sum(),
        }
    }

    /// Whether nothing is asked: no message, or white space only.
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::Messages(messages) => {
                let mut turns = messages.iter().filter(|m| m.role != Role::Tools);
                turns.all(|m| m.said().trim().is_empty())
            }
        }
    }
}

/// The identity of a prompt: see [`Prompt::key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromptKey([u8; 16]);

impl fmt::Display for PromptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// What chat templates may ask for beside it, such as `tool_calls`: name and JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, String)>,
}

impl Message {
    /// A turn of text alone.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), fields: Vec::new() }
    }

    /// The JSON of a field beside the text.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, json)| json.as_str())
    }

    /// The text; where tools are called, with the calls as JSON behind it.
    pub fn said(&self) -> Cow<'_, str> {
        match self.field("tool_calls") {
            None => Cow::Borrowed(&self.content),
            Some(calls) if self.content.trim().is_empty() => Cow::Borrowed(calls),
            Some(calls) => Cow::Owned(format!("{}\n{calls}", self.content)),
        }
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions that stand above the conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// What a function returned that the model called.
    Tool,
    /// No turn, and always first: the functions that the model may call, as a JSON list, which
    /// chat templates get as `tools`.
    Tools,
}

impl Role {
    /// The name for a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::User => "User",
            Self::Assistant => "Assistant",
            Self::Tool => "Tool",
            Self::Tools => "Tools",
        }
    }

    /// The name in messages, as chat templates know it.
    pub fn key(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
            Self::Tools => "tools",
        }
    }

    /// The name with which a turn begins in a transcript.
    fn speaker(self) -> &'static str {
        match self {
            Self::System => "System:",
            Self::User => "Human:",
            Self::Assistant => "Assistant:",
            Self::Tool => "Tool:",
            Self::Tools => "Tools:",
        }
    }
}

/// One of the two responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// `responses[0]`.
    First,
    /// `responses[1]`.
    Second,
}

impl Side {
    /// Index into [`Pair::responses`].
    pub fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    /// The other response.
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Which response people preferred.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The one that most annotators preferred.
    pub preferred: Side,
    /// Share of the annotators who preferred it, those who saw a tie counted as not agreeing; or
    /// how probable it is that it is the better one, where the file says so.
    pub agreement: f32,
    /// How much better it is, on the file's own scale, where that says so: a difference of
    /// ratings, a strength, a margin.
    pub margin: Option<f32>,
}

impl Label {
    /// The label of one annotator, or of all without dissent.
    pub fn certain(preferred: Side) -> Self {
        Self { preferred, agreement: 1.0, margin: None }
    }
}

/// Where a pair was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Index into [`Pool::files`].
    pub file: usize,
    /// JSON lines and CSV: the line on which the record starts. JSON array and Parquet: the
    /// number of the record. Both count from 1.
    pub line: u64,
}
