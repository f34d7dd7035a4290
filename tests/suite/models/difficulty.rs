//! Which tokens a model could have guessed, against the logits of transformers, and what is chosen by that.

use burn::tensor::Device;
use confide::batch::{Batch, Sequence};
use confide::model::{input, token_ranks};
use confide::train::{difficulty, hardest};
use proptest::prelude::*;

use super::distillation::shallow;
use super::{FAMILIES, assert_within, expected, open, sequences, vector};
use crate::common::numbers;

/// How many of a row of logits are higher than that of a token.
fn likelier(logits: &[f64], token: u32) -> f64 {
    logits.iter().filter(|logit| **logit > logits[token as usize]).count() as f64
}

#[test]
fn ranks_agree_with_transformers() {
    let mut ranks = Vec::new();
    for name in FAMILIES {
        let fixture = expected(name);
        let sequences = sequences(&fixture, 4);
        let decoder = open(name).decoder;
        let packed = Batch::packed(&sequences.iter().collect::<Vec<_>>(), 0);
        for batch in [super::batch(&sequences), packed] {
            let [log_probs, found] = token_ranks(&decoder, &batch).map(vector);
            let all: Vec<f64> = (0..2).flat_map(|i| numbers(&fixture["log_probs"][i])).collect();
            assert_within(&log_probs, &all, name);
            let wanted: Vec<f64> = (0..2)
                .flat_map(|i| {
                    let rows = &fixture["logits"][i];
                    let tokens = sequences[i].response.iter().enumerate();
                    tokens
                        .map(|(t, &token)| likelier(&numbers(&rows[t + 3]), token))
                        .collect::<Vec<_>>()
                })
                .collect();
            assert_eq!(found, wanted, "{name}");
            ranks.extend(found);
        }
    }
    assert!(ranks.iter().any(|n| *n < 10.0) && ranks.iter().any(|n| *n > 40.0), "{ranks:?}");
}

/// More tokens and more positions than a chunk holds.
#[test]
fn ranks_do_not_depend_on_chunks() {
    let vocabulary = 4999;
    let decoder = shallow(vocabulary, 4, 1);
    let response: Vec<u32> = (0..700).map(|i| (i * 131 % vocabulary) as u32).collect();
    let sequence = Sequence { prompt: [5, 6].as_slice().into(), response: response.clone() };
    let batch = Batch::one_per_row(&[&sequence], 0);
    let [_, found] = token_ranks(&decoder, &batch).map(vector);
    let hidden = decoder.hidden(&input(&batch, &Device::flex()), None);
    let [_, length, width] = hidden.dims();
    let head = decoder.head.as_ref().unwrap().weight.val();
    let logits = vector(hidden.reshape([length, width]).matmul(head.transpose()));
    for (i, (&token, found)) in response.iter().zip(found).enumerate() {
        let row = &logits[(i + 1) * vocabulary..(i + 2) * vocabulary];
        // Products of other shapes may round otherwise, so that neighbours change places.
        assert!((likelier(row, token) - found).abs() <= 1.0, "at {i}");
    }
}

#[test]
fn a_median_is_that_of_tokens_that_could_be_guessed() {
    let tokens = [(-3.0, 2), (-9.0, 500), (-1.0, 0), (-2.0, 9), (-4.0, 10)];
    assert_eq!(difficulty(&tokens, 10), Some(2.0));
    assert_eq!(difficulty(&tokens, 11), Some(2.5));
    assert_eq!(difficulty(&tokens, 1), Some(1.0));
    assert_eq!(difficulty(&tokens[1..2], 10), None);
    assert_eq!(difficulty(&[], 10), None);
}

proptest! {
    /// None that is left out is harder than one that is taken; those that nobody could guess come last.
    #[test]
    fn the_hardest_are_taken(
        all in prop::collection::vec(prop::option::weighted(0.8, 0.0..9.0f64), 0..60),
        share in 0.001..=1.0f64,
    ) {
        let taken = hardest(&all, share);
        prop_assert_eq!(taken.len(), (share * all.len() as f64).ceil() as usize);
        prop_assert!(taken.is_sorted_by(|a, b| a < b));
        let hard = |i: &usize| all[*i].unwrap_or(-1.0);
        let least = taken.iter().map(hard).fold(f64::INFINITY, f64::min);
        let left = (0..all.len()).filter(|i| !taken.contains(i));
        prop_assert!(left.map(|i| hard(&i)).all(|other| other <= least));
    }
}
