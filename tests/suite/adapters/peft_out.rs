//! Adapters that Confide trained, as files that PEFT reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::tensor::Tensor;
use confide::model::{Checkpoint, Decoder, Targets, load_named, save_adapter};
use serde_json::Value;

use super::peft_in::{LANGUAGE, SCORED};
use super::python;
use super::shared::*;
use crate::common::vector;

struct Case {
    name: &'static str,
    base: &'static str,
    targets: Targets,
    rslora: bool,
    dropout: f64,
    ranks: &'static [(&'static str, usize)],
    alphas: &'static [(&'static str, f64)],
}

fn case(name: &'static str, base: &'static str, targets: Targets) -> Case {
    Case { name, base, targets, rslora: false, dropout: 0.0, ranks: &[], alphas: &[] }
}

fn all() -> Vec<Case> {
    let usual = || Targets::Names(Vec::new());
    let names = |names: &[&str]| Targets::Names(names.iter().map(|n| (*n).to_owned()).collect());
    vec![
        case("usual targets", "llama", usual()),
        Case { dropout: 0.2, ..case("every layer", "gpt2", Targets::AllLinear) },
        Case { rslora: true, ..case("rsLoRA", "opt-postln", Targets::AllLinear) },
        case("a regular expression", "qwen3", Targets::Pattern(r".*\.1\..*(q|up)_proj".to_owned())),
        // In each list several fit, and PEFT, which sorts them on saving, would take others.
        Case {
            ranks: &[(r"layers\.0\..*", 6), ("down_proj", 2)],
            alphas: &[("v_proj", 3.0), (r"layers\.\d.*", 10.0), ("q_proj", 5.0)],
            rslora: true,
            ..case("patterns", "qwen2", names(&["q_proj", "v_proj", "down_proj"]))
        },
        case("scores of a Llama", "llama-score", usual()),
        case("scores of a GPT-2", "gpt2-score", Targets::AllLinear),
        case("scores of an OPT", "opt-postln-score", usual()),
    ]
}

/// A case, trained for a few steps and written.
fn write(case: &Case, folder: &Path) -> Checkpoint {
    let owned = |(pattern, value): &(&str, _)| ((*pattern).to_owned(), *value);
    let mut adapter = plain(3, case.targets.clone());
    adapter.rslora = case.rslora;
    adapter.dropout = case.dropout;
    adapter.rank_pattern = case.ranks.iter().map(owned).collect();
    adapter.alpha_pattern = case.alphas.iter().map(|(p, a)| ((*p).to_owned(), *a)).collect();
    adapter.base = base_folder(case.base).to_str().unwrap().to_owned();
    let checkpoint = trained(with_adapter(open(&base_folder(case.base)), adapter.clone()), 4);
    save_adapter(folder, &checkpoint, &adapter).unwrap();
    checkpoint
}

#[test]
fn an_adapter_that_was_written_computes_what_it_did() {
    let _alone = alone();
    for case in all() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = write(&case, folder.path());
        let wanted = outputs(&checkpoint.decoder, &batch());
        let before = outputs(&open(&base_folder(case.base)).decoder, &batch());
        let change = wanted.iter().zip(&before).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(change > 0.05, "{}: training changed nothing: {change}", case.name);
        let read = open(folder.path());
        assert_eq!(outputs(&read.decoder, &batch()), wanted, "{}", case.name);
        // Written again, it is the same file.
        let again = tempfile::tempdir().unwrap();
        save_adapter(again.path(), &read, read.adapter.as_ref().unwrap()).unwrap();
        let file = "adapter_model.safetensors";
        let [first, second] =
            [&folder, &again].map(|f| std::fs::read(f.path().join(file)).unwrap());
        assert!(first == second, "{}", case.name);
    }
}

fn every_logit(decoder: &Decoder, sequences: &[Vec<u32>]) -> Vec<f64> {
    let of = |ids: &Vec<u32>| {
        let sequence =
            confide::batch::Sequence { prompt: ids[..1].into(), response: ids[1..].to_vec() };
        let batch = batch_of(&[sequence]);
        if decoder.score.is_some() {
            return vector(confide::model::sequence_scores(decoder, &batch));
        }
        let hidden = decoder.hidden(&confide::model::input(&batch, &decoder.device()), None);
        let [_, _, width] = hidden.dims();
        let real: Tensor<2> = hidden.narrow(1, 0, ids.len()).reshape([ids.len(), width]);
        vector(decoder.logits(real))
    };
    sequences.iter().flat_map(of).collect()
}

/// The largest difference to what PEFT computes; `None` without a Python.
pub(super) fn against_peft(base: &Path, adapter: &Path, decoder: &Decoder) -> Option<f64> {
    let sequences = [vec![5, 9, 11, 3, 8, 60, 1], vec![7, 2, 44], vec![33]];
    let found = python::ask_peft(base, adapter, &sequences)?;
    let ours = every_logit(decoder, &sequences);
    assert_eq!(found.len(), ours.len());
    Some(found.iter().zip(&ours).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
}

#[test]
fn peft_computes_the_same_from_it() {
    let _alone = alone();
    for case in all() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = write(&case, folder.path());
        let base = base_folder(case.base);
        let Some(error) = against_peft(&base, folder.path(), &checkpoint.decoder) else { return };
        eprintln!("{}: largest difference {error:e}", case.name);
        assert!(error <= 1e-4, "{}: {error:e}", case.name);
    }
}

/// The names, types and places in the header of a safetensors file, and its remarks.
fn header(path: &Path) -> BTreeMap<String, Value> {
    let bytes = std::fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    serde_json::from_slice(&bytes[8..8 + length]).unwrap()
}

#[test]
fn what_peft_wrote_is_written_again_as_it_was() {
    for name in LANGUAGE.into_iter().chain(SCORED) {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = open(&adapter_folder(name));
        save_adapter(folder.path(), &checkpoint, checkpoint.adapter.as_ref().unwrap()).unwrap();
        let file = "adapter_model.safetensors";
        let [ours, theirs] =
            [folder.path(), &adapter_folder(name)].map(|f| load_named(&f.join(file)).unwrap());
        assert!(ours == theirs, "{name}: {:?} and {:?}", ours.keys(), theirs.keys());
        let header = header(&folder.path().join(file));
        assert_eq!(header["__metadata__"]["format"], "pt");
        let mut names: Vec<&String> = header.keys().filter(|k| *k != "__metadata__").collect();
        assert!(names.iter().all(|n| header[*n]["dtype"] == "F32"));
        names.sort_by_key(|n| header[*n]["data_offsets"][0].as_u64());
        assert!(names.is_sorted(), "{name}: {names:?}");
        compare_configs(name, &config_of(folder.path()), &config_of(&adapter_folder(name)));
        let text = std::fs::read_to_string(folder.path().join("adapter_config.json")).unwrap();
        let keys = text.lines().filter(|l| l.starts_with("  \"")).map(|l| l.split('"').nth(1));
        assert!(keys.is_sorted(), "{text}");
    }
}

/// Every key that Confide writes is one of PEFT's, with the same meaning.
fn compare_configs(name: &str, ours: &Value, theirs: &Value) {
    for (key, value) in ours.as_object().unwrap() {
        let wanted = theirs.get(key).unwrap_or_else(|| panic!("{name}: PEFT has no “{key}”"));
        let set = |value: &Value| -> Option<BTreeSet<String>> {
            value.as_array()?.iter().map(|v| v.as_str().map(str::to_owned)).collect()
        };
        match (key.as_str(), set(value), set(wanted)) {
            // One entry for each module, and only the head that there is.
            ("rank_pattern" | "alpha_pattern", ..) if name == "qwen2-pattern" => {
                assert!(value.as_object().unwrap().keys().all(|k| k.starts_with("model.layers.")));
            }
            ("modules_to_save", Some(ours), Some(theirs)) => assert!(ours.is_subset(&theirs)),
            (_, Some(ours), Some(theirs)) => assert_eq!(ours, theirs, "{name} {key}"),
            _ => {
                let same =
                    value == wanted || (value.is_number() && value.as_f64() == wanted.as_f64());
                assert!(same, "{name} {key}: {value} instead of {wanted}");
            }
        }
    }
    for key in [
        "alpha_pattern",
        "base_model_name_or_path",
        "bias",
        "fan_in_fan_out",
        "inference_mode",
        "lora_alpha",
        "lora_dropout",
        "modules_to_save",
        "peft_type",
        "r",
        "rank_pattern",
        "target_modules",
        "task_type",
        "use_dora",
        "use_rslora",
    ] {
        assert!(ours.get(key).is_some(), "{name}: “{key}” is not written");
    }
}
