//! Hugging Face tokenizers with the special tokens that training needs.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::byte_level::ByteLevel;
use super::guard::guarded;
use super::isolate::Apart;
use super::{TextError, vocabulary};
use crate::model::ModelFiles;

/// The file of a tokenizer; without one it comes in parts.
pub(super) const TOKENIZER_FILE: &str = "tokenizer.json";

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

/// What is known of a tokenizer, wherever it works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TokenizerFacts {
    eos_text: String,
    eos: u32,
    pad: u32,
    stop: Vec<u32>,
    beyond: Vec<(u32, String)>,
    vocabulary: usize,
    is_byte_level: bool,
}

/// What is put around the ids of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Around {
    /// What the tokenizer puts there.
    Special,
    /// Nothing.
    Nothing,
    /// What the tokenizer puts before a text, unless it is there already.
    Beginning,
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

/// The library's tokenizer with what is asked for at every text.
pub(super) struct Inner {
    tokenizer: tokenizers::Tokenizer,
    /// The same way to ids, where its every step is known.
    byte_level: Option<ByteLevel>,
    eos_text: String,
    eos: u32,
    /// Tokens that the model has rows for: ids from here on mean nothing to it.
    rows: u32,
    /// What the tokenizer puts before and behind a text, where it is the same for every one.
    frame: Option<[Vec<u32>; 2]>,
    /// For messages.
    path: PathBuf,
}

impl Inner {
    fn load(files: &ModelFiles) -> Result<(Self, TokenizerFacts), TextError> {
        let path = files.path(TOKENIZER_FILE);
        let failed = |found: String| TextError::Tokenizer { path: path.clone(), found };
        let tokenizer = read(files, &failed)?;
        let config = files.json("tokenizer_config.json")?.unwrap_or(Value::Null);
        let special = files.special_tokens()?;
        let map = files.json("special_tokens_map.json")?.unwrap_or(Value::Null);
        let named = |key: &str| {
            let text = token_text(config.get(key)).or_else(|| token_text(map.get(key)));
            text.and_then(|text| tokenizer.token_to_id(&text))
        };
        let eos = named("eos_token")
            .or_else(|| special.eos.first().copied())
            .ok_or_else(|| failed("no end-of-text token is named in tokenizer_config.json, special_tokens_map.json, generation_config.json or config.json".to_owned()))?;
        let eos_text = tokenizer.id_to_token(eos).ok_or_else(|| {
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
        let byte_level = ByteLevel::of(&tokenizer);
        let frame = frame(&tokenizer);
        let facts = TokenizerFacts {
            eos_text: eos_text.clone(),
            eos,
            pad,
            stop,
            beyond: beyond(&tokenizer, rows),
            vocabulary: tokenizer.get_vocab_size(true),
            is_byte_level: byte_level.is_some(),
        };
        let found = Self { tokenizer, byte_level, eos_text, eos, rows, frame, path };
        found.check(&[eos])?;
        Ok((found, facts))
    }

    /// Whether the model has a row for every one of these ids.
    fn check(&self, ids: &[u32]) -> Result<(), TextError> {
        match ids.iter().find(|id| **id >= self.rows) {
            None => Ok(()),
            Some(&id) => Err(TextError::Beyond {
                path: self.path.clone(),
                token: self.text_of(id).unwrap_or_default(),
                id,
                rows: self.rows,
                line: 0,
            }),
        }
    }

    /// Text of one token.
    pub(super) fn text_of(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// Whether a token is an added one, none that text of its own is cut into.
    pub(super) fn is_added(&self, id: u32) -> bool {
        self.tokenizer.get_added_tokens_decoder().contains_key(&id)
    }

    fn encode(&self, text: &str, around: Around) -> Result<Vec<u32>, TextError> {
        let (before, behind) = match (around, &self.frame) {
            (Around::Beginning, Some([before, behind])) => (before, behind),
            (Around::Nothing, _) => return self.ids(text, false),
            (Around::Special | Around::Beginning, _) => return self.ids(text, true),
        };
        let mut ids = self.ids(text, false)?;
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

    fn ids(&self, text: &str, add_special: bool) -> Result<Vec<u32>, TextError> {
        let ids = tried(|| match &self.byte_level {
            Some(byte_level) => byte_level.encode(&self.tokenizer, text, add_special),
            None => self.tokenizer.encode_fast(text, add_special).map(|e| e.get_ids().to_vec()),
        });
        let ids = ids.map_err(|found| self.failed(found))?;
        self.check(&ids)?;
        Ok(ids)
    }

    fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        tried(|| self.tokenizer.decode(ids, true)).map_err(|found| self.failed(found))
    }

    fn failed(&self, found: String) -> TextError {
        TextError::Encode { path: self.path.clone(), found }
    }
}

/// The tokenizer of a model's files.
fn read(
    files: &ModelFiles,
    failed: &dyn Fn(String) -> TextError,
) -> Result<tokenizers::Tokenizer, TextError> {
    let mut tokenizer = match files.bytes(TOKENIZER_FILE)? {
        Some(bytes) => {
            if let Some(length) = longest_piece(&bytes).filter(|length| *length > LONGEST_PIECE) {
                return Err(failed(format!(
                    "a piece of its Unigram vocabulary has {length} bytes, more than the {LONGEST_PIECE} that are read"
                )));
            }
            tried(|| tokenizers::Tokenizer::from_bytes(&*bytes)).map_err(failed)?
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
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|e| failed(e.to_string()))?;
    Ok(tokenizer)
}

/// Tokens from an id on, the lowest first.
fn beyond(tokenizer: &tokenizers::Tokenizer, rows: u32) -> Vec<(u32, String)> {
    let vocabulary = tokenizer.get_vocab(true).into_iter();
    let mut found: Vec<(u32, String)> =
        vocabulary.filter(|(_, id)| *id >= rows).map(|(text, id)| (id, text)).collect();
    found.sort_unstable();
    found
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
