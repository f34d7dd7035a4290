//! Packed rows against one sequence to a row: the same numbers, from fewer positions.

mod kernels;
mod layout;
mod shared;

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use confide::batch::{Batch, Sequence};
use confide::model::{
    Decoder, ModelFiles, load, next_token_log_odds, sequence_log_probs, sequence_scores,
};
use confide::train::OutputKind;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use self::shared::{behind_heads, distance, pass};
use crate::common::{repository, vector};

/// Learned and rotary positions, with and without windows, shared key/value heads, norms of heads,
/// post-norm layers, projections around the layers, an untied head.
const FAMILIES: [&str; 9] = [
    "gemma3",
    "gpt2",
    "llama3-rope",
    "mistral-window",
    "opt",
    "opt-postln",
    "qwen2-untied",
    "qwen2-window",
    "qwen3",
];

const PAD: u32 = 0;

fn model(family: &str) -> Decoder {
    let folder = repository("tests/fixtures/models").join(family);
    load(&ModelFiles::folder(&folder).unwrap(), &Device::flex()).unwrap().decoder
}

/// Prompts with one to three responses each, shuffled: some prompts empty, some responses of one
/// token, some of padding alone.
fn random_sequences(seed: u64, groups: usize) -> Vec<Sequence> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut sequences = Vec::new();
    for _ in 0..groups {
        let mut tokens =
            |n: usize| -> Vec<u32> { (0..n).map(|_| rng.random_range(1..60)).collect() };
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ sequences.len() as u64);
        let prompt: Arc<[u32]> = tokens(rng.random_range(0..14)).into();
        for _ in 0..rng.random_range(1..4) {
            let mut response = tokens(rng.random_range(1..9));
            if rng.random_range(0..6) == 0 {
                response.push(PAD);
            }
            sequences.push(Sequence { prompt: prompt.clone(), response });
        }
    }
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by_key(|i| (i * 7919 + seed as usize) % 31);
    order.into_iter().map(|i| sequences[i].clone()).collect()
}

/// The same sequences, so many tokens before each prompt.
fn behind(head: usize, sequences: &[Sequence]) -> Vec<Sequence> {
    let head: Vec<u32> = (1..60).cycle().take(head).collect();
    let with = |sequence: &Sequence| Sequence {
        prompt: head.iter().chain(&*sequence.prompt).copied().collect(),
        ..sequence.clone()
    };
    sequences.iter().map(with).collect()
}

/// Sequences behind so many common tokens, in one row behind their heads, and one to a row.
fn both(head: usize, sequences: &[Sequence]) -> [Batch; 2] {
    let sequences = behind(head, sequences);
    let all: Vec<&Sequence> = sequences.iter().collect();
    [behind_heads(head, &all, PAD), Batch::one_per_row(&all, PAD)]
}

/// Panic unless numbers agree to 1e-5 of the largest, or of a tenth.
#[track_caller]
fn assert_equal(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: count");
    let size = expected.iter().fold(0.1, |a: f64, b| a.max(b.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= 1e-5 * size, "{what}[{i}]: {f} instead of {e}");
    }
}

fn with_score(model: Decoder) -> Decoder {
    let width = model.config().embedding;
    let head: Vec<f32> = (0..width).map(|i| (i as f32 * 0.7).sin()).collect();
    model.with_score(Tensor::<1>::from_floats(head.as_slice(), &Device::flex()).reshape([width, 1]))
}

#[test]
fn log_probabilities_scores_and_gradients_are_those_of_single_rows() {
    for family in FAMILIES {
        let model = with_score(model(family));
        // Windows are shorter than the longest head.
        for (seed, head) in [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 9)] {
            let [packed, single] = both(head, &random_sequences(seed, 1 + seed as usize % 4));
            for readout in [OutputKind::LogProbs, OutputKind::Scores] {
                let (expected, plain) = pass(&model, &single, readout, false);
                for recompute in [false, true] {
                    let what = format!("{family}, seed {seed}, {readout:?}, {recompute}");
                    let (found, gradients) = pass(&model, &packed, readout, recompute);
                    assert_equal(&found, &expected, &what);
                    let (apart, size) = distance(&gradients, &plain);
                    assert!(apart <= 1e-5 * size, "{what}: {apart:e} of {size:e}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_composition_gives_the_same_outputs(
        seed in 0u64..1 << 32,
        groups in 1usize..7,
        which in 0usize..9,
        head in prop_oneof![Just(0), 1usize..12],
    ) {
        let model = with_score(model(FAMILIES[which]));
        let [packed, single] = both(head, &random_sequences(seed, groups));
        let log_probs = |batch: &Batch| vector(sequence_log_probs(&model, batch));
        assert_equal(&log_probs(&packed), &log_probs(&single), FAMILIES[which]);
        let scores = |batch: &Batch| vector(sequence_scores(&model, batch));
        assert_equal(&scores(&packed), &scores(&single), FAMILIES[which]);
        let odds = |batch: &Batch| vector(next_token_log_odds(&model, batch, [3, 40]));
        assert_equal(&odds(&packed), &odds(&single), FAMILIES[which]);
    }
}

/// A policy that equals its reference must give exactly its log-probabilities, whatever it is
/// computed beside.
#[test]
fn what_else_is_in_a_batch_changes_nothing_on_the_cpu() {
    for family in FAMILIES {
        let model = model(family);
        let sequences = random_sequences(11, 5);
        let all: Vec<&Sequence> = sequences.iter().collect();
        let together = vector(sequence_log_probs(&model, &Batch::packed(&all, PAD)));
        for part in [2, 3] {
            let apart: Vec<f64> = all
                .chunks(part)
                .flat_map(|some| vector(sequence_log_probs(&model, &Batch::packed(some, PAD))))
                .collect();
            assert_eq!(apart, together, "{family}, {part} at a time");
        }
    }
}
