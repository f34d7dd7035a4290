//! Prompts as text.

use std::path::PathBuf;

use crate::data::{Prompt, Role};
use crate::model::ModelError;

/// Why text could not become tokens.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The tokenizer is missing or damaged.
    #[error("{path}: {found}; expected a Hugging Face tokenizer.json with an end-of-text token")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// A file of a tokenizer that comes in parts is missing or damaged.
    #[error("{path}: {found}; expected {expected} (download it again?)")]
    Vocabulary {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A text could not be encoded or decoded.
    #[error("the tokenizer failed: {found}; is tokenizer.json from the same model?")]
    Encode {
        /// The tokenizer's words.
        found: String,
    },
    /// A model file could not be read.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// The text before the response.
///
/// Text stays as it is. Messages become a transcript in the HH-RLHF manner, which every
/// base model can read: `\n\nHuman: …\n\nAssistant:`; a system message stands first.
pub fn prompt_text(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Messages(messages) => {
            let mut text = String::new();
            for message in messages {
                let speaker = match message.role {
                    Role::System => "System",
                    Role::User => "Human",
                    Role::Assistant => "Assistant",
                };
                text.push_str("\n\n");
                text.push_str(speaker);
                text.push_str(": ");
                text.push_str(&message.content);
            }
            text.push_str("\n\nAssistant:");
            text
        }
    }
}

/// The response as it follows its prompt: after a transcript of messages, one space in.
pub(crate) fn response_text(prompt: &Prompt, response: &str) -> String {
    match prompt {
        Prompt::Text(_) => response.to_owned(),
        Prompt::Messages(_) if response.starts_with(char::is_whitespace) => response.to_owned(),
        Prompt::Messages(_) => format!(" {response}"),
    }
}
