//! The tensors of a checkpoint folder.
use super::tensors::floats_of;
use super::{ModelError, ModelFiles};
use std::collections::BTreeMap;
use std::path::PathBuf;
pub(crate) struct Weights {
    bytes: super::Bytes,
    path: PathBuf,
    names: BTreeMap<String, ()>,
}
pub(crate) struct TensorRef {
    pub(crate) shape: Vec<usize>,
    pub(crate) file: PathBuf,
    values: Vec<f32>,
}
impl TensorRef {
    pub(crate) fn to_f32(&self) -> Result<Vec<f32>, ModelError> {
        Ok(self.values.clone())
    }
    pub(crate) fn to_transposed_f32(&self) -> Result<Vec<f32>, ModelError> {
        Ok(super::save::transpose(&self.values, self.shape[0], self.shape[1]))
    }
}
impl Weights {
    pub(crate) fn open(files: &ModelFiles) -> Result<Self, ModelError> {
        let path = files.path("model.safetensors");
        let bytes = files.bytes("model.safetensors")?.ok_or_else(|| ModelError::NotAModel {
            folder: files.path(""),
            found: "there is no model.safetensors".to_owned(),
        })?;
        let t = safetensors::SafeTensors::deserialize(&bytes)
            .map_err(|e| ModelError::Weights { path: path.clone(), found: e.to_string() })?;
        let names = t.names().into_iter().map(|n| (n.to_owned(), ())).collect();
        Ok(Self { bytes, path, names })
    }
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }
    pub(crate) fn get(&self, name: &str) -> Result<TensorRef, ModelError> {
        let t = safetensors::SafeTensors::deserialize(&self.bytes)
            .map_err(|e| ModelError::Weights { path: self.path.clone(), found: e.to_string() })?;
        let view = t.tensor(name).map_err(|_| ModelError::MissingTensor {
            path: self.path.clone(),
            name: name.to_owned(),
            count: self.names.len(),
            example: self.names.keys().next().cloned().unwrap_or_default(),
        })?;
        let values = floats_of(&view).ok_or_else(|| ModelError::Weights {
            path: self.path.clone(),
            found: format!("tensor “{name}” is stored as {:?}", view.dtype()),
        })?;
        Ok(TensorRef { shape: view.shape().to_vec(), file: self.path.clone(), values })
    }
    pub(crate) fn release(&self, _name: &str) {}
}
