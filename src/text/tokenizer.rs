//! Hugging Face tokenizers with the special tokens that training needs.

use std::sync::Arc;

use serde_json::Value;

use super::byte_level::ByteLevel;
use super::{TextError, vocabulary};
use crate::model::ModelFiles;

/// A tokenizer with its end and padding tokens.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The same way to ids, where its every step is known.
    byte_level: Option<Arc<ByteLevel>>,
    /// Text of the token that ends a response.
    pub eos_text: String,
    /// Its id.
    pub eos: u32,
    /// Fills rows; the tokenizer's padding token, else EOS.
    pub pad: u32,
    /// Ids that end a generated response.
    pub stop: Vec<u32>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("eos", &self.eos_text).field("pad", &self.pad).finish()
    }
}

impl Tokenizer {
    /// Read `tokenizer.json`, else `vocab.json` with `merges.txt`, and the special tokens of a
    /// model.
    ///
    /// EOS comes from `tokenizer_config.json`, else `special_tokens_map.json`, else
    /// `generation_config.json`, else `config.json`.
    ///
    /// # Errors
    ///
    /// A missing or damaged file, an end token that the vocabulary lacks.
    pub fn load(files: &ModelFiles) -> Result<Self, TextError> {
        let path = files.path("tokenizer.json");
        let failed = |found: String| TextError::Tokenizer { path: path.clone(), found };
        let mut inner = match files.bytes("tokenizer.json")? {
            Some(bytes) => {
                tokenizers::Tokenizer::from_bytes(&*bytes).map_err(|e| failed(e.to_string()))?
            }
            None => vocabulary::read(files)?.ok_or_else(|| {
                failed("there is no such file, nor vocab.json with merges.txt".to_owned())
            })?,
        };
        // Rows are padded and cut here, by rules of our own.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| failed(e.to_string()))?;

        let config = files.json("tokenizer_config.json")?.unwrap_or(Value::Null);
        let special = files.special_tokens()?;
        let map = files.json("special_tokens_map.json")?.unwrap_or(Value::Null);
        let named = |key: &str| {
            let text = token_text(config.get(key)).or_else(|| token_text(map.get(key)));
            text.and_then(|text| inner.token_to_id(&text))
        };
        let eos = named("eos_token")
            .or_else(|| special.eos.first().copied())
            .ok_or_else(|| failed("no end-of-text token is named in tokenizer_config.json, special_tokens_map.json, generation_config.json or config.json".to_owned()))?;
        let eos_text = inner.id_to_token(eos).ok_or_else(|| {
            failed(format!("the end-of-text token {eos} is not in the vocabulary"))
        })?;
        let pad = named("pad_token").unwrap_or(eos);
        let mut stop = special.eos;
        if !stop.contains(&eos) {
            stop.push(eos);
        }
        let byte_level = ByteLevel::of(&inner).map(Arc::new);
        Ok(Self { inner, byte_level, eos_text, eos, pad, stop })
    }

    /// Token ids of a text, with the special tokens that the tokenizer adds (BOS, say).
    ///
    /// # Errors
    ///
    /// The tokenizer's own failure.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        self.encode_as(text, true)
    }

    /// Token ids of a text that has its special tokens already, a rendered conversation.
    ///
    /// # Errors
    ///
    /// The tokenizer's own failure.
    pub fn encode_bare(&self, text: &str) -> Result<Vec<u32>, TextError> {
        self.encode_as(text, false)
    }

    fn encode_as(&self, text: &str, add_special: bool) -> Result<Vec<u32>, TextError> {
        let ids = match &self.byte_level {
            Some(byte_level) => byte_level.encode(&self.inner, text, add_special),
            None => self.inner.encode_fast(text, add_special).map(|e| e.get_ids().to_vec()),
        };
        ids.map_err(|e| TextError::Encode { found: e.to_string() })
    }

    /// Text of token ids, special tokens left out.
    ///
    /// # Errors
    ///
    /// The tokenizer's own failure.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        self.inner.decode(ids, true).map_err(|e| TextError::Encode { found: e.to_string() })
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
        self.byte_level.is_some()
    }

    /// Whether a token is an added one, none that text of its own is cut into.
    pub fn is_added(&self, id: u32) -> bool {
        self.inner.get_added_tokens_decoder().contains_key(&id)
    }

    /// Size of the vocabulary, added tokens included.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// A special token is a string or an object with `content`.
pub(super) fn token_text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        object => object.get("content")?.as_str().map(str::to_owned),
    }
}
