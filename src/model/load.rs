//! Reading decoders from Hugging Face folders.

use std::path::Path;

use burn::tensor::Device;
use serde_json::Value;

use super::build::build_as;
use super::config::{DecoderConfig, ModelError};
use super::families::{FAMILIES, Family, family_of};
use super::files::ModelFiles;
use super::survey::{HEAD, Survey};
use super::tensors::{SavedTensor, all_finite, to_tensor};
use super::weights::Weights;
use super::{Adapter, Decoder, Precision};
use crate::legible::quoted;

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

/// Read a decoder (and its scalar head, if the file holds one) onto a device, in f32.
///
/// # Errors
///
/// See [`ModelError`]: each names the file and the tensor or field.
pub fn load(files: &ModelFiles, device: &Device) -> Result<Checkpoint, ModelError> {
    load_as(files, device, Precision::F32)
}

/// As [`load`], the matrices stored as `precision` says; tensors are read one by one, so that
/// the host holds little more than the largest. An adapter in the folder is read too.
///
/// # Errors
///
/// As [`load`]; a type that the device lacks.
pub fn load_as(
    files: &ModelFiles,
    device: &Device,
    precision: Precision,
) -> Result<Checkpoint, ModelError> {
    // What the model is comes before what of it is missing.
    read_config(files)?;
    let weights = Weights::open(files.base())?;
    let Survey { family, config, json, warnings, prefix, scored } = Survey::of(&weights, files)?;
    let stored = Stored { weights: &weights, family, prefix };
    let width = config.embedding;
    let mut decoder = build_as(config, device, precision, &|name, shape| stored.get(name, shape))?;
    if scored {
        let values = stored.read("score.weight", &[1, width], false)?;
        decoder =
            decoder.with_score(to_tensor(SavedTensor { shape: vec![width, 1], values }, device));
    }
    let checkpoint = Checkpoint { decoder, family, json, adapter: None, warnings };
    match files.adapter() {
        Some(folder) => super::peft::attach(checkpoint, folder),
        None => Ok(checkpoint),
    }
}

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

/// Weights seen through their family's names.
struct Stored<'a> {
    weights: &'a Weights,
    family: &'static Family,
    prefix: &'static str,
}

impl Stored<'_> {
    fn get(&self, path: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        if path == "head.weight" {
            return self.read(HEAD, shape, false);
        }
        let name = self.family.stored(path).unwrap_or_else(|| path.to_owned());
        let table = is_table(path);
        let transposed = shape.len() == 2 && !table && !self.family.stored_in_out;
        self.read(&format!("{}{name}", self.prefix), shape, transposed)
    }

    /// A tensor of this shape, or the transpose of one of the reversed shape.
    fn read(&self, name: &str, shape: &[usize], transposed: bool) -> Result<Vec<f32>, ModelError> {
        let tensor = self.weights.get(name)?;
        let mut expected = shape.to_vec();
        if transposed {
            expected.reverse();
        }
        if tensor.shape != expected {
            return Err(ModelError::Shape {
                path: tensor.file.to_owned(),
                name: name.to_owned(),
                found: tensor.shape.to_vec(),
                expected,
            });
        }
        let values = if transposed { tensor.to_transposed_f32() } else { tensor.to_f32() }?;
        self.weights.release(name);
        finite(tensor.file, name, values)
    }
}

/// Values as they are, unless one of them is no finite number.
pub(super) fn finite(path: &Path, name: &str, values: Vec<f32>) -> Result<Vec<f32>, ModelError> {
    if all_finite(&values) {
        return Ok(values);
    }
    let count = values.iter().filter(|value| !value.is_finite()).count();
    Err(ModelError::NotFinite { path: path.to_owned(), name: name.to_owned(), count })
}

/// Whether a matrix is read row by row, and so stored here as it is in files.
pub(super) fn is_table(path: &str) -> bool {
    matches!(path, "embedding.weight" | "positions.weight" | "head.weight")
}
