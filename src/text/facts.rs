//! What is known of a tokenizer and of a way of writing, wherever they work.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What is known of a tokenizer, wherever it works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TokenizerFacts {
    pub(super) eos_text: String,
    pub(super) eos: u32,
    pub(super) pad: u32,
    pub(super) stop: Vec<u32>,
    pub(super) beyond: Vec<(u32, String)>,
    pub(super) vocabulary: usize,
    pub(super) is_byte_level: bool,
}

/// What is known of an encoder, wherever it works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EncoderFacts {
    pub(super) tokenizer: TokenizerFacts,
    /// Path and source of the chat template.
    pub(super) template: Option<(PathBuf, String)>,
    pub(super) turn_end: Option<u32>,
    pub(super) ends: Vec<String>,
    pub(super) controls: Vec<String>,
}
