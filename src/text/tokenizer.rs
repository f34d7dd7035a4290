//! Hugging Face tokenizers with the special tokens that training needs.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::byte_level::ByteLevel;
use super::guard::guarded;
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
    /// Tokens that the model has rows for: ids from here on mean nothing to it.
    rows: u32,
    /// What the tokenizer puts before and behind a text, where it is the same for every one.
    frame: Option<[Vec<u32>; 2]>,
    /// For messages.
    path: PathBuf,
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
                if let Some(length) = longest_piece(&bytes).filter(|length| *length > LONGEST_PIECE)
                {
                    return Err(failed(format!(
                        "a piece of its Unigram vocabulary has {length} bytes, more than the {LONGEST_PIECE} that are read"
                    )));
                }
                tried(|| tokenizers::Tokenizer::from_bytes(&*bytes)).map_err(&failed)?
            }
            None => vocabulary::read(files)?.ok_or_else(|| {
                let pieces = files.list().into_iter().find(|name| name.ends_with(".model"));
                failed(match pieces {
                    Some(pieces) => format!(
                        "there is no such file, and {pieces} (SentencePiece) is not read; transformers writes one: AutoTokenizer.from_pretrained(…).save_pretrained(…)"
                    ),
                    None => "there is no such file, nor vocab.json with merges.txt".to_owned(),
                })
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
        let rows = rows(files)?;
        let mut stop = special.eos;
        if !stop.contains(&eos) {
            stop.push(eos);
        }
        stop.retain(|id| *id < rows);
        let pad = match named("pad_token").unwrap_or(eos) {
            pad if pad < rows => pad,
            // It fills rows and is never read; no sequence ends with it.
            _ => u32::from(eos == 0),
        };
        let byte_level = ByteLevel::of(&inner).map(Arc::new);
        let frame = frame(&inner);
        let found = Self { inner, byte_level, eos_text, eos, pad, stop, rows, frame, path };
        found.check(&[eos])?;
        Ok(found)
    }

    /// Whether the model has a row for every one of these ids.
    fn check(&self, ids: &[u32]) -> Result<(), TextError> {
        match ids.iter().find(|id| **id >= self.rows) {
            None => Ok(()),
            Some(&id) => Err(TextError::Beyond {
                path: self.path.clone(),
                token: self.inner.id_to_token(id).unwrap_or_default(),
                id,
                rows: self.rows,
                line: 0,
            }),
        }
    }

    /// Tokens that the model has no row for, with their ids, the lowest first: they were added to
    /// the tokenizer, and the embedding was never widened.
    pub fn beyond(&self) -> Vec<(u32, String)> {
        let vocabulary = self.inner.get_vocab(true).into_iter();
        let mut found: Vec<(u32, String)> =
            vocabulary.filter(|(_, id)| *id >= self.rows).map(|(text, id)| (id, text)).collect();
        found.sort_unstable();
        found
    }

    /// Text of one token.
    pub(super) fn text_of(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
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

    /// As [`Tokenizer::encode`] for a text that goes on, or that ends as it should already:
    /// nothing is put behind it, and the beginning that it may have itself is not put before it.
    ///
    /// # Errors
    ///
    /// The tokenizer's own failure.
    pub fn encode_open(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let Some([before, behind]) = &self.frame else { return self.encode(text) };
        let mut ids = self.encode_bare(text)?;
        if !ids.starts_with(before) {
            ids.splice(0..0, before.iter().copied());
        }
        // Where the text's own end is no token of its own, the tokenizer's is the only one.
        let ended = text.ends_with(&self.eos_text);
        if ended && ids.last() != Some(&self.eos) && behind.contains(&self.eos) {
            ids.extend(behind);
        }
        // What the post-processor puts around a text has ids of its own.
        self.check(&ids)?;
        Ok(ids)
    }

    fn encode_as(&self, text: &str, add_special: bool) -> Result<Vec<u32>, TextError> {
        let ids = tried(|| match &self.byte_level {
            Some(byte_level) => byte_level.encode(&self.inner, text, add_special),
            None => self.inner.encode_fast(text, add_special).map(|e| e.get_ids().to_vec()),
        });
        let ids = ids.map_err(|found| TextError::Encode { found })?;
        self.check(&ids)?;
        Ok(ids)
    }

    /// Text of token ids, special tokens left out.
    ///
    /// # Errors
    ///
    /// The tokenizer's own failure.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        let text = tried(|| self.inner.decode(ids, true));
        text.map_err(|found| TextError::Encode { found })
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

    /// The texts of the tokens that control a model and are no text of its own: special ones, and those
    /// that end texts.
    pub(super) fn controls(&self) -> Vec<String> {
        let added = self.inner.get_added_tokens_decoder().into_iter();
        let special = added.filter(|(id, token)| token.special || self.stop.contains(id));
        let ends = self.stop.iter().filter_map(|id| self.text_of(*id));
        special.map(|(_, token)| token.content).chain(ends).collect()
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

/// What the tokenizers library does with a file or a text; where one breaks it, that is an error
/// like any other.
fn tried<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match guarded(work) {
        Some(outcome) => outcome.map_err(|e| e.to_string()),
        None => Err("this breaks the tokenizers library".to_owned()),
    }
}

/// The longest piece of a Unigram vocabulary that is read. The library keeps pieces in a tree with a
/// node for each byte, and what is as deep as its stack is ends the process.
const LONGEST_PIECE: usize = 1000;

/// Bytes of the longest piece of a vocabulary that is a list of pieces with their scores; `None` where
/// it is none, or no text of the file is long enough to matter.
fn longest_piece(bytes: &[u8]) -> Option<usize> {
    let (mut longest, mut begun, mut escaped) = (0, None, false);
    for (at, byte) in bytes.iter().enumerate() {
        match (begun, byte) {
            (None, b'"') => begun = Some(at),
            (Some(start), b'"') if !escaped => {
                longest = longest.max(at - start);
                begun = None;
            }
            _ => {}
        }
        escaped = *byte == b'\\' && !escaped;
    }
    if longest <= LONGEST_PIECE {
        return None;
    }
    let document: Value = serde_json::from_slice(bytes).ok()?;
    let pieces = document.get("model")?.get("vocab")?.as_array()?.iter();
    pieces.filter_map(|piece| Some(piece.get(0)?.as_str()?.len())).max()
}

/// How many tokens `config.json` says that the model has rows for.
fn rows(files: &ModelFiles) -> Result<u32, TextError> {
    let size = files.config()?.get("vocab_size").and_then(Value::as_u64);
    Ok(size.and_then(|size| u32::try_from(size).ok()).unwrap_or(u32::MAX))
}

/// The ids that a tokenizer puts before and behind every text, where they are always the same.
pub(super) fn frame(tokenizer: &tokenizers::Tokenizer) -> Option<[Vec<u32>; 2]> {
    let around = |text: &str| {
        let ids =
            |special| Some(tried(|| tokenizer.encode_fast(text, special)).ok()?.get_ids().to_vec());
        let (bare, whole): (Vec<u32>, Vec<u32>) = (ids(false)?, ids(true)?);
        let starts = (0..=whole.len().checked_sub(bare.len())?)
            .filter(|&i| whole[i..i + bare.len()] == bare[..]);
        // A text that the frame holds as well would be found twice.
        let starts: Vec<usize> = starts.collect();
        let [start] = starts[..] else { return None };
        Some([whole[..start].to_vec(), whole[start + bare.len()..].to_vec()])
    };
    let found = around("two words")?;
    (around("other 7!")? == found).then_some(found)
}

/// A special token is a string or an object with `content`.
pub(super) fn token_text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        object => object.get("content")?.as_str().map(str::to_owned),
    }
}
