//! What folders say and hold: settings, parameters, what is written of them.

use std::collections::BTreeMap;

use burn::tensor::Device;
use confide::model::{
    DecoderConfig, ModelFiles, Storage, collect_tensors, load, parameters, read_config, save,
};

use super::{FAMILIES, HALVES, SCORED, files, open};
use crate::common::repository;

/// Folders of the fixtures that other tests read.
const ELSEWHERE: [&str; 1] = ["llama-sharded"];

fn all() -> impl Iterator<Item = &'static str> {
    FAMILIES.into_iter().chain(HALVES).chain(SCORED)
}

#[test]
fn no_fixture_is_left_out() {
    let mut listed: Vec<String> = all().chain(ELSEWHERE).map(str::to_owned).collect();
    let folders = std::fs::read_dir(repository("tests/fixtures/models")).unwrap();
    let mut found: Vec<String> =
        folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    listed.sort();
    found.sort();
    assert_eq!(listed, found);
}

/// Transformers 4 and 5 write the same settings under different names.
#[test]
fn older_settings_files_say_the_same() {
    let mut compared = 0;
    for name in all() {
        let older = files(name).path("config-v4.json");
        if !older.is_file() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(older, folder.path().join("config.json")).unwrap();
        let (_, older, _) = read_config(&ModelFiles::folder(folder.path()).unwrap()).unwrap();
        let (_, newer, _) = read_config(&files(name)).unwrap();
        assert_eq!(older, newer, "{name}");
        compared += 1;
    }
    assert!(compared >= 5, "{compared} folders hold config-v4.json");
}

#[test]
fn parameters_are_told_from_the_settings_alone() {
    for name in all() {
        let decoder = open(name).decoder;
        let told: BTreeMap<String, Vec<usize>> =
            parameters(decoder.config(), decoder.score.is_some())
                .into_iter()
                .map(|parameter| {
                    let [rows, columns] = parameter.shape;
                    let matrix = parameter.kind != confide::model::ParameterKind::Vector;
                    (parameter.path, if matrix { vec![rows, columns] } else { vec![columns] })
                })
                .collect();
        let held: BTreeMap<String, Vec<usize>> =
            collect_tensors(&decoder).into_iter().map(|(path, t)| (path, t.shape)).collect();
        assert_eq!(told, held, "{name}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    for name in FAMILIES.into_iter().chain(SCORED) {
        let checkpoint = open(name);
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &checkpoint, Some(0), Storage::F32).unwrap();
        let again = load(&ModelFiles::folder(folder.path()).unwrap(), &Device::flex()).unwrap();
        assert_eq!(again.decoder.config(), checkpoint.decoder.config(), "{name}");
        let (found, wanted) =
            (collect_tensors(&again.decoder), collect_tensors(&checkpoint.decoder));
        assert!(found == wanted, "{name}: other weights");
    }
}

#[test]
fn an_unknown_family_is_refused_with_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "mamba"}"#).unwrap();
    let error = read_config(&ModelFiles::folder(folder.path()).unwrap()).unwrap_err().to_string();
    assert!(error.contains("config.json") && error.contains("“mamba”"), "{error}");
    for family in ["llama", "mistral", "qwen2", "qwen3", "gemma3_text", "gpt2", "opt"] {
        assert!(error.contains(family), "{error}");
    }
}

/// The settings of a fixture with one of them changed, or without it.
fn changed(name: &str, key: &str, value: Option<&str>) -> Result<DecoderConfig, String> {
    let mut json = files(name).config().unwrap();
    let object = json.as_object_mut().unwrap();
    match value {
        Some(value) => object.insert(key.to_owned(), serde_json::from_str(value).unwrap()),
        None => object.remove(key),
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), json.to_string()).unwrap();
    let read = read_config(&ModelFiles::folder(folder.path()).unwrap());
    read.map(|(_, config, _)| config).map_err(|e| e.to_string())
}

/// What transformers makes of settings that say nothing, or switch windows off.
#[test]
fn windows_are_where_settings_put_them() {
    let window = |name: &str, key: &str, value: Option<&str>| {
        let window = changed(name, key, value).unwrap().window;
        window.map(|w| (w.tokens, w.layers))
    };
    assert_eq!(window("mistral", "sliding_window", None), Some((4096, vec![true; 2])));
    assert_eq!(window("mistral", "sliding_window", Some("null")), None);
    let upper = Some((8, vec![false, true]));
    assert_eq!(window("qwen2-window", "unknown", None), upper);
    assert_eq!(window("qwen2-window", "layer_types", None), upper);
    assert_eq!(window("qwen2-window", "use_sliding_window", Some("false")), None);
    let mut every = vec![true; 7];
    every[5] = false;
    assert_eq!(window("gemma3", "layer_types", None), Some((8, every)));
}

#[test]
fn settings_that_this_decoder_lacks_are_refused_by_name() {
    for (name, key, value) in [
        ("gemma3", "final_logit_softcapping", "30.0"),
        ("gemma3", "attn_logit_softcapping", "50.0"),
        ("gemma3", "use_bidirectional_attention", "true"),
        ("gemma3", "layer_types", "[\"full_attention\"]"),
        ("qwen2-window", "layer_types", "[\"full_attention\", \"linear_attention\"]"),
        ("qwen2-window", "sliding_window", "0"),
        ("mistral", "sliding_window", "-1"),
    ] {
        let error = changed(name, key, Some(value)).expect_err(key);
        assert!(error.contains("config.json") && error.contains(key), "{error}");
    }
}
