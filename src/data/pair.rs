//! Pairs and what they are made of.

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
                let turn = |m: &Message| format!("{}: {}", m.role.name(), m.content.trim());
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
                    add(&message.content);
                }
                add("Assistant:");
            }
        }
        let mut key = [0; 16];
        key.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
        PromptKey(key)
    }

    /// Whether nothing is asked: no message, or white space only.
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::Messages(messages) => messages.iter().all(|m| m.content.trim().is_empty()),
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
}

impl Role {
    /// The name for a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::User => "User",
            Self::Assistant => "Assistant",
        }
    }

    /// The name in messages, as chat templates know it.
    pub fn key(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }

    /// The name with which a turn begins in a transcript.
    fn speaker(self) -> &'static str {
        match self {
            Self::System => "System:",
            Self::User => "Human:",
            Self::Assistant => "Assistant:",
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
    /// Share of the annotators who preferred it; those who saw a tie count as not agreeing.
    pub agreement: f32,
}

impl Label {
    /// The label of one annotator, or of all without dissent.
    pub fn certain(preferred: Side) -> Self {
        Self { preferred, agreement: 1.0 }
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
