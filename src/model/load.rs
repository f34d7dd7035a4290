//! Reading decoders from Hugging Face folders.

use burn::tensor::Device;

use super::build::build_as;
use super::checkpoint::Checkpoint;
use super::config::ModelError;
use super::families::Family;
use super::files::ModelFiles;
use super::parameters::is_table;
use super::settings::read_config;
use super::survey::{HEAD, Survey};
use super::tensors::{SavedTensor, finite, to_tensor};
use super::weights::Weights;
use super::{Precision, peft};

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
        Some(folder) => peft::attach(checkpoint, folder),
        None => Ok(checkpoint),
    }
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
