//! Reading and writing decoders as `config.json` + `model.safetensors`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};

use super::config::{DecoderConfig, ModelError, NormKind, Position};
use super::decoder::{FeedForward, Layer};
use super::families::{FAMILIES, Family, Part, family_of};
use super::files::ModelFiles;
use super::{Attention, Decoder, Embedding, Linear, Norm};

/// A decoder with what is needed to write it again.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The weights.
    pub decoder: Decoder,
    /// Names and layout of its files.
    pub family: &'static Family,
    /// `config.json` as read.
    pub json: Value,
}

/// One tensor on the host, in f32.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedTensor {
    /// Sizes.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// Storage type of written weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// 32-bit floats.
    F32,
    /// 16-bit IEEE floats.
    F16,
}

/// Read a decoder (and its scalar head, if the file holds one) onto a device.
///
/// # Errors
///
/// See [`ModelError`]: each names the file and the tensor or field.
pub fn load(files: &ModelFiles, device: &Device) -> Result<Checkpoint, ModelError> {
    let (family, config, json) = read_config(files)?;
    let path = files.path("model.safetensors");
    let bytes = files.bytes("model.safetensors")?.ok_or_else(|| ModelError::NotAModel {
        folder: files.path(""),
        found: "there is no model.safetensors".to_owned(),
    })?;
    let tensors = parse(&bytes, &path)?;
    let stored = Stored::new(&tensors, family, path);
    // A sequence classifier's file has no language-model head.
    let headless = !stored.has("lm_head.weight") && stored.has("score.weight");
    let config = DecoderConfig { tied: config.tied || headless, ..config };
    let decoder =
        Builder { get: &|name, shape| stored.get(name, shape), device }.decoder(config)?;
    let decoder = match stored.score(decoder.config.embedding)? {
        Some(weight) => decoder.with_score(to_tensor(weight, device)),
        None => decoder,
    };
    Ok(Checkpoint { decoder, family, json })
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

/// Where parameters come from: (path, shape) → row-major values.
pub type Get<'a> = dyn Fn(&str, &[usize]) -> Result<Vec<f32>, ModelError> + 'a;

/// A decoder whose parameters come from `get(path, shape)`: random ones, say.
///
/// # Errors
///
/// Whatever `get` returns.
pub fn build(config: DecoderConfig, device: &Device, get: &Get<'_>) -> Result<Decoder, ModelError> {
    Builder { get, device }.decoder(config)
}

struct Builder<'a> {
    get: &'a Get<'a>,
    device: &'a Device,
}

impl Builder<'_> {
    fn param<const D: usize>(
        &self,
        path: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, ModelError> {
        let values = (self.get)(path, &shape)?;
        Ok(Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), self.device)))
    }

    fn linear(
        &self,
        path: &str,
        input: usize,
        output: usize,
        bias: bool,
    ) -> Result<Linear, ModelError> {
        let bias = bias.then(|| self.param(&format!("{path}.bias"), [output])).transpose()?;
        Ok(Linear { weight: self.param(&format!("{path}.weight"), [input, output])?, bias })
    }

    fn embedding(&self, path: &str, rows: usize, width: usize) -> Result<Embedding, ModelError> {
        Ok(Embedding { weight: self.param(&format!("{path}.weight"), [rows, width])? })
    }

    fn norm(&self, path: &str, c: &DecoderConfig) -> Result<Norm, ModelError> {
        let bias =
            (c.norm == NormKind::Layer).then(|| self.param(&format!("{path}.bias"), [c.hidden]));
        Ok(Norm {
            weight: self.param(&format!("{path}.weight"), [c.hidden])?,
            bias: bias.transpose()?,
            kind: c.norm,
            eps: c.norm_eps,
        })
    }

    fn layer(&self, i: usize, c: &DecoderConfig) -> Result<Layer, ModelError> {
        let at = |part: &str| format!("layers.{i}.{part}");
        let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        Ok(Layer {
            attention_norm: self.norm(&at("attention_norm"), c)?,
            attention: Attention {
                query: self.linear(&at("attention.query"), c.hidden, q, c.qkv_bias)?,
                key: self.linear(&at("attention.key"), c.hidden, kv, c.qkv_bias)?,
                value: self.linear(&at("attention.value"), c.hidden, kv, c.qkv_bias)?,
                output: self.linear(&at("attention.output"), q, c.hidden, c.output_bias)?,
                heads: c.heads,
                kv_heads: c.kv_heads,
                head_dim: c.head_dim,
            },
            ffn_norm: self.norm(&at("ffn_norm"), c)?,
            ffn: FeedForward {
                gate: c
                    .gated
                    .then(|| self.linear(&at("ffn.gate"), c.hidden, c.ffn, c.ffn_bias))
                    .transpose()?,
                up: self.linear(&at("ffn.up"), c.hidden, c.ffn, c.ffn_bias)?,
                down: self.linear(&at("ffn.down"), c.ffn, c.hidden, c.ffn_bias)?,
                activation: c.activation,
            },
            norm_first: c.norm_first,
        })
    }

    fn decoder(&self, c: DecoderConfig) -> Result<Decoder, ModelError> {
        let projected = c.embedding != c.hidden;
        let positions = match c.position {
            Position::Learned { offset } => {
                Some(self.embedding("positions", c.positions + offset, c.hidden)?)
            }
            Position::Rotary { .. } => None,
        };
        let layers = (0..c.layers).map(|i| self.layer(i, &c)).collect::<Result<_, _>>()?;
        Ok(Decoder {
            embedding: self.embedding("embedding", c.vocabulary, c.embedding)?,
            positions,
            project_in: projected
                .then(|| self.linear("project_in", c.embedding, c.hidden, false))
                .transpose()?,
            layers,
            norm: c.norm_first.then(|| self.norm("norm", &c)).transpose()?,
            project_out: projected
                .then(|| self.linear("project_out", c.hidden, c.embedding, false))
                .transpose()?,
            head: (!c.tied)
                .then(|| self.linear("head", c.embedding, c.vocabulary, false))
                .transpose()?,
            score: None,
            config: c,
        })
    }
}

fn to_tensor<const D: usize>(saved: SavedTensor, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(saved.values, saved.shape), device)
}

fn parse<'a>(bytes: &'a [u8], path: &Path) -> Result<SafeTensors<'a>, ModelError> {
    SafeTensors::deserialize(bytes)
        .map_err(|e| ModelError::Weights { path: path.to_owned(), found: e.to_string() })
}

/// A weights file seen through its family's names.
struct Stored<'a> {
    tensors: &'a SafeTensors<'a>,
    family: &'static Family,
    prefix: &'static str,
    path: PathBuf,
}

impl<'a> Stored<'a> {
    fn new(tensors: &'a SafeTensors<'a>, family: &'static Family, path: PathBuf) -> Self {
        let embedding = family.stored("embedding.weight").map(|(name, _)| name).unwrap_or_default();
        let prefix = family
            .prefixes
            .iter()
            .find(|prefix| tensors.tensor(&format!("{prefix}{embedding}")).is_ok())
            .unwrap_or(&family.prefixes[0]);
        Self { tensors, family, prefix, path }
    }

    fn get(&self, path: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        if path == "head.weight" {
            let stored = self.read("lm_head.weight", &[shape[1], shape[0]])?;
            return Ok(transpose(&stored, shape[1], shape[0]));
        }
        let (name, part) =
            self.family.stored(path).unwrap_or_else(|| (path.to_owned(), Part::Whole));
        let name = format!("{}{name}", self.prefix);
        let table = path == "embedding.weight" || path == "positions.weight";
        let linear = shape.len() == 2 && !table;
        let thirds = if part == Part::Whole { 1 } else { 3 };
        let mut stored_shape = shape.to_vec();
        if let Some(last) = stored_shape.last_mut() {
            *last *= thirds;
        }
        let transposed = linear && !self.family.stored_in_out;
        if transposed {
            stored_shape.reverse();
        }
        let values = self.read(&name, &stored_shape)?;
        Ok(match part {
            Part::Third(i) => third(&values, shape[shape.len() - 1], i),
            Part::Whole if transposed => transpose(&values, stored_shape[0], stored_shape[1]),
            Part::Whole => values,
        })
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }

    fn score(&self, width: usize) -> Result<Option<SavedTensor>, ModelError> {
        if !self.has("score.weight") {
            return Ok(None);
        }
        let values = self.read("score.weight", &[1, width])?;
        Ok(Some(SavedTensor { shape: vec![width, 1], values }))
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let view = self.tensors.tensor(name).map_err(|_| ModelError::MissingTensor {
            path: self.path.clone(),
            name: name.to_owned(),
            count: self.tensors.len(),
            example: self.tensors.names().first().map_or_else(String::new, |n| (*n).to_owned()),
        })?;
        if view.shape() != shape {
            return Err(ModelError::Shape {
                path: self.path.clone(),
                name: name.to_owned(),
                found: view.shape().to_vec(),
                expected: shape.to_vec(),
            });
        }
        floats(&view).ok_or_else(|| ModelError::Weights {
            path: self.path.clone(),
            found: format!("tensor “{name}” is stored as {:?}", view.dtype()),
        })
    }
}

/// The values of a tensor as f32; `None` for types that are no floats.
fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = view.data();
    match view.dtype() {
        Dtype::F32 => {
            Some(data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
        }
        Dtype::F16 => Some(
            data.as_chunks::<2>().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect(),
        ),
        Dtype::BF16 => Some(
            data.as_chunks::<2>()
                .0
                .iter()
                .map(|b| half::bf16::from_le_bytes(*b).to_f32())
                .collect(),
        ),
        _ => None,
    }
}

/// `[rows, columns]` → `[columns, rows]`.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for r in 0..rows {
        for c in 0..columns {
            out[c * rows + r] = values[r * columns + c];
        }
    }
    out
}

/// One of three slices of the last dimension, `width` wide.
fn third(values: &[f32], width: usize, i: usize) -> Vec<f32> {
    values
        .chunks_exact(3 * width)
        .flat_map(|row| row[i * width..(i + 1) * width].iter().copied())
        .collect()
}

/// All parameters of a module by path.
pub fn collect_tensors<M: Module>(module: &M) -> BTreeMap<String, SavedTensor> {
    let mut visitor = Collect::default();
    module.visit(&mut visitor);
    visitor.found
}

#[derive(Default)]
struct Collect {
    path: Vec<String>,
    found: BTreeMap<String, SavedTensor>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let shape = value.dims().to_vec();
        let values = value.into_data_as::<f32>().try_into_vec::<f32>().unwrap_or_default();
        self.found.insert(self.path.join("."), SavedTensor { shape, values });
    }
}

/// Put tensors into a module by path; those that `tensors` lacks stay.
pub fn take_tensors<M: Module>(module: M, tensors: BTreeMap<String, SavedTensor>) -> M {
    module.map(&mut Take { path: Vec::new(), tensors })
}

struct Take {
    path: Vec<String>,
    tensors: BTreeMap<String, SavedTensor>,
}

impl ModuleMapper for Take {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.tensors.remove(&self.path.join(".")) {
            Some(saved) => param.map(|old| {
                let fresh = to_tensor::<D>(saved, &old.device());
                fresh.set_require_grad(old.is_require_grad())
            }),
            None => param,
        }
    }
}

/// Write named tensors as safetensors: first to a temporary name, then renamed.
///
/// # Errors
///
/// The file cannot be written.
pub fn save_tensors(
    path: &Path,
    tensors: &BTreeMap<String, SavedTensor>,
    storage: Storage,
) -> Result<(), ModelError> {
    let bytes = serialize(path, tensors, storage)?;
    crate::files::write(path, &bytes)
        .map_err(|source| ModelError::Io { path: path.to_owned(), source })
}

fn serialize(
    path: &Path,
    tensors: &BTreeMap<String, SavedTensor>,
    storage: Storage,
) -> Result<Vec<u8>, ModelError> {
    let failed = |e: safetensors::SafeTensorError| ModelError::Weights {
        path: path.to_owned(),
        found: e.to_string(),
    };
    let encoded: Vec<(&String, &SavedTensor, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| (name, tensor, encode(&tensor.values, storage)))
        .collect();
    let dtype = if storage == Storage::F32 { Dtype::F32 } else { Dtype::F16 };
    let views = encoded
        .iter()
        .map(|(name, tensor, bytes)| {
            Ok((*name, TensorView::new(dtype, tensor.shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(format)).map_err(failed)
}

fn encode(values: &[f32], storage: Storage) -> Vec<u8> {
    match storage {
        Storage::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Storage::F16 => values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect(),
    }
}

/// Read named tensors; a missing file is an error.
///
/// # Errors
///
/// The file cannot be read or is damaged.
pub fn load_named(path: &Path) -> Result<BTreeMap<String, SavedTensor>, ModelError> {
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let map = super::files::map_file(path)?
        .ok_or_else(|| ModelError::Io { path: path.to_owned(), source: missing() })?;
    let tensors = parse(&map, path)?;
    tensors
        .iter()
        .map(|(name, view)| {
            let values = floats(&view).ok_or_else(|| ModelError::Weights {
                path: path.to_owned(),
                found: format!("tensor “{name}” is stored as {:?}", view.dtype()),
            })?;
            Ok((name.to_owned(), SavedTensor { shape: view.shape().to_vec(), values }))
        })
        .collect()
}

/// Write a checkpoint as `config.json` and `model.safetensors` into a folder.
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
    let tensors = to_stored(collect_tensors(&checkpoint.decoder), family, prefix, scored);
    save_tensors(&folder.join("model.safetensors"), &tensors, storage)?;

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
    let path = folder.join("config.json");
    let text = serde_json::to_vec_pretty(&json).unwrap_or_default();
    crate::files::write(&path, &text).map_err(|source| ModelError::Io { path, source })
}

/// Rename, transpose and fuse parameters into the family's layout.
fn to_stored(
    tensors: BTreeMap<String, SavedTensor>,
    family: &Family,
    prefix: &str,
    scored: bool,
) -> BTreeMap<String, SavedTensor> {
    let mut stored = BTreeMap::new();
    let mut thirds: BTreeMap<String, [Option<SavedTensor>; 3]> = BTreeMap::new();
    for (path, tensor) in tensors {
        if path == "head.weight" {
            // A sequence classifier has no language-model head.
            if !scored {
                stored.insert("lm_head.weight".to_owned(), transposed(&tensor));
            }
            continue;
        }
        if path == "score.weight" {
            stored.insert("score.weight".to_owned(), transposed(&tensor));
            continue;
        }
        let Some((name, part)) = family.stored(&path) else { continue };
        let name = format!("{prefix}{name}");
        let table = path == "embedding.weight" || path == "positions.weight";
        match part {
            Part::Third(i) => thirds.entry(name).or_default()[i] = Some(tensor),
            Part::Whole if tensor.shape.len() == 2 && !table && !family.stored_in_out => {
                stored.insert(name, transposed(&tensor));
            }
            Part::Whole => {
                stored.insert(name, tensor);
            }
        }
    }
    for (name, parts) in thirds {
        let parts: Vec<SavedTensor> = parts.into_iter().flatten().collect();
        stored.insert(name, fuse(&parts));
    }
    stored
}

fn transposed(tensor: &SavedTensor) -> SavedTensor {
    let (rows, columns) = (tensor.shape[0], tensor.shape[1]);
    SavedTensor { shape: vec![columns, rows], values: transpose(&tensor.values, rows, columns) }
}

/// Join tensors along their last dimension.
fn fuse(parts: &[SavedTensor]) -> SavedTensor {
    let Some(first) = parts.first() else {
        return SavedTensor { shape: vec![0], values: Vec::new() };
    };
    let width = first.shape.last().copied().unwrap_or(0);
    let rows = first.values.len() / width.max(1);
    let mut shape = first.shape.clone();
    if let Some(last) = shape.last_mut() {
        *last *= parts.len();
    }
    let row = |r: usize| {
        parts.iter().flat_map(move |p| p.values[r * width..(r + 1) * width].iter().copied())
    };
    SavedTensor { shape, values: (0..rows).flat_map(row).collect() }
}
