//! Adapters as PEFT writes and reads them: `adapter_config.json` and
//! `adapter_model.safetensors`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::adapter::{fresh, module_name, train_adapters_only};
use super::config::Fields;
use super::save::{transpose, write_json};
use super::tensors::{Lazy, SavedTensor, Storage, load_named, to_tensor, write_lazily};
use super::{Adapter, Checkpoint, ModelError, Targets};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// What PEFT puts before every name.
const PREFIX: &str = "base_model.model.";

/// The model that the adapter in a folder belongs to, if the folder holds one.
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
        Some(base) if !base.is_empty() => Ok(Some(base.to_owned())),
        _ => Err(error(
            &path,
            "no “base_model_name_or_path”".to_owned(),
            "the adapter's base model, a folder or a hub name (write it into the file)",
        )),
    }
}

fn read_json(path: &Path) -> Result<Value, ModelError> {
    let bytes =
        std::fs::read(path).map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|e| error(path, e.to_string(), "JSON"))
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
        return Err(error(path, format!("peft_type “{kind}”"), "LORA"));
    }
    refuse(path, &json)?;
    let adapter = Adapter {
        rank: fields.size_or("r", 8)?,
        alpha: fields.number_or("lora_alpha", 8.0)?,
        dropout: fields.number_or("lora_dropout", 0.0)?,
        rslora: fields.flag_or("use_rslora", false)?,
        targets: targets(&json, "target_modules").unwrap_or(Targets::Names(Vec::new())),
        layers: layers(&json),
        excluded: targets(&json, "exclude_modules"),
        rank_pattern: pattern(&json, "rank_pattern", |v| v.as_u64().map(|n| n as usize)),
        alpha_pattern: pattern(&json, "alpha_pattern", Value::as_f64),
        base: json["base_model_name_or_path"].as_str().unwrap_or_default().to_owned(),
    };
    adapter.check(path)?;
    Ok(adapter)
}

/// What changes the computation in ways that are not supported.
fn refuse(path: &Path, json: &Value) -> Result<(), ModelError> {
    for (key, plain) in [
        ("use_dora", json!(false)),
        ("bias", json!("none")),
        ("lora_bias", json!(false)),
        ("alora_invocation_tokens", Value::Null),
        ("trainable_token_indices", Value::Null),
        ("target_parameters", Value::Null),
        ("megatron_config", Value::Null),
    ] {
        let found = json.get(key).unwrap_or(&Value::Null);
        let empty = found.as_array().is_some_and(Vec::is_empty);
        if !found.is_null() && !empty && *found != plain {
            let expected = format!(
                "{plain}: a plain LoRA adapter (merge it with PEFT's merge_and_unload and use the merged model)"
            );
            return Err(error(path, format!("“{key}” is {found}"), &expected));
        }
    }
    Ok(())
}

fn targets(json: &Value, key: &str) -> Option<Targets> {
    match json.get(key)? {
        Value::String(word) if word == "all-linear" => Some(Targets::AllLinear),
        Value::String(pattern) => Some(Targets::Pattern(pattern.clone())),
        Value::Array(names) => Some(Targets::Names(
            names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        )),
        _ => None,
    }
}

fn layers(json: &Value) -> Option<Vec<usize>> {
    let one = |value: &Value| value.as_u64().map(|n| n as usize);
    match json.get("layers_to_transform")? {
        Value::Array(list) if !list.is_empty() => Some(list.iter().filter_map(one).collect()),
        single => one(single).map(|layer| vec![layer]),
    }
}

fn pattern<T>(json: &Value, key: &str, read: impl Fn(&Value) -> Option<T>) -> Vec<(String, T)> {
    let entries = json.get(key).and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(k, v)| Some((k.clone(), read(v)?))).collect()
}

/// Put the adapter of a folder onto its base; the base is frozen.
///
/// # Errors
///
/// A damaged file, an unsupported kind of adapter, tensors that do not fit the base.
pub(crate) fn attach(mut checkpoint: Checkpoint, folder: &Path) -> Result<Checkpoint, ModelError> {
    let adapter = read_adapter(folder)?;
    let path = folder.join(WEIGHTS);
    let mut tensors = load_named(&path)?;
    let family = checkpoint.family;
    let device = checkpoint.decoder.device();
    for (ours, linear) in checkpoint.decoder.linears_mut() {
        let name = module_name(family, &ours);
        let key = format!("{PREFIX}{name}");
        let part = |tensors: &mut BTreeMap<_, _>, which: &str| {
            tensors.remove(&format!("{key}.lora_{which}.weight"))
        };
        let (a, b) = (part(&mut tensors, "A"), part(&mut tensors, "B"));
        let Some((a, b)) = both(&path, &key, a, b)? else { continue };
        let [input, output] = linear.dims();
        let rank = a.shape[0];
        if a.shape != [rank, input] || b.shape != [output, rank] {
            let found = format!("“{key}” has A {:?} and B {:?}", a.shape, b.shape);
            let expected = format!("[r, {input}] and [{output}, r] (is this the adapter's base?)");
            return Err(error(&path, found, &expected));
        }
        let scale = adapter.scale_of(&name, rank);
        let a = transpose(&a.values, rank, input);
        let b = transpose(&b.values, output, rank);
        linear.lora = Some(fresh(a, b, [input, rank, output], (scale, adapter.dropout), &device));
    }
    let width = checkpoint.decoder.config().embedding;
    checkpoint.decoder = with_saved_head(checkpoint.decoder, &mut tensors, width, &path)?;
    if let Some(left) = tensors.keys().next() {
        let found = format!("tensor “{left}”, which fits no linear layer of the base");
        return Err(error(&path, found, "lora_A and lora_B of linear layers, and score"));
    }
    checkpoint.decoder = train_adapters_only(checkpoint.decoder);
    checkpoint.adapter = Some(adapter);
    Ok(checkpoint)
}

fn both(
    path: &Path,
    key: &str,
    a: Option<SavedTensor>,
    b: Option<SavedTensor>,
) -> Result<Option<(SavedTensor, SavedTensor)>, ModelError> {
    match (a, b) {
        (None, None) => Ok(None),
        (Some(a), Some(b)) if a.shape.len() == 2 && b.shape.len() == 2 => Ok(Some((a, b))),
        _ => Err(error(path, format!("half of “{key}”"), "lora_A and lora_B, both matrices")),
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
    write_lazily(&folder.join(WEIGHTS), &tensors)?;
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
    let patterns = |entries: Vec<(String, Value)>| Value::Object(Map::from_iter(entries));
    json!({
        "peft_type": "LORA",
        "task_type": if scored { "SEQ_CLS" } else { "CAUSAL_LM" },
        "base_model_name_or_path": adapter.base,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": adapter.dropout,
        "use_rslora": adapter.rslora,
        "use_dora": false,
        "target_modules": targets(&adapter.targets),
        "exclude_modules": adapter.excluded.as_ref().map(targets),
        "layers_to_transform": adapter.layers,
        "rank_pattern": patterns(
            adapter.rank_pattern.iter().map(|(k, v)| (k.clone(), json!(v))).collect()),
        "alpha_pattern": patterns(
            adapter.alpha_pattern.iter().map(|(k, v)| (k.clone(), json!(v))).collect()),
        "fan_in_fan_out": family.stored_in_out,
        "modules_to_save": scored.then(|| json!(["score"])),
        "bias": "none",
        "init_lora_weights": true,
        "inference_mode": true,
    })
}
