//! The attention kernels against plain operations on the CPU, and packed rows against single ones.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use confide::batch::{Batch, Sequence};
use confide::kernels::check::{self, Shape};
use confide::train::OutputKind;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::common::vector;
use super::packing::{behind_heads, distance, pass, spans};
use super::{gpu, model};

fn random<const D: usize>(shape: [usize; D], seed: u64) -> TensorData {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(-1.5..1.5)).collect();
    TensorData::new(values, shape)
}

/// Prompts with one to three responses each, which begin with as many tokens alike; token ids below
/// `vocabulary`.
fn sequences(
    seed: u64,
    head: usize,
    groups: usize,
    longest: usize,
    vocabulary: u32,
) -> Vec<Sequence> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all = Vec::new();
    for _ in 0..groups {
        let mut tokens = |least: usize| -> Vec<u32> {
            let n = rng.random_range(least..longest);
            (0..n).map(|_| rng.random_range(1..vocabulary)).collect()
        };
        let shared = (1..vocabulary).cycle().take(head);
        let prompt: Arc<[u32]> = shared.chain(tokens(0)).collect();
        let responses = 1 + all.len() % 3;
        all.extend(
            (0..responses).map(|_| Sequence { prompt: prompt.clone(), response: tokens(1) }),
        );
    }
    all
}

/// How attention is computed.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Plain,
    Fused,
    EveryBlock,
}

/// What is mixed, and the gradients of queries, keys and values.
fn attend(
    inputs: &[TensorData; 4],
    spans: &Tensor<2, Int>,
    shape: Shape,
    device: &Device,
    way: Way,
) -> [Vec<f64>; 4] {
    let [q, k, v, slope] =
        inputs.each_ref().map(|data| Tensor::<2>::from_data(data.clone(), device));
    let leaves = [q, k, v].map(|x| x.autodiff().require_grad());
    let (qkv, spans) = (leaves.clone(), spans.clone());
    let mixed = match way {
        Way::EveryBlock => check::attention_of_every_block(qkv, spans, shape),
        _ => check::attention(qkv, spans, shape, way == Way::Fused),
    };
    let gradients = (mixed.clone() * slope.autodiff()).sum().backward();
    let [q, k, v] = leaves.map(|leaf| vector(leaf.grad(&gradients).unwrap()));
    [vector(mixed.inner()), q, k, v]
}

/// The largest difference over the largest number.
fn apart(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(1e-3, |most: f64, e| most.max(e.abs()));
    let differences = found.iter().zip(expected).map(|(f, e)| {
        assert!(f.is_finite(), "{f} instead of {e}");
        (f - e).abs()
    });
    differences.fold(0.0, f64::max) / size
}

/// Panic unless the kernels agree with plain operations on the CPU, and repeat themselves to the
/// last bit, skipping blocks or not; returns the largest difference.
pub(super) fn kernels_agree(
    device: &Device,
    (seed, head): (u64, usize),
    groups: usize,
    longest: usize,
    shape: Shape,
) -> f64 {
    let sequences = sequences(seed, head, groups, longest, 60);
    let on_cpu = Device::flex();
    let [spans, same_on_cpu] = [device, &on_cpu].map(|device| spans(head, &sequences, device));
    let n = spans.dims()[0];
    let (width, kv_width) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
    let inputs = [(n, width), (n, kv_width), (n, kv_width), (n, width)];
    let mut stream = 10 * seed;
    let inputs = inputs.map(|(rows, columns)| {
        stream += 1;
        random([rows, columns], stream)
    });
    let found = attend(&inputs, &spans, shape, device, Way::Fused);
    // Sums have one order, so that a run can be repeated to the last bit; what is hidden adds 0.
    for way in [Way::Fused, Way::EveryBlock] {
        assert!(attend(&inputs, &spans, shape, device, way) == found, "seed {seed}");
    }
    let expected = attend(&inputs, &same_on_cpu, shape, &on_cpu, Way::Plain);
    let mut worst: f64 = 0.0;
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let apart = apart(found, expected);
        worst = worst.max(apart);
        assert!(apart <= 1e-4, "seed {seed}, output or gradient {i}: {apart:e} apart");
    }
    worst
}

/// Rows of several blocks, heads that share keys, narrow and wide heads, windows.
#[test]
fn attention_kernels_agree_with_plain_operations() {
    let Some(device) = gpu() else { return };
    let mut worst: f64 = 0.0;
    for (seed, head, groups, longest, heads, kv_heads, head_dim, window) in [
        (1, 0, 1, 12, 1, 1, 8, None),
        (2, 0, 5, 40, 4, 2, 64, None),
        (3, 0, 4, 50, 3, 1, 80, Some(7)),
        (5, 0, 2, 90, 2, 2, 128, Some(40)),
        (6, 70, 6, 40, 2, 1, 64, None),
        (7, 40, 4, 30, 2, 2, 8, Some(50)),
    ] {
        let shape = Shape { heads, kv_heads, head_dim, window };
        worst = worst.max(kernels_agree(&device, (seed, head), groups, longest, shape));
    }
    eprintln!("largest difference {worst:e}");
}

#[test]
fn packed_rows_give_the_losses_and_gradients_of_single_rows() {
    let Some(device) = gpu() else { return };
    for (seed, family) in [(7, "llama3-rope"), (8, "opt"), (9, "qwen2-window")] {
        let sequences = sequences(seed, 9, 3, 14, 60);
        let all: Vec<&Sequence> = sequences.iter().collect();
        let model = model(family, &device);
        let compute = |batch| pass(&model, &batch, OutputKind::LogProbs, false);
        let (expected, single) = compute(Batch::one_per_row(&all, 0));
        for head in [0, 9] {
            let (found, gradients) = compute(behind_heads(head, &all, 0));
            let difference = apart(&found, &expected);
            assert!(difference <= 1e-3, "{family}, {head}: {difference:e} apart");
            let (between, size) = distance(&gradients, &single);
            assert!(between <= 1e-3 * size, "{family}, {head}: {between:e} of {size:e}");
        }
    }
}
