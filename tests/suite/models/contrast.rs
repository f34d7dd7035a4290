//! A model led away from another, against the logits of transformers.

use std::rc::Rc;

use confide::batch::{Batch, Sequence};
use confide::model::{Contrast, Decoder, Reading, read_sequences};
use confide::train::{OutputKind, Pass, PassSettings};

use super::distillation::shallow;
use super::{assert_within, expected, open, sequences, vector};
use crate::common::{assert_close, numbers};

fn reading(start: &Decoder, weight: f64) -> Reading {
    let contrast = Contrast { decoder: Rc::new(start.clone()), weight };
    Reading { contrast: Some(contrast), ..Reading::default() }
}

/// log p(token) under the softmax of (1 + λ)·own − λ·other.
fn extrapolated(own: &[f64], other: &[f64], weight: f64, token: u32) -> f64 {
    let mix = |(own, other): (&f64, &f64)| (1.0 + weight) * own - weight * other;
    let all: Vec<f64> = own.iter().zip(other).map(mix).collect();
    all[token as usize] - all.iter().map(|logit| logit.exp()).sum::<f64>().ln()
}

#[test]
fn extrapolated_sums_agree_with_transformers() {
    let weight = 0.5;
    for (own, start) in [("llama", "opt-untied"), ("gemma3", "llama"), ("llama-tied", "qwen3")] {
        let (fixture, other) = (expected(own), expected(start));
        let sequences = sequences(&fixture, 4);
        let sum = |i: usize| -> f64 {
            let logits = |of: &serde_json::Value, t: usize| numbers(&of["logits"][i][t + 3]);
            let tokens = sequences[i].response.iter().enumerate();
            tokens
                .map(|(t, &token)| {
                    extrapolated(&logits(&fixture, t), &logits(&other, t), weight, token)
                })
                .sum()
        };
        let plain = numbers(&fixture["sum_log_probs"]);
        let wanted = [plain[0], plain[1], sum(0), sum(1)];
        assert!((plain[0] - wanted[2]).abs() > 0.1);
        let decoder = open(own).decoder;
        let reading = reading(&open(start).decoder, weight);
        let packed = Batch::packed(&sequences.iter().collect::<Vec<_>>(), 0);
        for batch in [super::batch(&sequences), packed] {
            let found = vector(read_sequences(&decoder, &batch, &reading));
            assert_within(&found, &wanted, own);
            let settings = PassSettings { recompute: true, seed: 0 };
            let kind = OutputKind::LogProbs;
            let pass = Pass::forward_reading(&decoder, &batch, kind, &reading, settings);
            assert_within(&vector(pass.outputs()), &wanted, own);
        }
    }
}

/// More tokens and more positions than a chunk holds, and a model that is where it began.
#[test]
fn who_has_not_moved_is_led_nowhere() {
    let vocabulary = 4999;
    let decoder = shallow(vocabulary, 4, 1);
    let response = (0..700).map(|i| (i * 131 % vocabulary) as u32).collect();
    let sequence = Sequence { prompt: [5, 6].as_slice().into(), response };
    let batch = Batch::one_per_row(&[&sequence], 0);
    let found = vector(read_sequences(&decoder, &batch, &reading(&decoder, 2.0)));
    assert_close(&found[1..], &found[..1], 1e-5, "where it began");
    let elsewhere =
        vector(read_sequences(&decoder, &batch, &reading(&shallow(vocabulary, 6, 2), 2.0)));
    assert_eq!(elsewhere[0], found[0]);
    assert!((elsewhere[1] - found[1]).abs() > 1.0);
}
