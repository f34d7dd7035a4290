//! The head in chunks against plain log-softmax under autodiff.

use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use confide::model::{
    Activation, Decoder, DecoderConfig, NormKind, Position, RotaryScaling, build, readout_in_chunks,
};
use proptest::prelude::*;

use super::shared::*;
use crate::common::{assert_close, vector};

/// A decoder without layers, of which only the head matters.
fn head(vocabulary: usize, width: usize, size: f32) -> Decoder {
    let config = DecoderConfig {
        vocabulary,
        hidden: width,
        embedding: width,
        layers: 0,
        heads: 1,
        kv_heads: 1,
        head_dim: width,
        ffn: 1,
        positions: 1,
        norm: NormKind::Rms,
        norm_eps: 1e-5,
        norm_first: true,
        norm_after: false,
        embedding_scale: None,
        window: None,
        attention_scale: None,
        position: Position::Rotary { theta: 1e4, scaling: RotaryScaling::None },
        activation: Activation::Silu,
        gated: true,
        fused_qkv: false,
        head_norm: false,
        qkv_bias: false,
        output_bias: false,
        ffn_bias: false,
        tied: false,
    };
    let get = |_: &str, shape: &[usize]| Ok(random(shape.iter().product(), 1, size));
    build(config, &Device::flex(), &get).unwrap()
}

/// Log-probabilities, their gradients, the head's gradient, and the logarithms of summed squares, by plain
/// operations.
fn plain(
    weight: Tensor<2>,
    hidden: &Tensor<2>,
    targets: &[u32],
    cotangent: &Tensor<1>,
) -> [Vec<f64>; 4] {
    let (m, device) = (targets.len(), Device::flex());
    let places: Vec<i32> = targets.iter().map(|t| *t as i32).collect();
    let places = Tensor::<2, Int>::from_data(TensorData::new(places, [m, 1]), &device);
    let values = |hidden: Tensor<2>, weight: Tensor<2>| {
        let logits = hidden.matmul(weight.transpose());
        activation::log_softmax(logits, 1).gather(1, places.clone())
    };
    let logits = hidden.clone().matmul(weight.clone().transpose());
    // Of small probabilities the squares have no f32.
    let twice = activation::log_softmax(logits, 1).mul_scalar(2.0);
    let most = twice.clone().max_dim(1);
    let squares = (twice - most.clone()).exp().sum_dim(1).log() + most;
    let leaf = hidden.clone().autodiff().require_grad();
    let found = values(leaf.clone(), weight.clone().autodiff());
    let jacobian = leaf.grad(&found.clone().sum().backward()).unwrap();
    let leaf = weight.autodiff().require_grad();
    let weighted = values(hidden.clone().autodiff(), leaf.clone());
    let weighted = weighted * cotangent.clone().autodiff().reshape([m, 1]);
    let gradient = leaf.grad(&weighted.sum().backward()).unwrap();
    [vector(found.inner()), vector(jacobian), vector(gradient), vector(squares)]
}

fn compare(m: usize, vocabulary: usize, width: usize, chunk: usize, size: f32) {
    let decoder = head(vocabulary, width, size);
    let hidden = Tensor::<1>::from_floats(random(m * width, 2, size).as_slice(), &Device::flex())
        .reshape([m, width]);
    // The first and the last token, and whichever between.
    let target = |i: usize| match i {
        0 => vocabulary as u32 - 1,
        1 => 0,
        _ => (i * 7919 % vocabulary) as u32,
    };
    let targets: Vec<u32> = (0..m).map(target).collect();
    let cotangent = Tensor::<1>::from_floats(random(m, 3, 1.0).as_slice(), &Device::flex());
    let weight = decoder.head.as_ref().unwrap().weight.val();
    let wanted = plain(weight, &hidden, &targets, &cotangent);
    let (values, jacobian, gradient, squares) =
        readout_in_chunks(&decoder, &hidden, &targets, &cotangent, chunk);
    let found = [vector(values), vector(jacobian), vector(gradient), vector(squares)];
    let names = ["log-probabilities", "jacobian", "the head's gradient", "summed squares"];
    // Rounding grows with the size of logits (width·size²), and with the sum over positions.
    let logits = (width as f64 * f64::from(size * size)).max(1.0);
    for ((found, wanted), name) in found.iter().zip(&wanted).zip(names) {
        let what = format!("{name} of {m} positions, {vocabulary} tokens, chunks of {chunk}");
        assert_close(found, wanted, 2e-6 * logits * f64::from(size.max(1.0)), &what);
    }
}

#[test]
fn chunks_of_any_size_give_what_plain_log_softmax_gives() {
    // (positions, chunk, size) × vocabularies around the narrowest chunk, 256 tokens.
    let counts = prop_oneof![Just(1usize), 2usize..40, Just(512), Just(513), Just(1030)];
    let vocabularies = prop_oneof![
        Just(2usize),
        3usize..256,
        Just(256),
        Just(257),
        Just(511),
        Just(512),
        300usize..1100
    ];
    let chunks = prop_oneof![Just(1usize), Just(1 << 10), Just(1 << 14), Just(1 << 20)];
    let sizes = prop_oneof![Just(0.1f32), Just(1.0), Just(4.0)];
    cases(60)
        .run(&(counts, vocabularies, chunks, sizes), |(m, vocabulary, chunk, size)| {
            compare(m, vocabulary, 6, chunk, size);
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_corners_are_among_them() {
    for m in [1, 2, 511, 512, 513] {
        for (vocabulary, chunk) in [(1, 1), (255, 1), (256, 1), (257, 1), (600, 1), (600, 1 << 20)]
        {
            compare(m, vocabulary, 4, chunk, 1.0);
        }
    }
}

/// exp of these logits has no f32: only numerators relative to the highest have.
#[test]
fn logits_of_a_thousand_do_not_overflow() {
    let decoder = head(600, 2, 1.0);
    let hidden = Tensor::<2>::from_floats([[1000.0, -900.0], [-1000.0, 1.0]], &Device::flex());
    let cotangent = Tensor::<1>::from_floats([1.0, 1.0], &Device::flex());
    let of = |chunk: usize| {
        let (values, jacobian, gradient, squares) =
            readout_in_chunks(&decoder, &hidden, &[3, 599], &cotangent, chunk);
        [vector(values), vector(jacobian), vector(gradient), vector(squares)]
    };
    let (whole, parts) = (of(1 << 20), of(1));
    for (whole, parts) in whole.iter().zip(&parts) {
        assert!(whole.iter().chain(parts).all(|v| v.is_finite()));
        assert_close(parts, whole, 1e-3, "chunks of one");
    }
}
