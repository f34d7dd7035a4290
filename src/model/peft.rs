//! Adapters as PEFT writes and reads them: `adapter_config.json` and
//! `adapter_model.safetensors`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::adapt::{fresh, train_adapters_only};
use super::adapter::module_name;
use super::config::Fields;
use super::save::{transpose, write_json};
use super::tensors::{Lazy, SavedTensor, Storage, finite, load_named, to_tensor, write_lazily};
use super::{Adapter, Checkpoint, ModelError, Targets};
use crate::legible::quoted;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// What PEFT puts before every name.
const PREFIX: &str = "base_model.model.";

/// The model that the adapter in a folder belongs to, if the folder holds one: a folder, or a hub
/// name with its revision.
///
/// # Errors
///
/// `adapter_config.json` is damaged or names no base.
pub fn base_of(folder: &Path) -> Result<Option<String>, ModelError> {
    let path = folder.join(CONFIG);
    if !path.is_file() {
        return Ok(None);
    }
    let json = read_json(&path)?;
    match json.get("base_model_name_or_path").and_then(Value::as_str) {
        Some(base) if !base.is_empty() => Ok(Some(match revision(&json) {
            Some(revision) if !is_folder(folder, base) => format!("{base}@{revision}"),
            _ => base.to_owned(),
        })),
        _ => Err(error(
            &path,
            "no “base_model_name_or_path”".to_owned(),
            "the adapter's base model, a folder or a hub name (write it into the file)",
        )),
    }
}

/// Whether a base is a folder here, within the adapter's folder or beside it.
fn is_folder(adapter: &Path, base: &str) -> bool {
    let parent = adapter.parent().unwrap_or(adapter);
    [Path::new(base).to_owned(), adapter.join(base), parent.join(base)].iter().any(|p| p.is_dir())
}

fn revision(json: &Value) -> Option<String> {
    json.get("revision").and_then(Value::as_str).filter(|r| !r.is_empty()).map(str::to_owned)
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, ModelError> {
    crate::input::read(path, crate::input::SETTINGS)
        .map_err(|source| ModelError::Io { path: path.to_owned(), source })
}

fn read_json(path: &Path) -> Result<Value, ModelError> {
    serde_json::from_slice(&bytes_of(path)?).map_err(|e| error(path, e.to_string(), "JSON"))
}

fn error(path: &Path, found: String, expected: &str) -> ModelError {
    ModelError::Adapter { path: path.to_owned(), found, expected: expected.to_owned() }
}

/// The adapter that a folder describes.
///
/// # Errors
///
/// A damaged `adapter_config.json`, an unsupported kind of adapter.
pub fn read_adapter(folder: &Path) -> Result<Adapter, ModelError> {
    read_config(&folder.join(CONFIG))
}

/// Read `adapter_config.json`.
fn read_config(path: &Path) -> Result<Adapter, ModelError> {
    let json = read_json(path)?;
    let fields = Fields { path, json: &json };
    let kind = json.get("peft_type").and_then(Value::as_str).unwrap_or("none given");
    if kind != "LORA" {
        return Err(error(path, format!("peft_type “{}”", quoted(kind)), "LORA"));
    }
    refuse(path, &json)?;
    let patterns: Patterns = serde_json::from_slice(&bytes_of(path)?).map_err(|e| {
        error(path, e.to_string(), "patterns with whole ranks and numbers as alphas")
    })?;
    let adapter = Adapter {
        rank: fields.size_or("r", 8)?,
        alpha: fields.number_or("lora_alpha", 8.0)?,
        dropout: fields.number_or("lora_dropout", 0.0)?,
        rslora: fields.flag_or("use_rslora", false)?,
        targets: targets(path, &json, "target_modules")?.unwrap_or(Targets::Names(Vec::new())),
        layers: layers(path, &json)?,
        excluded: targets(path, &json, "exclude_modules")?,
        rank_pattern: patterns.rank_pattern.map_or_else(Vec::new, |entries| entries.0),
        alpha_pattern: patterns.alpha_pattern.map_or_else(Vec::new, |entries| entries.0),
        base: json["base_model_name_or_path"].as_str().unwrap_or_default().to_owned(),
        revision: revision(&json),
    };
    adapter.check(path)?;
    Ok(adapter)
}

/// What changes the computation in ways that are not supported.
fn refuse(path: &Path, json: &Value) -> Result<(), ModelError> {
    let plain = [
        ("use_dora", json!(false)),
        ("use_qalora", json!(false)),
        ("use_bdlora", json!(false)),
        ("bias", json!("none")),
        ("lora_bias", json!(false)),
        ("alora_invocation_tokens", Value::Null),
        ("trainable_token_indices", Value::Null),
        ("target_parameters", Value::Null),
        ("layer_replication", Value::Null),
        ("arrow_config", Value::Null),
        ("kasa_config", Value::Null),
        ("monteclora_config", Value::Null),
        ("velora_config", Value::Null),
        ("megatron_config", Value::Null),
    ];
    for (key, plain) in plain {
        let found = json.get(key).unwrap_or(&Value::Null);
        let empty = found.as_array().is_some_and(Vec::is_empty);
        if !found.is_null() && !empty && *found != plain {
            let expected = format!("{plain}: {MERGE}");
            return Err(error(path, format!("“{key}” is {}", quoted(found)), &expected));
        }
    }
    // These begin by changing the base, which the file of an unconverted adapter does not tell.
    let init = json.get("init_lora_weights").and_then(Value::as_str).unwrap_or("gaussian");
    if !["gaussian", "eva", "orthogonal"].contains(&init) {
        let found =
            format!("“init_lora_weights” is “{}”, which changes the base's weights", quoted(init));
        return Err(error(path, found, &format!("true: {MERGE}")));
    }
    Ok(())
}

/// Where an adapter does more than can be computed here.
const MERGE: &str =
    "a plain LoRA adapter (merge it with PEFT's merge_and_unload and use the merged model)";

/// Patterns in the order of the file, which decides where several fit.
#[derive(Deserialize)]
struct Patterns {
    rank_pattern: Option<Entries<usize>>,
    alpha_pattern: Option<Entries<f64>>,
}

/// The entries of an object, in its order.
struct Entries<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Visit<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of patterns")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Visit(std::marker::PhantomData))
    }
}

fn targets(path: &Path, json: &Value, key: &str) -> Result<Option<Targets>, ModelError> {
    let value = json.get(key).unwrap_or(&Value::Null);
    let wrong = || {
        error(
            path,
            format!("“{key}” is {}", quoted(value)),
            "names of modules, or a regular expression",
        )
    };
    match value {
        Value::Null => Ok(None),
        Value::String(word) if word == "all-linear" => Ok(Some(Targets::AllLinear)),
        Value::String(pattern) => Ok(Some(Targets::Pattern(pattern.clone()))),
        Value::Array(names) => {
            let names: Option<_> = names.iter().map(|n| n.as_str().map(str::to_owned)).collect();
            names.map(|names| Some(Targets::Names(names))).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

fn layers(path: &Path, json: &Value) -> Result<Option<Vec<usize>>, ModelError> {
    let value = json.get("layers_to_transform").unwrap_or(&Value::Null);
    let one = |value: &Value| value.as_u64().map(|n| n as usize);
    let list: Option<Vec<usize>> = match value {
        Value::Null => return Ok(None),
        Value::Array(list) if list.is_empty() => return Ok(None),
        Value::Array(list) => list.iter().map(one).collect(),
        single => one(single).map(|layer| vec![layer]),
    };
    let wrong = || {
        error(
            path,
            format!("“layers_to_transform” is {}", quoted(value)),
            "numbers of layers, from 0",
        )
    };
    list.map(Some).ok_or_else(wrong)
}

/// Put the adapter of a folder onto its base; the base is frozen.
///
/// # Errors
///
/// A damaged file, an unsupported kind of adapter, tensors that do not fit the base or the
/// adapter's own settings.
pub(crate) fn attach(mut checkpoint: Checkpoint, folder: &Path) -> Result<Checkpoint, ModelError> {
    let adapter = read_adapter(folder)?;
    let path = folder.join(WEIGHTS);
    if !path.is_file() {
        return Err(no_weights(folder));
    }
    let mut tensors = load_named(&path)?;
    for (name, tensor) in &mut tensors {
        tensor.values = finite(&path, name, std::mem::take(&mut tensor.values))?;
    }
    let family = checkpoint.family;
    let device = checkpoint.decoder.device();
    for (ours, linear) in checkpoint.decoder.linears_mut() {
        let name = module_name(family, &ours);
        let module = Module { path: &path, key: format!("{PREFIX}{name}"), dims: linear.dims() };
        let rank = adapter.rank_of(&name, family.adapted);
        let Some((rank, a, b)) = module.take(&mut tensors, rank)? else { continue };
        let [input, output] = module.dims;
        let scale = adapter.scale_of(&name, rank);
        let a = transpose(&a.values, rank, input);
        let b = transpose(&b.values, output, rank);
        linear.lora = Some(fresh(a, b, [input, rank, output], (scale, adapter.dropout), &device));
    }
    let width = checkpoint.decoder.config().embedding;
    checkpoint.decoder = with_saved_head(checkpoint.decoder, &mut tensors, width, &path)?;
    if let Some(left) = tensors.keys().next() {
        let found = format!("tensor “{}”, which fits no linear layer of the base", quoted(left));
        let expected = format!("lora_A and lora_B of linear layers, and score: {MERGE}");
        return Err(error(&path, found, &expected));
    }
    checkpoint.decoder = train_adapters_only(checkpoint.decoder);
    checkpoint.adapter = Some(adapter);
    Ok(checkpoint)
}

/// What PEFT wrote before version 0.7.
const PICKLED: &str = "adapter_model.bin";

/// What turns a pickled adapter into safetensors, run inside its folder.
const CONVERT: &str = "python -c \"import torch; from safetensors.torch import save_file; t = torch.load('adapter_model.bin', map_location='cpu', weights_only=True); save_file({k: v.clone().contiguous() for k, v in t.items()}, 'adapter_model.safetensors', metadata={'format': 'pt'})\"";

/// Why an adapter's folder has no weights that can be read.
fn no_weights(folder: &Path) -> ModelError {
    let found = if folder.join(PICKLED).is_file() {
        format!(
            "there is only {PICKLED}, and pickled weights are not read; convert it, inside the folder, with: {CONVERT}"
        )
    } else {
        format!("there is {CONFIG}, but no {WEIGHTS}")
    };
    error(folder, found, &format!("an adapter as PEFT saves it, {CONFIG} and {WEIGHTS}"))
}

/// A linear layer of the base, by its name in the adapter's file.
struct Module<'a> {
    path: &'a Path,
    key: String,
    /// Inputs, outputs.
    dims: [usize; 2],
}

impl Module<'_> {
    /// Its rank, A `[r, in]` and B `[out, r]`; none where it is no target.
    fn take(
        &self,
        tensors: &mut BTreeMap<String, SavedTensor>,
        rank: Option<usize>,
    ) -> Result<Option<(usize, SavedTensor, SavedTensor)>, ModelError> {
        let Self { path, key, dims: [input, output] } = self;
        let mut part = |which: &str| tensors.remove(&format!("{key}.lora_{which}.weight"));
        match (rank, part("A"), part("B")) {
            (None, None, None) => Ok(None),
            (Some(rank), Some(a), Some(b)) => {
                if a.shape == [rank, *input] && b.shape == [*output, rank] {
                    return Ok(Some((rank, a, b)));
                }
                let found = format!("“{key}” has A {:?} and B {:?}", a.shape, b.shape);
                let expected = format!(
                    "[{rank}, {input}] and [{output}, {rank}], from the rank in {CONFIG} and the base's sizes (is this the adapter's base?)"
                );
                Err(error(path, found, &expected))
            }
            (Some(_), None, None) => {
                let expected = format!(
                    "its lora_A and lora_B, since it is a target in {CONFIG} (is the file complete, and this the adapter's base?)"
                );
                Err(error(path, format!("nothing for “{key}”"), &expected))
            }
            (None, _, _) => {
                let expected = format!("modules that {CONFIG} names as targets");
                Err(error(path, format!("“{key}”, which is no target"), &expected))
            }
            (Some(_), _, _) => {
                Err(error(path, format!("half of “{key}”"), "both lora_A and lora_B"))
            }
        }
    }
}

/// The scalar head that a sequence classifier's adapter brings along.
fn with_saved_head(
    decoder: super::Decoder,
    tensors: &mut BTreeMap<String, SavedTensor>,
    width: usize,
    path: &Path,
) -> Result<super::Decoder, ModelError> {
    let names = ["score.weight", "score.modules_to_save.weight"];
    let Some(saved) = names.iter().find_map(|n| tensors.remove(&format!("{PREFIX}{n}"))) else {
        return Ok(decoder);
    };
    if saved.shape != [1, width] {
        let found = format!("score.weight of shape {:?}", saved.shape);
        return Err(error(path, found, &format!("one label: [1, {width}]")));
    }
    let device = decoder.device();
    let head = SavedTensor { shape: vec![width, 1], values: saved.values };
    Ok(decoder.with_score(to_tensor(head, &device)))
}

/// Write the adapter of a checkpoint as PEFT reads it; a scalar head goes along.
///
/// # Errors
///
/// A file cannot be written.
pub fn save_adapter(
    folder: &Path,
    checkpoint: &Checkpoint,
    adapter: &Adapter,
) -> Result<(), ModelError> {
    let family = checkpoint.family;
    let mut tensors = BTreeMap::new();
    for (ours, linear) in checkpoint.decoder.linears() {
        let Some(lora) = &linear.lora else { continue };
        let name = module_name(family, &ours);
        for (which, value) in [("A", &lora.a), ("B", &lora.b)] {
            let handle = super::tensors::Handle::matrix(value.val());
            let (rows, columns) = (handle.shape[0], handle.shape[1]);
            let lazy = Lazy::new(vec![columns, rows], Storage::F32, move || {
                transpose(&handle.read().values, rows, columns)
            });
            tensors.insert(format!("{PREFIX}{name}.lora_{which}.weight"), lazy);
        }
    }
    let scored = checkpoint.decoder.score.as_ref();
    if let Some(score) = scored {
        let handle = super::tensors::Handle::matrix(score.weight.val());
        let width = handle.shape[0];
        let lazy = Lazy::new(vec![1, width], Storage::F32, move || handle.read().values);
        tensors.insert(format!("{PREFIX}score.weight"), lazy);
    }
    write_lazily(&folder.join(WEIGHTS), &tensors, true)?;
    write_json(&folder.join(CONFIG), &config_json(checkpoint, adapter))
}

fn config_json(checkpoint: &Checkpoint, adapter: &Adapter) -> Value {
    let family = checkpoint.family;
    let scored = checkpoint.decoder.score.is_some();
    let targets = |targets: &Targets| match targets {
        Targets::Names(names) if names.is_empty() => json!(family.adapted),
        Targets::Names(names) => json!(names),
        Targets::Pattern(pattern) => json!(pattern),
        Targets::AllLinear => json!("all-linear"),
    };
    let ranks = |name: &str| adapter.rank_of(name, family.adapted);
    let rank_pattern = in_any_order(checkpoint, &adapter.rank_pattern, &|name| {
        ranks(name).filter(|rank| *rank != adapter.rank)
    });
    let alpha_pattern = in_any_order(checkpoint, &adapter.alpha_pattern, &|name| {
        let alpha = ranks(name).map(|_| adapter.alpha_of(name));
        alpha.filter(|alpha| *alpha != adapter.alpha)
    });
    json!({
        "peft_type": "LORA",
        "task_type": if scored { "SEQ_CLS" } else { "CAUSAL_LM" },
        "base_model_name_or_path": adapter.base,
        "revision": adapter.revision,
        "r": adapter.rank,
        "lora_alpha": number(adapter.alpha),
        "lora_dropout": adapter.dropout,
        "use_rslora": adapter.rslora,
        "use_dora": false,
        "target_modules": targets(&adapter.targets),
        "exclude_modules": adapter.excluded.as_ref().map(targets),
        "layers_to_transform": adapter.layers,
        "rank_pattern": rank_pattern,
        "alpha_pattern": alpha_pattern,
        "fan_in_fan_out": family.stored_in_out,
        "modules_to_save": scored.then(|| json!(["score"])),
        "bias": "none",
        "init_lora_weights": true,
        "inference_mode": true,
    })
}

/// PEFT's alphas are whole numbers, where they can be.
fn number(alpha: f64) -> Value {
    if alpha.fract() == 0.0 && alpha.abs() < 1e9 { json!(alpha as i64) } else { json!(alpha) }
}

/// Patterns as an object, whose order says nothing: several patterns, of which the first that
/// fits counts, become one entry for each module.
fn in_any_order<T: Serialize + Clone>(
    checkpoint: &Checkpoint,
    patterns: &[(String, T)],
    of: &dyn Fn(&str) -> Option<T>,
) -> Value {
    let entries: Vec<(String, T)> = match patterns {
        [] | [_] => patterns.to_vec(),
        _ => {
            let linears = checkpoint.decoder.linears().into_iter();
            let names = linears.map(|(ours, _)| module_name(checkpoint.family, &ours));
            // A dot stands for any character too; no other module differs in only that.
            names.filter_map(|name| of(&name).map(|value| (name, value))).collect()
        }
    };
    Value::Object(entries.into_iter().map(|(key, value)| (key, json!(value))).collect())
}
