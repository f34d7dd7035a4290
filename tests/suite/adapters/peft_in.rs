//! Adapters that PEFT wrote, with the numbers that PEFT computed from them.

use burn::tensor::{Bool, Int, Tensor, TensorData};
use confide::batch::Sequence;
use confide::model::{
    Checkpoint, Decoder, DecoderInput, Storage, input, save, sequence_log_probs, sequence_scores,
};
use confide::train::PassSettings;
use serde_json::Value;

use super::shared::*;
use crate::common::{assert_close, fixture, ids, numbers, vector};

pub(super) const LANGUAGE: [&str; 10] = [
    "gpt2-all",
    "gpt2-cattn",
    "llama-all",
    "llama-exclude",
    "llama-qv",
    "mistral-regex",
    "opt-postln-all",
    "opt-qv",
    "qwen2-pattern",
    "qwen3-all",
];
pub(super) const SCORED: [&str; 2] = ["gpt2-seqcls", "llama-seqcls"];
const TOLERANCE: f64 = 1e-4;

fn all() -> impl Iterator<Item = (&'static str, Checkpoint, Value)> {
    let names = LANGUAGE.into_iter().chain(SCORED);
    names.map(|name| {
        let expected = fixture(&format!("adapters/{name}/expected.json"));
        (name, open(&adapter_folder(name)), expected)
    })
}

/// Panic unless they agree to 1e-4, whatever their size.
#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: count");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= TOLERANCE, "{what}[{i}]: {f} instead of {e}");
    }
}

fn rows(side: &Value, key: &str) -> Vec<Vec<u32>> {
    side[key].as_array().unwrap().iter().map(ids).collect()
}

/// The two sequences without padding, cut into prompt and response.
fn sequences(expected: &Value) -> Vec<Sequence> {
    let right = &expected["right"];
    let real = |(row, mask): (Vec<u32>, Vec<u32>)| {
        let real: Vec<u32> =
            row.iter().zip(&mask).filter(|(_, m)| **m == 1).map(|(t, _)| *t).collect();
        Sequence { prompt: real[..4].into(), response: real[4..].to_vec() }
    };
    rows(right, "input_ids").into_iter().zip(rows(right, "attention_mask")).map(real).collect()
}

/// The rows padded on the left, and the first real column of each.
fn left_padded(expected: &Value) -> (DecoderInput, Vec<usize>, usize) {
    let device = burn::tensor::Device::flex();
    let left = &expected["left"];
    let (tokens, masks) = (rows(left, "input_ids"), rows(left, "attention_mask"));
    let (b, t) = (tokens.len(), tokens[0].len());
    let ints = |values: Vec<Vec<u32>>| {
        let values: Vec<i32> = values.concat().into_iter().map(|v| v as i32).collect();
        Tensor::<1, Int>::from_ints(values.as_slice(), &device).reshape([b, t])
    };
    let hides = |row: usize, q: usize, k: usize| k > q || (masks[row][k] == 0 && k != q);
    let hidden: Vec<bool> = (0..b)
        .flat_map(|r| (0..t).flat_map(move |q| (0..t).map(move |k| (r, q, k))))
        .map(|(r, q, k)| hides(r, q, k))
        .collect();
    let hidden = Tensor::<3, Bool>::from_data(TensorData::new(hidden, [b, t, t]), &device);
    let positions = rows(left, "position_ids");
    let first = masks.iter().map(|mask| mask.iter().position(|m| *m == 1).unwrap()).collect();
    let input = DecoderInput {
        tokens: ints(tokens),
        positions: ints(positions),
        hidden_keys: Some(hidden),
        spans: None,
    };
    (input, first, t)
}

/// Logits of a stretch of one row.
fn logits(decoder: &Decoder, hidden: &Tensor<3>, row: usize, columns: [usize; 2]) -> Vec<f64> {
    let width = hidden.dims()[2];
    let [from, to] = columns;
    let part = hidden.clone().slice([row..row + 1, from..to]).reshape([to - from, width]);
    vector(decoder.logits(part))
}

#[test]
fn logits_and_scores_are_those_of_peft_whichever_side_is_padded() {
    for (name, checkpoint, expected) in all() {
        let decoder = &checkpoint.decoder;
        let sequences = sequences(&expected);
        let batch = batch_of(&sequences);
        let (left, first, end) = left_padded(&expected);
        let from_left = decoder.hidden(&left, None);
        if decoder.score.is_some() {
            let found = vector(sequence_scores(decoder, &batch));
            assert_near(&found, &numbers(&expected["scores"]), name);
            let [rows, _, width] = from_left.dims();
            let last = from_left.narrow(1, end - 1, 1).reshape([rows, width]);
            let found = vector(decoder.scores(last));
            assert_near(&found, &numbers(&expected["scores_left"]), name);
            continue;
        }
        let from_right = decoder.hidden(&input(&batch, &decoder.device()), None);
        for (row, sequence) in sequences.iter().enumerate() {
            let wanted = numbers(&expected["logits"][row]);
            let right = logits(decoder, &from_right, row, [0, sequence.len()]);
            assert_near(&right, &wanted, &format!("{name} row {row}"));
            let left = logits(decoder, &from_left, row, [first[row], end]);
            assert_near(&left, &wanted, &format!("{name} row {row}, padded on the left"));
        }
    }
}

#[test]
fn outputs_and_gradients_are_those_of_peft_by_its_names() {
    for (name, checkpoint, expected) in all() {
        let batch = batch_of(&sequences(&expected));
        let scored = checkpoint.decoder.score.is_some();
        let wanted = numbers(&expected[if scored { "scores" } else { "sum_log_probs" }]);
        // The losses of the fixtures: −log σ(s₀ − s₁), and minus the mean.
        let slope = (1.0 / (1.0 + (wanted[0] - wanted[1]).exp())) as f32;
        let cotangent = if scored { [-slope, slope] } else { [-0.5, -0.5] };
        let mut both = Vec::new();
        for recompute in [false, true] {
            // The fixtures were computed without dropout, which llama-all asks for.
            let decoder = without_dropout(name).decoder;
            let settings = PassSettings { recompute, seed: 0 };
            let (found, gradients) = pass(&decoder, &batch, &cotangent, settings);
            assert_near(&found, &wanted, name);
            let found = by_name(&gradients);
            let wanted = expected["grads"].as_object().unwrap();
            assert_eq!(found.len(), wanted.len(), "{name}: {:?}", found.keys());
            for (path, gradient) in &found {
                let key = peft_name(&checkpoint, path);
                let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
                let numbers = numbers(&wanted[&key]);
                // n numbers that are off by a vector of norm ε have a sum off by √n·ε at most.
                let error = (gradient.iter().sum::<f64>() - numbers[0]).abs();
                let limit = TOLERANCE * numbers[1].max(1.0) * (gradient.len() as f64).sqrt();
                assert!(error <= limit, "{name} {key}: sum off by {error:e}");
                assert_close(&[norm], &numbers[1..], TOLERANCE, &format!("{name} {key}"));
            }
            both.push(found);
        }
        for (path, gradient) in &both[0] {
            assert_close(&both[1][path], gradient, 1e-5, &format!("{name} {path} recomputed"));
        }
    }
}

fn without_dropout(name: &str) -> Checkpoint {
    let folder = copy_of(name);
    change_config(folder.path(), |json| json["lora_dropout"] = 0.0.into());
    open(folder.path())
}

#[test]
fn modules_and_their_scaling_are_those_of_peft() {
    for (name, checkpoint, expected) in all() {
        let adapter = checkpoint.adapter.as_ref().unwrap();
        let wanted = expected["scaling"].as_object().unwrap();
        let mut found = 0;
        for (path, linear) in checkpoint.decoder.linears() {
            let Some(lora) = &linear.lora else { continue };
            let prefix = checkpoint.family.prefixes[0];
            let module = format!("{prefix}{}", checkpoint.family.module(&path).unwrap());
            let scale = adapter.scale_of(&module, lora.rank());
            let wanted = wanted[&module].as_f64().unwrap();
            assert_close(&[scale], &[wanted], 1e-6, &format!("{name} {module}"));
            found += 1;
        }
        assert_eq!(found, wanted.len(), "{name}");
    }
}

#[test]
fn a_merged_model_computes_what_peft_s_merged_model_does() {
    for (name, checkpoint, expected) in all() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &checkpoint, Some(0), Storage::F32).unwrap();
        let merged = open(folder.path());
        assert!(merged.adapter.is_none());
        let batch = batch_of(&sequences(&expected));
        let base = open(&base_folder(expected["base"].as_str().unwrap()));
        let (found, plain, keys) = if merged.decoder.score.is_some() {
            let of = |d: &Decoder| vector(sequence_scores(d, &batch));
            (of(&merged.decoder), of(&base.decoder), ["merged_scores", "base_scores"])
        } else {
            let of = |d: &Decoder| vector(sequence_log_probs(d, &batch));
            let keys = ["merged_sum_log_probs", "base_sum_log_probs"];
            (of(&merged.decoder), of(&base.decoder), keys)
        };
        assert_near(&found, &numbers(&expected[keys[0]]), name);
        assert_near(&plain, &numbers(&expected[keys[1]]), name);
    }
}
