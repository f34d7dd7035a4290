//! Writing decoders as Hugging Face folders.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::ModelFiles;
use super::checkpoint::Checkpoint;
use super::config::ModelError;
use super::families::Family;
use super::parameters::is_table;
use super::tensors::{Handle, Lazy, Storage, Which, visit_parameters, write_lazily};

/// Write a checkpoint as `config.json` and `model.safetensors` into a folder, adapters merged
/// into the weights.
///
/// A decoder with a scalar head is written as the family's sequence classifier with one
/// label; `pad` is what its readers skip when they look for the last token.
///
/// # Errors
///
/// A file cannot be written.
pub fn save(
    folder: &Path,
    checkpoint: &Checkpoint,
    pad: Option<u32>,
    storage: Storage,
) -> Result<(), ModelError> {
    let family = checkpoint.family;
    let scored = checkpoint.decoder.score.is_some();
    let prefix = if scored { family.score_prefixes[0] } else { family.prefixes[0] };
    let handles = merged(checkpoint);
    let mut tensors = BTreeMap::new();
    for (path, handle) in &handles {
        if let Some((name, lazy)) = to_stored(path, handle, family, prefix, scored, storage) {
            tensors.insert(name, lazy);
        }
    }
    write_lazily(&folder.join("model.safetensors"), &tensors, true)?;

    let mut json = checkpoint.json.clone();
    json["architectures"] = json!([family.architectures[usize::from(scored)]]);
    json["torch_dtype"] = json!(if storage == Storage::F32 { "float32" } else { "float16" });
    if let Some(object) = json.as_object_mut() {
        object.remove("dtype");
    }
    if scored {
        json["id2label"] = json!({"0": "LABEL_0"});
        json["label2id"] = json!({"LABEL_0": 0});
        json["pad_token_id"] = json!(pad);
    }
    write_json(&folder.join("config.json"), &json)
}

/// What generation reads first.
pub(crate) const GENERATION_FILE: &str = "generation_config.json";

/// `generation_config.json` of a model that was trained to end at these tokens, if its own files
/// do not name all of them already: other programs would never stop.
///
/// # Errors
///
/// A file is damaged.
pub(crate) fn generation_config(
    source: &ModelFiles,
    ends: &[u32],
) -> Result<Option<Vec<u8>>, ModelError> {
    let mut named = source.special_tokens()?.eos;
    let missing: Vec<u32> = ends.iter().copied().filter(|id| !named.contains(id)).collect();
    if missing.is_empty() {
        return Ok(None);
    }
    named.extend(missing);
    let own = source.json(GENERATION_FILE)?.filter(Value::is_object);
    let mut json = own.unwrap_or_else(|| json!({}));
    json["eos_token_id"] = match *named.as_slice() {
        [only] => json!(only),
        ref several => json!(several),
    };
    Ok(Some(serde_json::to_vec_pretty(&json).unwrap_or_default()))
}

pub(super) fn write_json(path: &Path, json: &Value) -> Result<(), ModelError> {
    let text = serde_json::to_vec_pretty(json).unwrap_or_default();
    crate::files::write(path, &text)
        .map_err(|source| ModelError::Io { path: path.to_owned(), source })
}

/// All parameters, what adapters add included; nothing is on the host yet.
fn merged(checkpoint: &Checkpoint) -> BTreeMap<String, Merged> {
    let mut handles = BTreeMap::new();
    visit_parameters(&checkpoint.decoder, Which::All, &mut |path, handle| {
        if !path.contains(".lora.") {
            handles.insert(path, Merged { base: handle, lora: None });
        }
    });
    for (path, linear) in checkpoint.decoder.linears() {
        if let (Some(lora), Some(merged)) =
            (&linear.lora, handles.get_mut(&format!("{path}.weight")))
        {
            merged.lora = Some(lora.clone());
        }
    }
    handles
}

struct Merged {
    base: Handle,
    lora: Option<super::Lora>,
}

impl Merged {
    fn read(&self) -> Vec<f32> {
        let mut values = self.base.read().values;
        if let Some(lora) = &self.lora {
            let delta = Handle::matrix(lora.delta()).read().values;
            values.iter_mut().zip(delta).for_each(|(value, delta)| *value += delta);
        }
        values
    }
}

/// The name, shape and values of a parameter in the family's layout.
fn to_stored<'a>(
    path: &str,
    merged: &'a Merged,
    family: &Family,
    prefix: &str,
    scored: bool,
    storage: Storage,
) -> Option<(String, Lazy<'a>)> {
    let name = match path {
        // A sequence classifier has no language-model head.
        "head.weight" if scored => return None,
        "head.weight" => "lm_head.weight".to_owned(),
        "score.weight" => path.to_owned(),
        _ => format!("{prefix}{}", family.stored(path)?),
    };
    let shape = merged.base.shape.clone();
    let as_is = is_table(path) || (family.stored_in_out && path != "score.weight");
    let lazy = match *shape.as_slice() {
        [rows, columns] if !as_is => Lazy::new(vec![columns, rows], storage, move || {
            transpose(&merged.read(), rows, columns)
        }),
        _ => Lazy::new(shape, storage, move || merged.read()),
    };
    Some((name, lazy))
}

/// `[rows, columns]` → `[columns, rows]`, in tiles that caches hold.
pub(super) fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    const TILE: usize = 64;
    let mut out = vec![0.0; values.len()];
    for first_row in (0..rows).step_by(TILE) {
        for first_column in (0..columns).step_by(TILE) {
            for r in first_row..rows.min(first_row + TILE) {
                for c in first_column..columns.min(first_column + TILE) {
                    out[c * rows + r] = values[r * columns + c];
                }
            }
        }
    }
    out
}
