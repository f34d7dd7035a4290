//! A decoder with what its files say beside the weights.

use serde_json::Value;

use super::{Adapter, Decoder, Family};

/// A decoder with what is needed to write it again.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The weights.
    pub decoder: Decoder,
    /// Names and layout of its files.
    pub family: &'static Family,
    /// `config.json` as read.
    pub json: Value,
    /// The adapter that is trained on frozen weights, if there is one.
    pub adapter: Option<Adapter>,
    /// What is worth knowing of its files, in sentences.
    pub warnings: Vec<String>,
}
