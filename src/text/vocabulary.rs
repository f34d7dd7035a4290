//! Byte-level BPE from `vocab.json` and `merges.txt`, as transformers makes it of a folder
//! without `tokenizer.json`.

use std::collections::BTreeMap;

use serde_json::Value;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::error::TextError;
use super::special::token_text;
use crate::model::ModelFiles;

const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const ADDED: &str = "added_tokens.json";

/// The keys of special tokens, in the order in which transformers adds them.
const SPECIAL: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// How Qwen2 cuts text before merging (transformers, `tokenization_qwen2.py`).
const QWEN2_PIECES: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How text is cut into the pieces that are merged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pieces {
    Gpt2,
    Qwen2,
}

/// The tokenizer of these files, or `None` where there is no `vocab.json`.
///
/// # Errors
///
/// A damaged or missing file, with its line; a family whose way to cut text is not known here.
pub(super) fn read(files: &ModelFiles) -> Result<Option<Tokenizer>, TextError> {
    let Some(bytes) = files.bytes(VOCABULARY)? else { return Ok(None) };
    let reader = Reader::new(files)?;
    let pieces = reader.pieces()?;
    let mut vocabulary: BTreeMap<String, u32> = serde_json::from_slice(&bytes)
        .map_err(|e| reader.error(VOCABULARY, e.to_string(), "an object of tokens and ids"))?;
    let merges = reader.merges(&vocabulary)?;
    let added = reader.added(&mut vocabulary)?;
    reader.distinct(&vocabulary)?;

    let failed = |e: tokenizers::Error| {
        reader.error(VOCABULARY, e.to_string(), "a byte-level BPE vocabulary")
    };
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.into_iter().collect::<Vocab>(), merges)
        .build()
        .map_err(failed)?;
    let mut tokenizer = Tokenizer::new(model);
    let spaced = reader.flag("add_prefix_space", false);
    if pieces == Pieces::Qwen2 {
        tokenizer.with_normalizer(Some(NFC)).map_err(failed)?;
        let pattern = SplitPattern::Regex(QWEN2_PIECES.to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(failed)?;
        let parts: Vec<PreTokenizerWrapper> =
            vec![split.into(), ByteLevel::new(spaced, true, false).into()];
        tokenizer.with_pre_tokenizer(Some(Sequence::new(parts)));
    } else {
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(spaced, true, true)));
    }
    tokenizer.with_decoder(Some(ByteLevel::default()));
    tokenizer.add_tokens(added).map_err(failed)?;
    let special = reader.special(&tokenizer)?;
    tokenizer.add_special_tokens(special).map_err(failed)?;
    if reader.flag("add_bos_token", reader.model_type() == "opt") {
        let template = reader.template(&tokenizer)?;
        tokenizer.with_post_processor(Some(template));
    }
    Ok(Some(tokenizer))
}

/// The small files beside the vocabulary.
struct Reader<'a> {
    files: &'a ModelFiles,
    model: Value,
    config: Value,
    special: Value,
}

impl<'a> Reader<'a> {
    fn new(files: &'a ModelFiles) -> Result<Self, TextError> {
        let json = |file| files.json(file).map(Option::unwrap_or_default);
        Ok(Self {
            files,
            model: files.config()?,
            config: json("tokenizer_config.json")?,
            special: json("special_tokens_map.json")?,
        })
    }

    fn error(&self, file: &str, found: String, expected: &str) -> TextError {
        TextError::Vocabulary { path: self.files.path(file), found, expected: expected.to_owned() }
    }

    fn flag(&self, key: &str, default: bool) -> bool {
        self.config.get(key).and_then(Value::as_bool).unwrap_or(default)
    }

    fn model_type(&self) -> &str {
        self.model.get("model_type").and_then(Value::as_str).unwrap_or("none given")
    }

    fn pieces(&self) -> Result<Pieces, TextError> {
        let class = self.config.get("tokenizer_class").and_then(Value::as_str).unwrap_or("");
        match (class.trim_end_matches("Fast"), self.model_type()) {
            ("GPT2Tokenizer", _) => Ok(Pieces::Gpt2),
            ("Qwen2Tokenizer", _) => Ok(Pieces::Qwen2),
            (_, "gpt2" | "opt") => Ok(Pieces::Gpt2),
            (_, "qwen2" | "qwen3") => Ok(Pieces::Qwen2),
            (_, other) => Err(self.error(
                "tokenizer.json",
                format!("there is no such file, and {VOCABULARY} alone does not say how text of model_type “{other}” is cut"),
                "tokenizer.json (transformers writes it: AutoTokenizer.from_pretrained(…).save_pretrained(…)), or a model of type gpt2, opt, qwen2 or qwen3",
            )),
        }
    }

    /// The merges, first come first merged.
    fn merges(&self, vocabulary: &BTreeMap<String, u32>) -> Result<Merges, TextError> {
        let bytes = self.files.bytes(MERGES)?.ok_or_else(|| {
            let found = format!("there is no such file beside {VOCABULARY}");
            self.error(MERGES, found, "tokenizer.json, or the merges of this vocabulary")
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|e| {
            let line = 1 + bytes[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count();
            self.error(MERGES, format!("line {line} is not UTF-8"), "text in UTF-8")
        })?;
        let mut merges = Merges::new();
        for (i, line) in text.lines().enumerate() {
            if line.is_empty() || (i == 0 && line.starts_with("#version")) {
                continue;
            }
            let parts = line.split_once(' ');
            let parts = parts.filter(|(a, b)| !a.is_empty() && !b.is_empty() && !b.contains(' '));
            let Some((left, right)) = parts else {
                let found = format!("line {} is “{line}”", i + 1);
                return Err(self.error(MERGES, found, "two tokens with a space between them"));
            };
            for token in [left, right, &format!("{left}{right}")] {
                if !vocabulary.contains_key(token) {
                    let found = format!(
                        "line {} merges “{line}”, and “{token}” is not in {VOCABULARY}",
                        i + 1
                    );
                    return Err(self.error(MERGES, found, "the merges of this vocabulary"));
                }
            }
            merges.push((left.to_owned(), right.to_owned()));
        }
        Ok(merges)
    }

    /// Tokens that never come out of merges, by id; the vocabulary gets those that it lacks.
    fn added(&self, vocabulary: &mut BTreeMap<String, u32>) -> Result<Vec<AddedToken>, TextError> {
        let mut found: BTreeMap<u32, (&str, AddedToken)> = BTreeMap::new();
        if let Some(bytes) = self.files.bytes(ADDED)? {
            let tokens: BTreeMap<String, u32> = serde_json::from_slice(&bytes)
                .map_err(|e| self.error(ADDED, e.to_string(), "an object of tokens and ids"))?;
            for (text, id) in tokens {
                found.insert(id, (ADDED, AddedToken::from(text, false)));
            }
        }
        let listed = self.config.get("added_tokens_decoder").and_then(Value::as_object);
        for (id, value) in listed.into_iter().flatten() {
            let token = id.parse().ok().zip(added_token(value, false));
            let (id, token) = token.ok_or_else(|| {
                let found = format!("added_tokens_decoder has “{id}”: {value}");
                self.error("tokenizer_config.json", found, "an id and a token with its content")
            })?;
            found.insert(id, ("tokenizer_config.json", token));
        }
        for (&id, (file, token)) in &found {
            let known = *vocabulary.entry(token.content.clone()).or_insert(id);
            if known != id {
                let found = format!("“{}” has id {id} here and {known} elsewhere", token.content);
                return Err(self.error(file, found, "one id for each token"));
            }
        }
        Ok(found.into_values().map(|(_, token)| token).collect())
    }

    fn distinct(&self, vocabulary: &BTreeMap<String, u32>) -> Result<(), TextError> {
        let mut owners: BTreeMap<u32, &str> = BTreeMap::new();
        for (token, &id) in vocabulary {
            if let Some(other) = owners.insert(id, token) {
                let found = format!("“{other}” and “{token}” both have id {id}");
                return Err(self.error(VOCABULARY, found, "one token for each id"));
            }
        }
        Ok(())
    }

    /// A special token by its key, `eos_token` say: as the tokenizer's files name it, else as
    /// the model's files give its id.
    fn named(&self, key: &str, tokenizer: &Tokenizer) -> Result<Option<AddedToken>, TextError> {
        let named = |json: &Value| json.get(key).and_then(|value| added_token(value, true));
        if let Some(token) = named(&self.config).or_else(|| named(&self.special)) {
            return Ok(Some(token));
        }
        let ids = self.files.special_tokens()?;
        let id = match key {
            "bos_token" => ids.bos,
            "eos_token" => ids.eos.first().copied(),
            "pad_token" => ids.pad,
            _ => None,
        };
        let text = id.and_then(|id| tokenizer.id_to_token(id));
        Ok(text.map(|text| AddedToken::from(text, true)))
    }

    /// Special tokens; those that stand among the added ones keep how they match there, and
    /// those that no file gives an id, and so no model a row, are left out.
    fn special(&self, tokenizer: &Tokenizer) -> Result<Vec<AddedToken>, TextError> {
        let mut found = Vec::new();
        for key in SPECIAL {
            found.extend(self.named(key, tokenizer)?);
        }
        for json in [&self.config, &self.special] {
            let more = json.get("additional_special_tokens").and_then(Value::as_array);
            found.extend(more.into_iter().flatten().filter_map(|value| added_token(value, true)));
        }
        found.retain(|token| tokenizer.token_to_id(&token.content).is_some());
        let added = tokenizer.get_added_tokens_decoder();
        for token in &mut found {
            let listed = added.values().find(|a| a.special && a.content == token.content);
            if let Some(listed) = listed {
                *token = listed.clone();
            }
        }
        Ok(found)
    }

    /// Puts the first token before every text.
    fn template(&self, tokenizer: &Tokenizer) -> Result<TemplateProcessing, TextError> {
        let text = self.named("bos_token", tokenizer)?.map(|token| token.content);
        let bos = text.and_then(|text| tokenizer.token_to_id(&text).map(|id| (text, id)));
        let expected = "a beginning-of-text token of the vocabulary";
        let (text, id) = bos.ok_or_else(|| {
            let found = "texts begin with a token, and bos_token names none".to_owned();
            self.error("tokenizer_config.json", found, expected)
        })?;
        let failed = |found: String| self.error("tokenizer_config.json", found, expected);
        TemplateProcessing::builder()
            .try_single(vec![text.as_str(), "$A"])
            .map_err(failed)?
            .special_tokens(vec![(text, id)])
            .build()
            .map_err(|e| failed(e.to_string()))
    }
}

/// A token written as a string, or as an object with `content` and how it matches.
fn added_token(value: &Value, special: bool) -> Option<AddedToken> {
    let flag = |key: &str, default| value.get(key).and_then(Value::as_bool).unwrap_or(default);
    let special = flag("special", special);
    let token = AddedToken::from(token_text(Some(value))?, special);
    let normalized = flag("normalized", token.normalized);
    Some(
        token
            .single_word(flag("single_word", false))
            .lstrip(flag("lstrip", false))
            .rstrip(flag("rstrip", false))
            .normalized(normalized),
    )
}
