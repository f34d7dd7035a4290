//! The settings of a model folder, `config.json`, as its family reads them.

use serde_json::Value;

use super::config::{DecoderConfig, ModelError};
use super::families::{FAMILIES, Family, family_of};
use super::files::ModelFiles;
use crate::legible::quoted;

/// The settings of a model folder.
///
/// # Errors
///
/// An unknown `model_type`, a missing or impossible field.
pub fn read_config(
    files: &ModelFiles,
) -> Result<(&'static Family, DecoderConfig, Value), ModelError> {
    let json = files.config()?;
    let path = files.path("config.json");
    let model_type = json.get("model_type").and_then(Value::as_str).unwrap_or("none given");
    let family = family_of(model_type).ok_or_else(|| ModelError::Unsupported {
        path: path.clone(),
        found: describe(model_type, &json),
        supported: FAMILIES
            .iter()
            .flat_map(|f| f.model_types)
            .copied()
            .collect::<Vec<_>>()
            .join(", "),
    })?;
    let config = (family.config)(&files.fields(&path, &json))?;
    Ok((family, config, json))
}

/// A `model_type` that is not supported, with what its settings show of it.
fn describe(model_type: &str, json: &Value) -> String {
    let has = |key: &str| json.get(key).is_some_and(|value| !value.is_null());
    let kind = if has("vision_config") || has("vision_tower") || has("image_token_index") {
        "a model of text and images, whose text part alone is not read"
    } else if has("audio_config") {
        "a model of text and sound, whose text part alone is not read"
    } else if has("text_config") {
        "a model of several parts, of which the text part alone is not read"
    } else if json.get("is_encoder_decoder").and_then(Value::as_bool) == Some(true) {
        "an encoder with a decoder"
    } else if has("num_experts") || has("num_local_experts") || has("n_routed_experts") {
        "a mixture of experts"
    } else {
        return format!("model_type “{}”", quoted(model_type));
    };
    format!("model_type “{}” ({kind})", quoted(model_type))
}
