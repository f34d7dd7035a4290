//! The special tokens that a model's files name.

use serde_json::Value;

use crate::model::{ModelError, ModelFiles};

/// Names such as `eos_token`, with the texts of those tokens.
pub type Special = Vec<(String, String)>;

/// The names, as transformers has them.
const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Named special tokens of `tokenizer_config.json`; of `special_tokens_map.json` before it
/// where the former lists no `added_tokens_decoder`, as transformers reads old folders. A token
/// without a name is no variable of a template.
///
/// # Errors
///
/// A file is damaged.
pub fn special_tokens(files: &ModelFiles) -> Result<Special, ModelError> {
    let config = files.json("tokenizer_config.json")?.unwrap_or(Value::Null);
    let map = match config.get("added_tokens_decoder") {
        Some(_) => None,
        None => files.json("special_tokens_map.json")?,
    };
    let text = |name: &str| {
        let mapped = map.as_ref().and_then(|map| token_text(map.get(name)));
        mapped.or_else(|| token_text(config.get(name)))
    };
    Ok(NAMES.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect())
}

/// A special token is a string or an object with `content`.
pub(super) fn token_text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        object => object.get("content")?.as_str().map(str::to_owned),
    }
}
