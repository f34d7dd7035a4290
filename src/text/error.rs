//! Why text could not become tokens.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::model_error;
use crate::model::ModelError;

/// Why text could not become tokens.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
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
    /// The tokenizer has a token that the model has no row for.
    #[error(
        "{path}: “{token}”{} has id {id}, and vocab_size in config.json is {rows}: the token was added to the tokenizer, and the model was not made larger; expected ids from 0 to {}; save the model after resize_token_embeddings(len(tokenizer)) (transformers), or leave the token out",
        in_data(*line), rows.saturating_sub(1)
    )]
    Beyond {
        /// The file.
        path: PathBuf,
        /// The token.
        token: String,
        /// Its id.
        id: u32,
        /// Rows of the model's embedding.
        rows: u32,
        /// Line of the pair that holds it; 0 if none does.
        line: u64,
    },
    /// A text could not be encoded or decoded.
    #[error("{path}: the tokenizer failed: {found}; is it from the same model?")]
    Encode {
        /// The tokenizer's file.
        path: PathBuf,
        /// The tokenizer's words.
        found: String,
    },
    /// The chat template is damaged, or cannot be rendered.
    #[error("{path}{}: {found}", in_line(*line))]
    Template {
        /// The file.
        path: PathBuf,
        /// Line of the template, from 1; 0 if unknown.
        line: usize,
        /// What is wrong, and what to try.
        found: String,
    },
    /// The chat template refuses the conversation.
    #[error("{path}{}: the chat template refuses this conversation: {words}", in_line(*line))]
    Refused {
        /// The file.
        path: PathBuf,
        /// Line of the template, from 1; 0 if unknown.
        line: usize,
        /// The template's own words.
        words: String,
    },
    /// A text holds a control token, and data.special_tokens refuses that.
    #[error("a text holds “{token}”, which the tokenizer reads as a control token")]
    Control {
        /// The token.
        token: String,
    },
    /// A template is asked for, and there is none.
    #[error(
        "{path} has no chat template, which data.chat = \"template\" asks for; name one with data.chat_template, or set data.chat = \"auto\""
    )]
    NoTemplate {
        /// The model.
        path: String,
    },
    /// A tokenizer or a chat template took more than it may, or broke the process that it runs in.
    #[error("{path}: {found}")]
    Exceeded {
        /// The file.
        path: PathBuf,
        /// What was exceeded, by what, and what to try.
        found: String,
    },
    /// Tokenizers and chat templates have no process to run in.
    #[error("{found}")]
    Process {
        /// Why, and what to try.
        found: String,
    },
    /// A model file could not be read.
    #[error(transparent)]
    Model(
        #[from]
        #[serde(with = "model_error")]
        ModelError,
    ),
}

fn in_data(line: u64) -> String {
    if line == 0 { String::new() } else { format!(", which line {line} of the data holds,") }
}

fn in_line(line: usize) -> String {
    if line == 0 { String::new() } else { format!(", template line {line}") }
}
