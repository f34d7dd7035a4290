//! Frozen weights in fewer bits: what they cost, and that everything else is computed as if the
//! rounded weights were in f32.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{DType, Device};
use confide::model::{
    Checkpoint, ModelFiles, Precision, SavedTensor, Storage, Targets, collect_tensors,
    collect_trained, save, take_tensors,
};
use confide::run::Recipe;
use confide::train::{AdamW, PassSettings};

use super::shared::*;
use crate::common::assert_close;

const NARROW: [Precision; 4] = [Precision::F16, Precision::Bf16, Precision::Int8, Precision::Int4];

/// A folder with a model whose rows are whole blocks of 32, or are not.
fn model(sizes: [usize; 3]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    tiny_llama(folder.path(), sizes);
    folder
}

const BLOCKS: [usize; 3] = [64, 96, 80];
/// 24 and 40 are no multiples of 32, 64 is.
const MIXED: [usize; 3] = [24, 64, 65];

fn adapted(folder: &Path, precision: Precision) -> Checkpoint {
    shaken(with_adapter(open_as(folder, precision), plain(4, Targets::AllLinear)))
}

/// Shapes that occur here: families whose projections are fused, biased, projected.
fn folders() -> Vec<(String, tempfile::TempDir)> {
    let mut folders = vec![
        ("whole blocks".to_owned(), model(BLOCKS)),
        ("broken blocks".to_owned(), model(MIXED)),
    ];
    for name in ["gpt2", "opt-postln", "qwen3", "llama-score"] {
        let folder = tempfile::tempdir().unwrap();
        for file in ["config.json", "model.safetensors"] {
            std::fs::copy(base_folder(name).join(file), folder.path().join(file)).unwrap();
        }
        folders.push((name.to_owned(), folder));
    }
    folders
}

#[test]
fn narrow_weights_compute_what_the_rounded_weights_in_f32_do() {
    for (name, folder) in folders() {
        for precision in NARROW {
            let narrow = adapted(folder.path(), precision).decoder;
            // The same decoder in f32 with the numbers that are really stored.
            let wide = take_tensors(
                adapted(folder.path(), Precision::F32).decoder,
                collect_tensors(&narrow),
            );
            let what = format!("{name} in {}", precision.name());
            for recompute in [false, true] {
                let settings = PassSettings { recompute, seed: 0 };
                let run = |decoder| pass(decoder, &batch(), &[-0.6, 0.8], settings);
                let ((found, gradients), (wanted, expected)) = (run(&narrow), run(&wide));
                assert_close(&found, &wanted, 1e-5, &what);
                let (gradients, expected) = (by_name(&gradients), by_name(&expected));
                assert!(gradients.keys().eq(expected.keys()), "{what}");
                for (path, gradient) in &gradients {
                    assert_close(gradient, &expected[path], 1e-5, &format!("{what} {path}"));
                }
            }
            assert_eq!(
                outputs(&narrow, &batch()),
                pass(&narrow, &batch(), &[0.0; 2], PassSettings { recompute: false, seed: 0 }).0,
                "{what}"
            );
        }
    }
}

/// By how much a stored number may differ: half a step of its type or of its block.
fn allowed(precision: Precision, original: &SavedTensor, at: usize) -> f64 {
    let value = f64::from(original.values[at]).abs();
    let width = *original.shape.last().unwrap();
    let whole_blocks = width.is_multiple_of(32);
    let first = at - at % 32;
    let peak = || {
        let block = &original.values[first..first + 32];
        block.iter().fold(0.0f32, |peak, v| peak.max(v.abs()))
    };
    match precision {
        Precision::F32 => 0.0,
        Precision::F16 => value * 2f64.powi(-11) + 2f64.powi(-25),
        Precision::Int8 if whole_blocks => f64::from(peak()) / 254.0 * (1.0 + 1e-5),
        Precision::Int4 if whole_blocks => f64::from(peak()) / 14.0 * (1.0 + 1e-5),
        // The CPU has bf16, which tables are stored in.
        Precision::Bf16 | Precision::Int8 | Precision::Int4 => value * 2f64.powi(-8),
    }
}

#[test]
fn stored_numbers_are_off_by_half_a_step_at_most() {
    for sizes in [BLOCKS, MIXED] {
        let folder = model(sizes);
        let original = collect_tensors(&open(folder.path()).decoder);
        for precision in NARROW {
            let stored = collect_tensors(&open_as(folder.path(), precision).decoder);
            assert!(stored.keys().eq(original.keys()));
            let mut changed = 0;
            for (name, tensor) in &stored {
                let wanted = &original[name];
                assert_eq!(tensor.shape, wanted.shape, "{name}");
                let table = ["embedding.weight", "head.weight"].contains(&name.as_str());
                let kind = match (wanted.shape.len(), table, precision) {
                    // Vectors are norms and biases.
                    (1, ..) => Precision::F32,
                    (_, true, Precision::Int8 | Precision::Int4) => Precision::Bf16,
                    _ => precision,
                };
                for (i, (found, value)) in tensor.values.iter().zip(&wanted.values).enumerate() {
                    let error = (f64::from(*found) - f64::from(*value)).abs();
                    let limit = allowed(kind, wanted, i);
                    assert!(error <= limit, "{name}[{i}] in {kind:?}: {error:e} above {limit:e}");
                    changed += usize::from(found != value);
                }
            }
            assert!(changed > 1000, "{precision:?} rounded {changed} numbers");
        }
    }
}

#[test]
fn fewer_bits_cost_more_and_none_cost_much() {
    let folder = model(BLOCKS);
    let of = |precision| outputs(&adapted(folder.path(), precision).decoder, &batch());
    let exact = of(Precision::F32);
    let error = |precision| {
        let found = of(precision);
        found.iter().zip(&exact).map(|(f, e)| ((f - e) / e).abs()).fold(0.0, f64::max)
    };
    let [f16, bf16, int8, int4] = NARROW.map(error);
    eprintln!("relative errors: f16 {f16:e}, bf16 {bf16:e}, int8 {int8:e}, int4 {int4:e}");
    assert!(f16 > 0.0 && f16 < 1e-3, "{f16}");
    assert!(bf16 < 1e-2 && int8 < 1e-2 && int4 < 0.15, "{bf16} {int8} {int4}");
    assert!(f16 < bf16 && int8 < int4);
}

#[test]
fn what_is_trained_is_f32_and_the_rest_stays_as_stored() {
    for precision in NARROW {
        let folder = model(BLOCKS);
        let mut checkpoint =
            with_adapter(open_as(folder.path(), precision), plain(4, Targets::AllLinear));
        let types = |checkpoint: &Checkpoint| {
            let d = &checkpoint.decoder;
            let mut types = vec![("embedding".to_owned(), d.embedding.weight.val().dtype())];
            for (path, linear) in d.linears() {
                let lora = linear.lora.as_ref().unwrap();
                assert_eq!(lora.a.val().dtype(), DType::F32, "{path}");
                assert_eq!(lora.b.val().dtype(), DType::F32, "{path}");
                types.push((path, linear.weight.val().dtype()));
            }
            assert_eq!(d.norm.as_ref().unwrap().weight.val().dtype(), DType::F32);
            types
        };
        let before = types(&checkpoint);
        for (path, dtype) in &before {
            let packed = matches!(dtype, DType::QFloat(_));
            let wanted = match precision {
                Precision::F16 => *dtype == DType::F16,
                Precision::Bf16 => *dtype == DType::BF16,
                _ if path == "embedding" => *dtype == DType::BF16,
                _ => packed,
            };
            assert!(wanted, "{path} in {precision:?} is {dtype:?}");
        }
        let stored = collect_tensors(&checkpoint.decoder);
        let trainable = collect_trained(&checkpoint.decoder);
        let first = outputs(&checkpoint.decoder, &batch());
        let mut optimiser = AdamW::new(0.0);
        for seed in 0..6 {
            let settings = PassSettings { recompute: seed % 2 == 0, seed };
            let (_, gradients) = pass(&checkpoint.decoder, &batch(), &[-1.0, 0.0], settings);
            assert_eq!(gradients.iter().count(), trainable.len());
            checkpoint.decoder = optimiser.step(checkpoint.decoder, gradients, 1e-2);
        }
        // It learns: the first response became likelier.
        assert!(outputs(&checkpoint.decoder, &batch())[0] > first[0] + 1.0, "{precision:?}");
        assert!(types(&checkpoint) == before);
        for (name, tensor) in collect_tensors(&checkpoint.decoder) {
            assert_eq!(tensor == stored[&name], !trainable.contains_key(&name), "{name}");
        }
    }
}

#[test]
fn a_merged_export_of_narrow_weights_computes_the_same() {
    for (name, folder) in folders() {
        for precision in NARROW {
            let narrow = adapted(folder.path(), precision);
            let out = tempfile::tempdir().unwrap();
            save(out.path(), &narrow, Some(0), Storage::F32).unwrap();
            let merged = open(out.path());
            let (found, wanted) =
                (outputs(&merged.decoder, &batch()), outputs(&narrow.decoder, &batch()));
            assert_close(&found, &wanted, 1e-5, &format!("{name} {}", precision.name()));
        }
    }
}

#[test]
fn numbers_that_int8_holds_are_stored_exactly_again() {
    let folder = model(BLOCKS);
    let once = collect_tensors(&open_as(folder.path(), Precision::Int8).decoder);
    let checkpoint = open(folder.path());
    let checkpoint =
        Checkpoint { decoder: take_tensors(checkpoint.decoder, once.clone()), ..checkpoint };
    let out = tempfile::tempdir().unwrap();
    save(out.path(), &checkpoint, None, Storage::F32).unwrap();
    let twice = collect_tensors(&open_as(out.path(), Precision::Int8).decoder);
    for (name, tensor) in &twice {
        let wide = |t: &SavedTensor| t.values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        assert_close(&wide(tensor), &wide(&once[name]), 1e-6, name);
    }
}

#[test]
fn every_precision_is_possible_on_the_cpu() {
    for precision in Precision::ALL {
        precision.check(&Device::flex()).unwrap();
    }
}

#[test]
fn bytes_are_counted_as_they_are_stored() {
    let device = Device::flex();
    let bytes = |p: Precision, columns| p.linear_bytes(10, columns, &device);
    assert_eq!(bytes(Precision::F32, 64), 2560);
    assert_eq!(bytes(Precision::F16, 64), 1280);
    // A byte each, and 20 scales of four.
    assert_eq!(bytes(Precision::Int8, 64), 720);
    assert_eq!(bytes(Precision::Int8, 40), 800);
}

#[test]
fn all_weights_can_be_trained_in_f32_only() {
    let recipe = |section: &str, key: &str, value: &str| {
        let set = [
            ("data.files", "x.jsonl"),
            ("annotator.model", "weak"),
            ("policy.model", "strong"),
            (key, value),
        ];
        let set: Vec<_> = set.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let recipe = Recipe::parse("", Path::new("r.toml"), &set).unwrap();
        let with_adapter = recipe.with(&[(format!("{section}.lora.rank"), "4".to_owned())]);
        with_adapter.unwrap_or_else(|e| panic!("{section} with an adapter: {e}"));
        recipe.check("r.toml")
    };
    for section in ["annotator", "policy"] {
        let key = format!("{section}.precision");
        for precision in NARROW {
            let message = recipe(section, &key, precision.name()).unwrap_err().to_string();
            for word in [&key, precision.name(), "lora.rank", "f32"] {
                assert!(message.contains(word), "{message}");
            }
        }
        recipe(section, &key, "f32").unwrap();
    }
    // Impossible settings of adapters are told with their section.
    for (key, value, word) in [
        ("policy.lora.dropout", "1.0", "dropout 1"),
        ("policy.lora.rank_pattern", "[\"q_proj\"]", "q_proj"),
        ("policy.lora.rank_pattern", "[\"q_proj=0\"]", "rank 0"),
        ("policy.lora.alpha_pattern", "[\"(=2\"]", "regular expression"),
        ("policy.lora.alpha", "inf", "alpha = inf"),
        ("policy.lora.rank", "100000", "rank 100000"),
    ] {
        let set: Vec<_> = [
            ("data.files", "x.jsonl"),
            ("annotator.model", "weak"),
            ("policy.model", "strong"),
            ("policy.lora.rank", "4"),
            (key, value),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
        let recipe = Recipe::parse("", Path::new("r.toml"), &set).unwrap();
        let message = recipe.check("r.toml").unwrap_err().to_string();
        assert!(message.contains("policy.lora") && message.contains(word), "{message}");
    }
}

#[test]
fn weights_that_no_type_holds_well_do_not_panic() {
    let folder = model(BLOCKS);
    let path = folder.path().join("model.safetensors");
    let sound: BTreeMap<String, SavedTensor> = confide::model::load_named(&path).unwrap();
    let write = |values: &[f32]| {
        let mut tensors = sound.clone();
        for (i, value) in values.iter().enumerate() {
            let name = format!("model.layers.{}.mlp.up_proj.weight", i % 2);
            let tensor = tensors.get_mut(&name).unwrap();
            tensor.values[64 * i..64 * (i + 1)].fill(*value);
        }
        confide::model::save_tensors(&path, &tensors, Storage::F32).unwrap();
    };
    write(&[1e30, 0.0, -0.0, 1e-40]);
    for precision in Precision::ALL.into_iter().filter(|p| *p != Precision::F16) {
        assert_eq!(outputs(&open_as(folder.path(), precision).decoder, &batch()).len(), 2);
    }
    // It would become infinite there, and everything after it no number.
    let files = ModelFiles::folder(folder.path()).unwrap();
    let refused = confide::model::load_as(&files, &Device::flex(), Precision::F16).unwrap_err();
    assert!(refused.to_string().contains("layers.0.ffn.up.weight holds 1e30"), "{refused}");
    for value in [f32::NAN, f32::INFINITY] {
        write(&[value]);
        let files = ModelFiles::folder(folder.path()).unwrap();
        for precision in Precision::ALL {
            let read = confide::model::load_as(&files, &Device::flex(), precision);
            let words = read.unwrap_err().to_string();
            assert!(words.contains("layers.0.mlp.up_proj") && words.contains("NaN"), "{words}");
        }
    }
}
