//! Models with adapters, and what is computed from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use burn::tensor::{Device, Tensor};
use confide::batch::{Batch, Sequence};
use confide::model::{
    Adapter, Checkpoint, Decoder, ModelFiles, Precision, SavedTensor, Targets, add_adapter,
    collect_trained, load_as, sequence_log_probs, sequence_scores, take_tensors,
};
use confide::run::find_model;
use confide::train::{AdamW, Gradients, OutputKind, Pass, PassSettings};
use proptest::test_runner::{Config, TestRunner};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::common::{repository, vector};

/// What adapters drop comes from a generator that the whole process shares.
pub(super) fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(super) fn base_folder(name: &str) -> PathBuf {
    repository("tests/fixtures/models").join(name)
}

pub(super) fn adapter_folder(name: &str) -> PathBuf {
    repository("tests/fixtures/adapters").join(name)
}

/// A model folder, with its adapter where it is one.
pub(super) fn open(folder: &Path) -> Checkpoint {
    open_as(folder, Precision::F32)
}

pub(super) fn open_as(folder: &Path, precision: Precision) -> Checkpoint {
    load_as(&find_model(folder.to_str().unwrap()).unwrap(), &Device::flex(), precision).unwrap()
}

/// A copy of a PEFT adapter, its base named in full.
pub(super) fn copy_of(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        std::fs::copy(adapter_folder(name).join(file), folder.path().join(file)).unwrap();
    }
    change_config(folder.path(), |json| {
        let base = json["base_model_name_or_path"].as_str().unwrap().replace("../../models/", "");
        json["base_model_name_or_path"] = json!(base_folder(&base));
    });
    folder
}

pub(super) fn config_of(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("adapter_config.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub(super) fn change_config(folder: &Path, change: impl FnOnce(&mut Value)) {
    let mut json = config_of(folder);
    change(&mut json);
    std::fs::write(folder.join("adapter_config.json"), json.to_string()).unwrap();
}

/// A plain adapter of this rank.
pub(super) fn plain(rank: usize, targets: Targets) -> Adapter {
    Adapter {
        rank,
        alpha: 2.0 * rank as f64,
        dropout: 0.0,
        rslora: false,
        targets,
        layers: None,
        excluded: None,
        rank_pattern: Vec::new(),
        alpha_pattern: Vec::new(),
        base: String::new(),
        revision: None,
    }
}

pub(super) fn with_adapter(checkpoint: Checkpoint, adapter: Adapter) -> Checkpoint {
    add_adapter(checkpoint, adapter, 7, Path::new("policy.lora")).unwrap()
}

pub(super) fn random(count: usize, seed: u64, size: f32) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| size * (2.0 * rng.random::<f32>() - 1.0)).collect()
}

/// An adapter whose B, too, is random, so that it changes what the model computes.
pub(super) fn shaken(mut checkpoint: Checkpoint) -> Checkpoint {
    let mut tensors = collect_trained(&checkpoint.decoder);
    for (i, tensor) in tensors.values_mut().enumerate() {
        tensor.values = random(tensor.values.len(), i as u64, 0.3);
    }
    checkpoint.decoder = take_tensors(checkpoint.decoder, tensors);
    checkpoint
}

pub(super) fn batch_of(sequences: &[Sequence]) -> Batch {
    Batch::one_per_row(&sequences.iter().collect::<Vec<_>>(), 0)
}

/// Two responses, of unlike length.
pub(super) fn batch() -> Batch {
    let sequence = |prompt: &[u32], response: &[u32]| Sequence {
        prompt: prompt.into(),
        response: response.to_vec(),
    };
    batch_of(&[sequence(&[5, 9, 11], &[3, 8, 60, 1]), sequence(&[7, 2], &[44, 13])])
}

pub(super) fn readout_of(decoder: &Decoder) -> OutputKind {
    if decoder.score.is_some() { OutputKind::Scores } else { OutputKind::LogProbs }
}

/// What a model says of a batch without training: scores if it has a head for them.
pub(super) fn outputs(decoder: &Decoder, batch: &Batch) -> Vec<f64> {
    match readout_of(decoder) {
        OutputKind::Scores => vector(sequence_scores(decoder, batch)),
        OutputKind::LogProbs => vector(sequence_log_probs(decoder, batch)),
    }
}

/// Outputs of a pass, and the gradients of Σ cotangent·output.
pub(super) fn pass(
    decoder: &Decoder,
    batch: &Batch,
    cotangent: &[f32],
    settings: PassSettings,
) -> (Vec<f64>, Gradients) {
    let pass = Pass::forward(decoder, batch, readout_of(decoder), settings);
    let outputs = vector(pass.outputs());
    let mut gradients = Gradients::default();
    pass.backward(&Tensor::from_floats(cotangent, &decoder.device()), &mut gradients);
    (outputs, gradients)
}

pub(super) fn by_name(gradients: &Gradients) -> BTreeMap<String, Vec<f64>> {
    gradients.iter().map(|(name, g)| (name.to_owned(), vector(g.clone()))).collect()
}

/// A few optimiser steps that raise the first output and lower the second.
pub(super) fn trained(mut checkpoint: Checkpoint, steps: u64) -> Checkpoint {
    let mut optimiser = AdamW::new(0.01);
    for seed in 0..steps {
        let settings = PassSettings { recompute: seed % 2 == 1, seed };
        let (_, gradients) = pass(&checkpoint.decoder, &batch(), &[-0.5, 0.5], settings);
        checkpoint.decoder = optimiser.step(checkpoint.decoder, gradients, 2e-2);
    }
    checkpoint
}

/// The name that PEFT gives a trained parameter in its file.
pub(super) fn peft_name(checkpoint: &Checkpoint, path: &str) -> String {
    if path == "score.weight" {
        return "base_model.model.score.weight".to_owned();
    }
    let (module, which) = path.split_once(".lora.").unwrap();
    let name = checkpoint.family.module(module).unwrap();
    let prefix = checkpoint.family.prefixes[0];
    format!("base_model.model.{prefix}{name}.lora_{}.weight", which.to_uppercase())
}

/// A Llama with random weights in a folder: hidden width, feed-forward width, vocabulary.
pub(super) fn tiny_llama(folder: &Path, [hidden, ffn, vocabulary]: [usize; 3]) -> ModelFiles {
    let heads = 4;
    let head_dim = hidden / heads;
    let config = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": vocabulary,
        "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": 2,
        "num_attention_heads": heads, "num_key_value_heads": 2, "head_dim": head_dim,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 1e4,
        "tie_word_embeddings": false, "hidden_act": "silu",
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let mut tensors = BTreeMap::new();
    let mut add = |name: String, shape: &[usize]| {
        let count = shape.iter().product();
        // Like a trained model's: outputs of about the size of inputs.
        let size = (3.0 / *shape.last().unwrap() as f32).sqrt();
        let mut values = random(count, 100 + tensors.len() as u64, size);
        if name.ends_with("norm.weight") {
            values.iter_mut().for_each(|v| *v += 1.0);
        }
        tensors.insert(name, SavedTensor { shape: shape.to_vec(), values });
    };
    add("model.embed_tokens.weight".to_owned(), &[vocabulary, hidden]);
    add("lm_head.weight".to_owned(), &[vocabulary, hidden]);
    add("model.norm.weight".to_owned(), &[hidden]);
    for layer in 0..2 {
        let kv = 2 * head_dim;
        for (name, shape) in [
            ("input_layernorm", vec![hidden]),
            ("post_attention_layernorm", vec![hidden]),
            ("self_attn.q_proj", vec![hidden, hidden]),
            ("self_attn.k_proj", vec![kv, hidden]),
            ("self_attn.v_proj", vec![kv, hidden]),
            ("self_attn.o_proj", vec![hidden, hidden]),
            ("mlp.gate_proj", vec![ffn, hidden]),
            ("mlp.up_proj", vec![ffn, hidden]),
            ("mlp.down_proj", vec![hidden, ffn]),
        ] {
            add(format!("model.layers.{layer}.{name}.weight"), &shape);
        }
    }
    let path = folder.join("model.safetensors");
    confide::model::save_tensors(&path, &tensors, confide::model::Storage::F32).unwrap();
    ModelFiles::folder(folder).unwrap()
}

/// A property test of so many cases, each the same on every machine.
pub(super) fn cases(count: u32) -> TestRunner {
    let config = Config { cases: count, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    )
}
