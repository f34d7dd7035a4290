//! Reading decoders from Hugging Face folders.

use burn::tensor::Device;
use serde_json::Value;

use super::build::build_as;
use super::config::{DecoderConfig, ModelError};
use super::families::{FAMILIES, Family, family_of};
use super::files::ModelFiles;
use super::tensors::{SavedTensor, to_tensor};
use super::weights::Weights;
use super::{Adapter, Decoder, Precision};

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
    let (family, config, json) = read_config(files)?;
    let weights = Weights::open(files.base())?;
    super::reward::check_labels(&weights, files)?;
    let stored = Stored::new(&weights, family);
    // A sequence classifier's file has no language-model head.
    let headless = !weights.contains("lm_head.weight") && weights.contains("score.weight");
    let config = DecoderConfig { tied: config.tied || headless, ..config };
    if !config.tied && !weights.contains("lm_head.weight") {
        return Err(ModelError::Config {
            path: files.base().path("config.json"),
            found: "the head is not tied to the embedding, and the weights lack “lm_head.weight”"
                .to_owned(),
            expected: "that tensor, or \"tie_word_embeddings\": true".to_owned(),
        });
    }
    let width = config.embedding;
    let mut decoder = build_as(config, device, precision, &|name, shape| stored.get(name, shape))?;
    if weights.contains("score.weight") {
        let values = stored.read("score.weight", &[1, width], false)?;
        decoder =
            decoder.with_score(to_tensor(SavedTensor { shape: vec![width, 1], values }, device));
    }
    let checkpoint = Checkpoint { decoder, family, json, adapter: None };
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
        found: model_type.to_owned(),
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

/// Weights seen through their family's names.
struct Stored<'a> {
    weights: &'a Weights,
    family: &'static Family,
    prefix: &'static str,
}

impl<'a> Stored<'a> {
    fn new(weights: &'a Weights, family: &'static Family) -> Self {
        let embedding = family.stored("embedding.weight").unwrap_or_default();
        let prefix = family
            .prefixes
            .iter()
            .find(|prefix| weights.contains(&format!("{prefix}{embedding}")))
            .unwrap_or(&family.prefixes[0]);
        Self { weights, family, prefix }
    }

    fn get(&self, path: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        if path == "head.weight" {
            return self.read("lm_head.weight", shape, false);
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
        let values = if transposed { tensor.to_transposed_f32() } else { tensor.to_f32() };
        self.weights.release(name);
        values
    }
}

/// Whether a matrix is read row by row, and so stored here as it is in files.
pub(super) fn is_table(path: &str) -> bool {
    matches!(path, "embedding.weight" | "positions.weight" | "head.weight")
}
