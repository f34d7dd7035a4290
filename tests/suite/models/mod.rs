//! Decoders against transformers, on the checkpoints of `tests/fixtures/models`.
//! `make_models.py` says what their numbers are.

mod contrast;
mod difficulty;
mod distillation;
mod files;
mod gradients;
mod outputs;

use burn::tensor::{Device, Tensor, TensorData};
use confide::batch::{Batch, Sequence};
use confide::model::{Checkpoint, Decoder, DecoderInput, ModelFiles, load};
use serde_json::Value;

use crate::common::{fixture, ids, numbers, repository, vector};

/// Checkpoints whose fixtures hold everything.
const FAMILIES: [&str; 16] = [
    "gemma3",
    "gpt2",
    "gpt2-bare",
    "llama",
    "llama-linear",
    "llama-tied",
    "llama3-rope",
    "mistral",
    "mistral-window",
    "opt",
    "opt-postln",
    "opt-untied",
    "qwen2",
    "qwen2-untied",
    "qwen2-window",
    "qwen3",
];

/// Checkpoints in half precision; their fixtures hold outputs only.
const HALVES: [&str; 2] = ["llama-tied-bf16", "llama-tied-f16"];

/// Checkpoints of sequence classifiers.
const SCORED: [&str; 8] = [
    "gemma3-score",
    "gpt2-score",
    "llama-score",
    "mistral-score",
    "opt-score",
    "opt-postln-score",
    "qwen2-score",
    "qwen3-score",
];

fn files(name: &str) -> ModelFiles {
    ModelFiles::folder(&repository("tests/fixtures/models").join(name)).unwrap()
}

fn open(name: &str) -> Checkpoint {
    load(&files(name), &Device::flex()).unwrap()
}

fn expected(name: &str) -> Value {
    fixture(&format!("models/{name}/expected.json"))
}

/// The fixture's two sequences without padding, cut into prompt and response at `split`.
fn sequences(expected: &Value, split: usize) -> Vec<Sequence> {
    let right = Padded::of(expected, "right");
    let rows = right.ids.iter().zip(&right.mask);
    rows.map(|(row, mask)| {
        let real = row.iter().zip(mask).filter(|(_, m)| **m == 1).map(|(t, _)| *t);
        let real: Vec<u32> = real.collect();
        Sequence { prompt: real[..split].into(), response: real[split..].to_vec() }
    })
    .collect()
}

fn batch(sequences: &[Sequence]) -> Batch {
    Batch::one_per_row(&sequences.iter().collect::<Vec<_>>(), 0)
}

/// The fixture's batch as transformers saw it.
struct Padded {
    ids: Vec<Vec<u32>>,
    mask: Vec<Vec<u32>>,
    positions: Vec<Vec<u32>>,
}

impl Padded {
    fn of(expected: &Value, side: &str) -> Self {
        let rows = |key: &str| expected[side][key].as_array().unwrap().iter().map(ids).collect();
        Self {
            ids: rows("input_ids"),
            mask: rows("attention_mask"),
            positions: rows("position_ids"),
        }
    }

    /// Tokens, positions and a mask that hides padding from everything but itself.
    fn input(&self, device: &Device) -> DecoderInput {
        let (b, t) = (self.ids.len(), self.ids[0].len());
        let ints = |rows: &[Vec<u32>]| {
            let values: Vec<i32> = rows.concat().into_iter().map(|v| v as i32).collect();
            Tensor::from_data(TensorData::new(values, [b, t]), device)
        };
        let hides = |row: usize, q: usize, k: usize| k > q || (self.mask[row][k] == 0 && k != q);
        let hidden: Vec<bool> =
            (0..b * t * t).map(|i| hides(i / (t * t), i / t % t, i % t)).collect();
        DecoderInput {
            tokens: ints(&self.ids),
            positions: ints(&self.positions),
            hidden_keys: Some(Tensor::from_data(TensorData::new(hidden, [b, t, t]), device)),
            spans: None,
        }
    }

    /// Hidden states of the rightmost token of each row that is not `pad`, `[B, E]`.
    fn states_of_last(&self, model: &Decoder, pad: u32) -> Tensor<2> {
        let hidden = model.hidden(&self.input(&model.device()), None);
        let width = hidden.dims()[2];
        let last = |row: &Vec<u32>| row.iter().rposition(|&id| id != pad).unwrap();
        let rows = self.ids.iter().enumerate().map(|(row, ids)| {
            let at = last(ids);
            hidden.clone().slice([row..row + 1, at..at + 1]).reshape([1, width])
        });
        Tensor::cat(rows.collect(), 0)
    }
}

/// This decoder with the fixture's scalar head.
fn with_score(model: Decoder, expected: &Value) -> Decoder {
    let weights = numbers(&expected["score_weight"]).into_iter().map(|v| v as f32);
    let weights: Vec<f32> = weights.collect();
    let shape = [weights.len(), 1];
    model.with_score(Tensor::from_data(TensorData::new(weights, shape), &Device::flex()))
}

/// Panic unless all numbers agree within 1e-4, large ones too.
#[track_caller]
fn assert_within(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: count");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let error = (f - e).abs();
        assert!(error <= 1e-4, "{what}[{i}]: {f} instead of {e}, off by {error:e}");
    }
}
