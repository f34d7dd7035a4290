//! Checkpoint folders as files: shards, headers, heads; damage of every kind.

use std::path::Path;

use burn::tensor::Device;
use confide::model::{Checkpoint, ModelError, ModelFiles, collect_tensors, load, read_config};
use proptest::prelude::*;

use crate::common::repository;

fn fixture(name: &str) -> std::path::PathBuf {
    repository("tests/fixtures/models").join(name)
}

/// A copy of a fixture's files, to be damaged.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn open(folder: &Path) -> Result<Checkpoint, ModelError> {
    load(&ModelFiles::folder(folder)?, &Device::flex())
}

/// The error's words, of which each must be there.
#[track_caller]
fn refused(folder: &Path, words: &[&str]) {
    let error = open(folder).expect_err("the folder was read").to_string();
    for word in words {
        assert!(error.contains(word), "“{word}” is not in: {error}");
    }
}

fn write_config(folder: &Path, key: &str, value: serde_json::Value) {
    let path = folder.join("config.json");
    let mut json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    json[key] = value;
    std::fs::write(&path, json.to_string()).unwrap();
}

#[test]
fn shards_hold_the_same_weights_as_one_file() {
    let (whole, shards) = (fixture("llama"), fixture("llama-sharded"));
    let tensors = |path: &Path| collect_tensors(&open(path).unwrap().decoder);
    assert_eq!(tensors(&whole), tensors(&shards));
}

#[test]
fn damaged_shards_are_named() {
    let shard = "model-00002-of-00004.safetensors";
    let folder = copy("llama-sharded");
    std::fs::remove_file(folder.path().join(shard)).unwrap();
    refused(folder.path(), &["index.json", shard, "missing"]);

    // A shard that lacks what the index says is in it.
    let folder = copy("llama-sharded");
    let other = folder.path().join("model-00001-of-00004.safetensors");
    std::fs::copy(other, folder.path().join(shard)).unwrap();
    refused(folder.path(), &[shard, "missing", "tensor"]);

    for outside in ["../x.safetensors", "/x.safetensors", "a/b.safetensors", "x.bin", ".."] {
        let folder = copy("llama-sharded");
        let index = folder.path().join("model.safetensors.index.json");
        let text = std::fs::read_to_string(&index).unwrap().replace(shard, outside);
        std::fs::write(&index, text).unwrap();
        refused(folder.path(), &["index.json", outside, "same folder"]);
    }
    let folder = copy("llama-sharded");
    std::fs::write(folder.path().join("model.safetensors.index.json"), "{}").unwrap();
    refused(folder.path(), &["weight_map"]);
}

#[test]
fn damaged_files_are_refused_in_words() {
    let file = "model.safetensors";
    let bytes = std::fs::read(fixture("llama").join(file)).unwrap();
    let huge = [&(1_u64 << 60).to_le_bytes()[..], &bytes[8..]].concat();
    for damaged in [&bytes[..bytes.len() - 1], &bytes[..100], &bytes[..5], &huge] {
        let folder = copy("llama");
        std::fs::write(folder.path().join(file), damaged).unwrap();
        refused(folder.path(), &[file, "damaged or cut short", "download it again"]);
    }
    let folder = copy("llama");
    std::fs::write(folder.path().join(file), b"").unwrap();
    refused(folder.path(), &[file, "empty"]);
    std::fs::remove_file(folder.path().join(file)).unwrap();
    refused(folder.path(), &[file, "there is no"]);
    std::fs::create_dir(folder.path().join(file)).unwrap();
    refused(folder.path(), &[file, "this is a folder"]);
}

#[test]
fn unfit_tensors_are_named() {
    let folder = copy("llama");
    write_config(folder.path(), "vocab_size", 65.into());
    refused(folder.path(), &["embed_tokens.weight", "[64, 16]", "[65, 16]"]);
    let folder = copy("llama");
    write_config(folder.path(), "num_hidden_layers", 3.into());
    refused(folder.path(), &["model.layers.2.", "missing", "model.safetensors"]);
    let folder = copy("llama");
    write_config(folder.path(), "model_type", "bert".into());
    refused(folder.path(), &["config.json", "bert", "llama", "gpt2", "opt"]);

    // Types without a reader.
    for (found, size) in [("F64", 8), ("I32", 4)] {
        let folder = copy("llama");
        let path = folder.path().join("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let (mut other, mut data) = (serde_json::Map::new(), Vec::new());
        for (name, info) in header.as_object().unwrap().iter().filter(|(n, _)| *n != "__metadata__")
        {
            let [from, to] = [0, 1].map(|i| info["data_offsets"][i].as_u64().unwrap() as usize);
            let mut info = info.clone();
            let start = data.len();
            if name == "model.embed_tokens.weight" {
                info["dtype"] = found.into();
                data.resize(start + (to - from) / 4 * size, 0);
            } else {
                data.extend_from_slice(&bytes[8 + length..][from..to]);
            }
            info["data_offsets"] = vec![start, data.len()].into();
            other.insert(name.clone(), info);
        }
        let header = serde_json::Value::Object(other).to_string();
        let start = (header.len() as u64).to_le_bytes();
        std::fs::write(&path, [&start[..], header.as_bytes(), &data].concat()).unwrap();
        refused(folder.path(), &["model.embed_tokens.weight", found, "float32"]);
    }
}

#[test]
fn heads_follow_the_configuration() {
    // Tied by its configuration alone: a head that is stored and differs is one of its own.
    let folder = copy("llama");
    write_config(folder.path(), "tie_word_embeddings", true.into());
    let checkpoint = open(folder.path()).unwrap();
    assert!(!checkpoint.decoder.config().tied && checkpoint.decoder.head.is_some());
    assert!(checkpoint.warnings[0].contains("lm_head.weight"), "{:?}", checkpoint.warnings);

    let folder = copy("llama-tied");
    write_config(folder.path(), "tie_word_embeddings", false.into());
    refused(folder.path(), &["lm_head.weight", "tie_word_embeddings"]);
}

#[test]
fn pickled_weights_are_refused_with_the_way_out() {
    for pickled in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
        let folder = copy("llama");
        std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
        std::fs::write(folder.path().join(pickled), b"cos\nsystem\n").unwrap();
        refused(folder.path(), &[pickled, "python -c", "save_file", "weights_only=True"]);
    }
}

#[test]
fn configurations_of_older_transformers_say_the_same() {
    for name in ["llama3-rope", "llama-linear", "qwen2"] {
        let new = read_config(&ModelFiles::folder(&fixture(name)).unwrap()).unwrap().1;
        let folder = copy(name);
        std::fs::copy(folder.path().join("config-v4.json"), folder.path().join("config.json"))
            .unwrap();
        let old = read_config(&ModelFiles::folder(folder.path()).unwrap()).unwrap().1;
        assert_eq!(old, new, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens to the bytes, the folder is refused or its tensors have their sizes.
    #[test]
    fn mutations_never_panic(
        changes in prop::collection::vec((0..6000_usize, any::<u8>()), 0..4),
        cut in prop::option::of(0..21_784_usize),
    ) {
        let folder = copy("llama-tied");
        let path = folder.path().join("model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let whole = bytes.len();
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        std::fs::write(&path, &bytes).unwrap();
        match open(folder.path()) {
            Ok(checkpoint) => {
                // A file that was cut can never be whole.
                prop_assert!(bytes.len() == whole);
                let found = collect_tensors(&checkpoint.decoder);
                let wanted = collect_tensors(&open(&fixture("llama-tied")).unwrap().decoder);
                prop_assert_eq!(found.len(), wanted.len());
                for (path, tensor) in &found {
                    prop_assert_eq!(&tensor.shape, &wanted[path].shape);
                    prop_assert_eq!(tensor.values.len(), wanted[path].values.len());
                }
            }
            Err(error) => prop_assert!(error.to_string().contains("model.safetensors") || error.to_string().contains("tensor")),
        }
    }
}
