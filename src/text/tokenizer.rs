//! Hugging Face tokenizers with the special tokens that training needs, wherever they work.

use std::sync::Arc;

use super::error::TextError;
use super::facts::TokenizerFacts;
use super::inner::{Around, Inner};
use super::isolate::Apart;
use crate::model::ModelFiles;

/// A tokenizer with its end and padding tokens.
#[derive(Clone)]
pub struct Tokenizer {
    place: Place,
    /// Text of the token that ends a response.
    pub eos_text: String,
    /// Its id.
    pub eos: u32,
    /// Fills rows; the tokenizer's padding token, else EOS.
    pub pad: u32,
    /// Ids that end a generated response.
    pub stop: Vec<u32>,
    beyond: Vec<(u32, String)>,
    vocabulary: usize,
    is_byte_level: bool,
}

/// Where the work is done.
#[derive(Clone)]
enum Place {
    Here(Arc<Inner>),
    Apart(Arc<Apart>),
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("eos", &self.eos_text).field("pad", &self.pad).finish()
    }
}

impl Tokenizer {
    /// Read `tokenizer.json`, else `vocab.json` with `merges.txt`, and the special tokens of a
    /// model, in this process: [`Encoder::load`] is the way for files of strangers.
    ///
    /// EOS comes from `tokenizer_config.json`, else `special_tokens_map.json`, else
    /// `generation_config.json`, else `config.json`.
    ///
    /// # Errors
    ///
    /// A missing or damaged file, an end token that the vocabulary lacks.
    ///
    /// [`Encoder::load`]: super::Encoder::load
    pub fn load(files: &ModelFiles) -> Result<Self, TextError> {
        let (inner, facts) = Inner::load(files)?;
        Ok(Self::new(Place::Here(Arc::new(inner)), facts))
    }

    /// The tokenizer that another process has loaded.
    pub(super) fn apart(process: Arc<Apart>, facts: TokenizerFacts) -> Self {
        Self::new(Place::Apart(process), facts)
    }

    fn new(place: Place, facts: TokenizerFacts) -> Self {
        let TokenizerFacts { eos_text, eos, pad, stop, beyond, vocabulary, is_byte_level } = facts;
        Self { place, eos_text, eos, pad, stop, beyond, vocabulary, is_byte_level }
    }

    /// What another process is told.
    pub(super) fn facts(&self) -> TokenizerFacts {
        TokenizerFacts {
            eos_text: self.eos_text.clone(),
            eos: self.eos,
            pad: self.pad,
            stop: self.stop.clone(),
            beyond: self.beyond.clone(),
            vocabulary: self.vocabulary,
            is_byte_level: self.is_byte_level,
        }
    }

    /// The library's tokenizer, where it works in this process.
    pub(super) fn inner(&self) -> Option<&Inner> {
        match &self.place {
            Place::Here(inner) => Some(inner),
            Place::Apart(_) => None,
        }
    }

    /// Tokens that the model has no row for, with their ids, the lowest first: they were added to
    /// the tokenizer, and the embedding was never widened.
    pub fn beyond(&self) -> &[(u32, String)] {
        &self.beyond
    }

    /// Token ids of a text, with the special tokens that the tokenizer adds (BOS, say).
    ///
    /// # Errors
    ///
    /// The tokenizer's own failure.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        self.encode_as(text, Around::Special)
    }

    /// Token ids of a text that has its special tokens already, a rendered conversation.
    ///
    /// # Errors
    ///
    /// The tokenizer's own failure.
    pub fn encode_bare(&self, text: &str) -> Result<Vec<u32>, TextError> {
        self.encode_as(text, Around::Nothing)
    }

    /// As [`Tokenizer::encode`] for a text that goes on, or that ends as it should already:
    /// nothing is put behind it, and the beginning that it may have itself is not put before it.
    ///
    /// # Errors
    ///
    /// The tokenizer's own failure.
    pub fn encode_open(&self, text: &str) -> Result<Vec<u32>, TextError> {
        self.encode_as(text, Around::Beginning)
    }

    pub(super) fn encode_as(&self, text: &str, around: Around) -> Result<Vec<u32>, TextError> {
        match &self.place {
            Place::Here(inner) => inner.encode(text, around),
            Place::Apart(process) => process.encode(text, around),
        }
    }

    /// Text of token ids, special tokens left out.
    ///
    /// # Errors
    ///
    /// The tokenizer's own failure.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        match &self.place {
            Place::Here(inner) => inner.decode(ids),
            Place::Apart(process) => process.decode(ids),
        }
    }

    /// Text of token ids that follow others: what they add to the text before them.
    ///
    /// Some tokenizers drop a leading space, so that a response cannot be decoded alone.
    ///
    /// # Errors
    ///
    /// The tokenizer's own failure.
    pub fn decode_after(&self, before: &[u32], ids: &[u32]) -> Result<String, TextError> {
        let head = self.decode(before)?;
        let all = self.decode(&[before, ids].concat())?;
        match all.strip_prefix(head.as_str()) {
            Some(rest) => Ok(rest.to_owned()),
            None => self.decode(ids),
        }
    }

    /// Whether ids come by the short way, which knows byte-level tokenizers.
    #[doc(hidden)]
    pub fn is_byte_level(&self) -> bool {
        self.is_byte_level
    }

    /// The texts of the tokens that control a model and are no text of its own: special ones, and those
    /// that end texts; known where the tokenizer works.
    pub(super) fn controls(&self) -> Vec<String> {
        let Some(inner) = self.inner() else { return Vec::new() };
        let added = inner.tokenizer.get_added_tokens_decoder().into_iter();
        let special = added.filter(|(id, token)| token.special || self.stop.contains(id));
        special.map(|(_, token)| token.content).chain(self.texts_of(&self.stop)).collect()
    }

    /// The texts of tokens, as far as they have any; known where the tokenizer works.
    pub(super) fn texts_of(&self, ids: &[u32]) -> Vec<String> {
        let Some(inner) = self.inner() else { return Vec::new() };
        let texts = ids.iter().filter_map(|id| inner.text_of(*id));
        texts.filter(|text| !text.is_empty()).collect()
    }

    /// Size of the vocabulary, added tokens included.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }
}
