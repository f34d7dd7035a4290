//! Checkpoints of real shapes with random weights, and pairs whose lengths are those of HH.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use confide::model::{Checkpoint, ModelError, ModelFiles, Storage, build, read_config, save};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::shared::option;

/// Tokens of prompts and of responses of HH harmless (test), every twentieth quantile.
const PROMPTS: [usize; 21] =
    [9, 14, 18, 21, 24, 31, 42, 54, 62, 74, 85, 97, 109, 122, 136, 154, 177, 207, 254, 329, 859];
const RESPONSES: [usize; 21] =
    [1, 6, 9, 11, 14, 16, 19, 21, 24, 28, 31, 35, 39, 45, 53, 59, 68, 81, 98, 131, 589];
/// Standard deviation of initial weights.
const INIT_SD: f64 = 0.02;

pub(crate) fn run(words: &[String]) {
    let [shape, out] = words.first_chunk().expect("a shape and a folder");
    let folder = PathBuf::from(out);
    std::fs::create_dir_all(&folder).expect("a folder");
    let config = config(shape).unwrap_or_else(|| panic!("“{shape}” is no shape that is known"));
    let vocabulary = config["vocab_size"].as_u64().expect("a vocabulary") as usize;
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("room");
    write("config.json", config.to_string());
    write("tokenizer.json", tokenizer(vocabulary).to_string());
    let special =
        json!({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "pad_token": END});
    write("tokenizer_config.json", special.to_string());
    weights(&folder);
    pairs(&folder.join("pairs.jsonl"), option(words, "--pairs", 0), vocabulary);
}

const END: &str = "<|endoftext|>";

/// `config.json` of a shape that people train.
fn config(shape: &str) -> Option<Value> {
    let ids = json!({"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0});
    let llama = |hidden, ffn, layers, heads, kv_heads, vocabulary| {
        json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
            "intermediate_size": ffn, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": kv_heads, "vocab_size": vocabulary, "hidden_act": "silu",
            "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 1e5,
            "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false,
        })
    };
    let mut config = match shape {
        "opt-125m" => json!({
            "architectures": ["OPTForCausalLM"], "model_type": "opt", "hidden_size": 768,
            "ffn_dim": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
            "vocab_size": 50272, "max_position_embeddings": 2048, "word_embed_proj_dim": 768,
            "activation_function": "relu", "do_layer_norm_before": true, "enable_bias": true,
            "dropout": 0.0, "attention_dropout": 0.0,
        }),
        "smollm2-135m" => llama(576, 1536, 30, 9, 3, 49152),
        "tiny-llama" => llama(64, 176, 3, 4, 2, 1024),
        "qwen2.5-0.5b" => {
            let mut qwen = llama(896, 4864, 24, 14, 2, 151_936);
            qwen["architectures"] = json!(["Qwen2ForCausalLM"]);
            qwen["model_type"] = json!("qwen2");
            qwen["rope_theta"] = json!(1e6);
            qwen
        }
        _ => return None,
    };
    config.as_object_mut()?.extend(ids.as_object()?.clone());
    Some(config)
}

/// One token a word, `w1`, `w2`, …; token 0 ends a text.
fn tokenizer(vocabulary: usize) -> Value {
    let words = (1..vocabulary).map(|i| (format!("w{i}"), json!(i)));
    let vocab: serde_json::Map<String, Value> =
        std::iter::once((END.to_owned(), json!(0))).chain(words).collect();
    json!({
        "version": "1.0",
        "added_tokens": [{
            "id": 0, "content": END, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": END},
    })
}

/// Norms are 1 and biases 0, as at the start of pretraining.
fn weights(folder: &Path) {
    let files = ModelFiles::folder(folder).expect("the folder");
    let (family, config, json) = read_config(&files).expect("a known shape");
    let values = |path: &str, shape: &[usize]| -> Result<Vec<f32>, ModelError> {
        let count = shape.iter().product();
        if shape.len() == 1 {
            return Ok(vec![if path.ends_with("bias") { 0.0 } else { 1.0 }; count]);
        }
        let seed = path.bytes().fold(17u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
        let mut rng = SmallRng::seed_from_u64(seed);
        // Uniform within ±√3 deviations has this deviation.
        let most = (3f64.sqrt() * INIT_SD) as f32;
        Ok((0..count).map(|_| rng.random_range(-most..most)).collect())
    };
    let decoder = build(config, &Device::flex(), &values).expect("a model");
    let checkpoint = Checkpoint { decoder, family, json, adapter: None, warnings: Vec::new() };
    save(folder, &checkpoint, None, Storage::F32).expect("room");
}

/// Pairs of random words, as many tokens as quantiles of HH say.
fn pairs(path: &Path, count: usize, vocabulary: usize) {
    let mut rng = SmallRng::seed_from_u64(0);
    let mut text = |quantiles: &[usize; 21]| {
        let at = rng.random_range(0.0..20.0f64);
        let (low, high) = (quantiles[at as usize] as f64, quantiles[at as usize + 1] as f64);
        let length = (low + (high - low) * at.fract()).round().max(1.0) as usize;
        let mut text = String::new();
        for _ in 0..length {
            write!(text, " w{}", rng.random_range(1..vocabulary)).expect("a string");
        }
        text
    };
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).expect("a file"));
    for _ in 0..count {
        let [prompt, chosen, rejected] = [&PROMPTS, &RESPONSES, &RESPONSES].map(&mut text);
        let pair = json!({"prompt": prompt.trim_start(), "chosen": chosen, "rejected": rejected});
        writeln!(file, "{pair}").expect("room");
    }
}
