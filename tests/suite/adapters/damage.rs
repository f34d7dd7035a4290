//! Adapters that cannot be used are refused in words, whatever is wrong with them.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use confide::model::{SavedTensor, Storage, load, load_named, save_tensors};
use confide::run::find_model;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::shared::*;

/// Read an adapter and compute with it; the words of the refusal otherwise.
fn use_adapter(folder: &Path) -> Result<Vec<f64>, String> {
    let files = find_model(folder.to_str().unwrap()).map_err(|e| e.to_string())?;
    let checkpoint = load(&files, &Device::flex()).map_err(|e| e.to_string())?;
    Ok(outputs(&checkpoint.decoder, &batch()))
}

#[track_caller]
fn refused(folder: &Path, words: &[&str]) {
    let message = use_adapter(folder).expect_err("it was accepted");
    for word in words {
        assert!(message.contains(word), "“{word}” is not in: {message}");
    }
}

fn change_tensors(folder: &Path, change: impl FnOnce(&mut BTreeMap<String, SavedTensor>)) {
    let path = folder.join("adapter_model.safetensors");
    let mut tensors = load_named(&path).unwrap();
    change(&mut tensors);
    save_tensors(&path, &tensors, Storage::F32).unwrap();
}

const Q: &str = "base_model.model.model.layers.0.self_attn.q_proj";

#[test]
fn what_peft_can_and_confide_cannot_is_refused_with_the_key_and_a_way_out() {
    for (name, key) in
        [("llama-dora", "use_dora"), ("llama-embed", "embed_tokens"), ("opt-bias", "bias")]
    {
        refused(copy_of(name).path(), &[key, "merge_and_unload"]);
    }
    for (key, value) in [
        ("lora_bias", json!(true)),
        ("use_qalora", json!(true)),
        ("layer_replication", json!([[0, 2]])),
        ("trainable_token_indices", json!([1, 2])),
        ("target_parameters", json!(["mlp.experts"])),
        ("alora_invocation_tokens", json!([5])),
        ("init_lora_weights", json!("pissa")),
        ("init_lora_weights", json!("loftq")),
    ] {
        let folder = copy_of("llama-qv");
        change_config(folder.path(), |json| json[key] = value);
        refused(folder.path(), &["adapter_config.json", key, "merge_and_unload"]);
    }
    for init in [json!("gaussian"), json!(false), json!("eva"), Value::Null] {
        let folder = copy_of("llama-qv");
        change_config(folder.path(), |json| json["init_lora_weights"] = init);
        use_adapter(folder.path()).unwrap();
    }
}

#[test]
fn impossible_settings_are_refused() {
    let cases: [(&str, Value, &[&str]); 14] = [
        ("peft_type", json!("IA3"), &["IA3", "LORA"]),
        ("peft_type", Value::Null, &["none given", "LORA"]),
        ("r", json!(0), &["“r” is 0", "positive"]),
        ("r", json!("4"), &["“r”"]),
        ("r", json!(5), &["[4, 16]", "[5, 16]"]),
        ("lora_dropout", json!(1.0), &["dropout 1"]),
        ("lora_alpha", json!("8"), &["lora_alpha"]),
        ("target_modules", json!(3), &["target_modules", "names"]),
        ("target_modules", json!(["q_proj", 3]), &["target_modules", "names"]),
        ("target_modules", json!("(q_proj"), &["(q_proj", "regular expression"]),
        ("target_modules", json!(["q_proj"]), &["v_proj", "no target"]),
        ("layers_to_transform", json!("one"), &["layers_to_transform"]),
        ("rank_pattern", json!({"q_proj": 0}), &["rank 0"]),
        ("alpha_pattern", json!({"[": 2}), &["pattern “[”"]),
    ];
    for (key, value, words) in cases {
        let folder = copy_of("llama-qv");
        change_config(folder.path(), |json| json[key] = value);
        refused(folder.path(), words);
    }
    let folder = copy_of("llama-qv");
    change_config(folder.path(), |json| {
        json.as_object_mut().unwrap().remove("base_model_name_or_path");
    });
    refused(folder.path(), &["base_model_name_or_path"]);
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let part = |which: &str| format!("{Q}.lora_{which}.weight");
    let case = |words: &[&str], change: &dyn Fn(&mut BTreeMap<String, SavedTensor>)| {
        let folder = copy_of("llama-qv");
        change_tensors(folder.path(), change);
        refused(folder.path(), words);
    };
    case(&["half of", Q, "lora_A and lora_B"], &|t| drop(t.remove(&part("A"))));
    case(&["half of", Q, "lora_A and lora_B"], &|t| drop(t.remove(&part("B"))));
    case(&["nothing for", Q, "complete"], &|t| t.retain(|name, _| !name.starts_with(Q)));
    case(&["layers.7", "no linear layer"], &|t| {
        let one = t[&part("A")].clone();
        t.insert(part("A").replace("layers.0", "layers.7"), one);
    });
    case(&["k_proj", "no target"], &|t| {
        for which in ["A", "B"] {
            let one = t[&part(which)].clone();
            t.insert(part(which).replace("q_proj", "k_proj"), one);
        }
    });
    case(&[Q, "[4, 15]", "[4, 16]"], &|t| {
        t.insert(part("A"), SavedTensor { shape: vec![4, 15], values: vec![0.0; 60] });
    });
    case(&[Q, "[64]"], &|t| {
        t.insert(part("A"), SavedTensor { shape: vec![64], values: vec![0.0; 64] });
    });
    case(&[Q, "[0, 16]", "[16, 0]"], &|t| {
        t.insert(part("A"), SavedTensor { shape: vec![0, 16], values: Vec::new() });
        t.insert(part("B"), SavedTensor { shape: vec![16, 0], values: Vec::new() });
    });
    case(&["score.weight", "[2, 16]", "[1, 16]"], &|t| {
        let head = SavedTensor { shape: vec![2, 16], values: vec![0.0; 32] };
        t.insert("base_model.model.score.weight".to_owned(), head);
    });
    // The right adapter on another base.
    let folder = copy_of("llama-qv");
    change_config(folder.path(), |json| {
        json["base_model_name_or_path"] = json!(base_folder("opt"));
    });
    refused(folder.path(), &["decoder.layers.0", "base"]);
}

#[test]
fn missing_and_torn_files_are_refused() {
    let folder = copy_of("llama-qv");
    std::fs::remove_file(folder.path().join("adapter_model.safetensors")).unwrap();
    refused(folder.path(), &["adapter_model.safetensors"]);
    for file in ["adapter_model.safetensors", "adapter_config.json"] {
        let whole = std::fs::read(adapter_folder("llama-qv").join(file)).unwrap();
        for length in [0, 1, 7, 8, 9, 200, whole.len() / 2, whole.len() - 2] {
            let folder = copy_of("llama-qv");
            std::fs::write(folder.path().join(file), &whole[..length]).unwrap();
            refused(folder.path(), &[file]);
        }
    }
    let folder = copy_of("llama-qv");
    change_config(folder.path(), |json| json["base_model_name_or_path"] = json!("/no/such/model"));
    refused(folder.path(), &["/no/such/model"]);
}

#[test]
fn an_adapter_of_an_adapter_is_refused_rather_than_half_used() {
    let (outer, inner) = (copy_of("llama-qv"), copy_of("llama-all"));
    change_config(outer.path(), |json| json["base_model_name_or_path"] = json!(inner.path()));
    refused(outer.path(), &["is itself an adapter", "merge"]);
    change_config(inner.path(), |json| json["base_model_name_or_path"] = json!(inner.path()));
    refused(inner.path(), &["is itself an adapter", "merge"]);
}

/// Whatever JSON there is.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3i64..20).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        r"[qkv.*+?()\[\]|\\^${}0-9]{0,9}".prop_map(Value::from),
        Just(json!("all-linear")),
        Just(json!("q_proj")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[qv_proj.*(]{0,8}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn no_config_makes_it_panic() {
    let folder = copy_of("llama-qv");
    let original = config_of(folder.path());
    let keys: Vec<String> = original.as_object().unwrap().keys().cloned().collect();
    let change = (prop::sample::select(keys), any_json());
    let accepted = std::cell::Cell::new(0);
    cases(1500)
        .run(&prop::collection::vec(change, 1..3), |changes| {
            let mut json = original.clone();
            for (key, value) in changes {
                json[key] = value;
            }
            std::fs::write(folder.path().join("adapter_config.json"), json.to_string()).unwrap();
            match use_adapter(folder.path()) {
                Ok(_) => accepted.set(accepted.get() + 1),
                Err(message) => prop_assert!(message.len() > 20, "{message}"),
            }
            Ok(())
        })
        .unwrap();
    let accepted = accepted.get();
    // Keys that change nothing exist, and keys that decide everything do.
    assert!((100..1400).contains(&accepted), "{accepted} of 1500 were accepted");
}

#[test]
fn no_damage_to_the_tensors_makes_it_panic() {
    let folder = copy_of("llama-qv");
    let path = folder.path().join("adapter_model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    cases(1000)
        .run(&(0..header, any::<u8>(), 0..=whole.len()), |(at, byte, length)| {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            // Half of the files are complete.
            bytes.truncate(if length % 2 == 0 { whole.len() } else { length });
            std::fs::write(&path, &bytes).unwrap();
            if let Err(message) = use_adapter(folder.path()) {
                prop_assert!(message.contains("adapter"), "{message}");
            }
            Ok(())
        })
        .unwrap();
}
