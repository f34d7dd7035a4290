//! Settings that ask for more than their weights hold are refused before anything is made of them.

use std::time::{Duration, Instant};

use burn::tensor::Device;
use confide::model::{load, read_adapter, survey};
use serde_json::{Map, Value, json};

use super::{Model, assert_says};

const QUICK: Duration = Duration::from_secs(5);

#[test]
fn every_size_is_held_against_the_weights() {
    let sizes = [
        ("num_hidden_layers", vec![3_u64, 4096, 4097, (1 << 32) - 1, 1 << 32]),
        ("vocab_size", vec![1 << 24, (1 << 32) - 1]),
        ("hidden_size", vec![18, 1 << 20, (1 << 32) - 1]),
        ("intermediate_size", vec![25, 1 << 20, (1 << 32) - 1]),
        ("num_attention_heads", vec![16, 1 << 20]),
        ("num_key_value_heads", vec![1, 1 << 30]),
        ("head_dim", vec![2, 1 << 20]),
    ];
    let model = Model::llama();
    let kept = std::fs::read(model.path().join("config.json")).unwrap();
    for (key, values) in sizes {
        for value in values {
            model.write("config.json", &kept);
            model.change("config.json", |json| json[key] = json!(value));
            let begun = Instant::now();
            let refused = survey(&model.files()).unwrap_err().to_string();
            assert_says(&refused, &["config.json"]);
            assert!(load(&model.files(), &Device::flex()).is_err());
            assert!(begun.elapsed() < QUICK, "{key} = {value} took {:?}", begun.elapsed());
        }
    }
    // Positions that nothing is made of.
    model.write("config.json", &kept);
    model.change("config.json", |json| json["max_position_embeddings"] = json!(u32::MAX));
    load(&model.files(), &Device::flex()).unwrap();
    let learned = Model::gpt2(24);
    learned.change("config.json", |json| json["n_positions"] = json!(u32::MAX));
    assert_says(&survey(&learned.files()).unwrap_err().to_string(), &["wpe", "24"]);
}

/// An adapter for every linear layer of [`Model::llama`].
fn adapter(model: &Model, key: &str, patterns: &Value) {
    let mut config = json!({
        "peft_type": "LORA", "base_model_name_or_path": ".", "r": 4, "lora_alpha": 8,
        "target_modules": "all-linear",
    });
    config[key] = patterns.clone();
    model.write("adapter_config.json", config.to_string());
}

#[test]
fn patterns_of_adapters_are_counted() {
    let model = Model::llama();
    let patterns = |count: usize, text: &dyn Fn(usize) -> String| {
        Value::Object((0..count).map(|i| (text(i), json!(2))).collect::<Map<String, Value>>())
    };
    let begun = Instant::now();
    adapter(&model, "rank_pattern", &patterns(20_000, &|i| format!(".*layers.{i}.*q_proj")));
    let refused = read_adapter(model.path()).unwrap_err().to_string();
    assert_says(&refused, &["adapter_config.json", "20000 patterns in rank_pattern", "4096"]);
    adapter(&model, "alpha_pattern", &patterns(300, &|i| format!("layers.{i}.(q|v)_proj")));
    let refused = read_adapter(model.path()).unwrap_err().to_string();
    assert_says(&refused, &["300 regular expressions", "128"]);
    adapter(&model, "rank_pattern", &json!({"(a{1000}){1000}": 2}));
    assert_says(&read_adapter(model.path()).unwrap_err().to_string(), &["pattern", "1 MiB"]);
    assert!(begun.elapsed() < QUICK, "{:?}", begun.elapsed());
    // As many names as a large model has, and one expression that tries every way.
    adapter(&model, "rank_pattern", &patterns(4000, &|i| format!("layers.{i}.self_attn.q_proj")));
    let many = read_adapter(model.path()).unwrap();
    adapter(&model, "rank_pattern", &json!({"(\\w+\\w+\\.?)+(?!x)\\1!": 2}));
    let slow = read_adapter(model.path()).unwrap();
    let begun = Instant::now();
    for layer in 0..200 {
        for module in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            let name = format!("model.layers.{layer}.self_attn.{module}");
            let rank = if module == "q_proj" { 2 } else { 4 };
            assert_eq!(many.rank_of(&name, &[]), Some(rank), "{name}");
            assert_eq!(slow.rank_of(&name, &[]), Some(4), "{name}");
        }
    }
    assert!(begun.elapsed() < QUICK, "{:?}", begun.elapsed());
}

#[test]
fn a_dot_in_a_plain_pattern_stands_for_any_character() {
    let model = Model::llama();
    let patterns = json!({"self.attn.q_proj": 2, "v_proj": 3});
    adapter(&model, "rank_pattern", &patterns);
    let adapter = read_adapter(model.path()).unwrap();
    let rank = |name: &str| adapter.rank_of(name, &[]);
    assert_eq!(rank("model.layers.0.self_attn.q_proj"), Some(2));
    assert_eq!(rank("model.layers.0.myself_attn.q_proj"), Some(4));
    assert_eq!(rank("model.layers.0.self_attn.v_proj"), Some(3));
    assert_eq!(rank("v_proj"), Some(3));
    assert_eq!(rank("model.layers.0.self_attn.xv_proj"), Some(4));
}
