//! A Hugging Face tokenizer in this process: its files, its ids.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::byte_level::ByteLevel;
use super::error::TextError;
use super::facts::TokenizerFacts;
use super::library::{frame, tried};
use super::special::token_text;
use super::vocabulary;
use crate::model::ModelFiles;

/// The file of a tokenizer; without one it comes in parts.
pub(super) const TOKENIZER_FILE: &str = "tokenizer.json";

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

/// The library's tokenizer with what is asked for at every text.
pub(super) struct Inner {
    pub(super) tokenizer: tokenizers::Tokenizer,
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
    /// Read it, with what is known of it.
    pub(super) fn load(files: &ModelFiles) -> Result<(Self, TokenizerFacts), TextError> {
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

    /// The ids of a text.
    pub(super) fn encode(&self, text: &str, around: Around) -> Result<Vec<u32>, TextError> {
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

    /// The text of ids.
    pub(super) fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
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
