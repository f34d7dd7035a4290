//! What folders say and hold: settings, parameters, what is written of them.

use std::collections::BTreeMap;

use burn::tensor::Device;
use confide::model::{ModelFiles, Storage, collect_tensors, load, parameters, read_config, save};

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
