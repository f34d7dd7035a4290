//! Fused operations against the plain ones.

use burn::tensor::{Device, Tensor, TensorData, activation};
use confide::batch::Sequence;
use confide::kernels::check::{self, Shape};
use confide::model::Activation;

use super::shared::spans;
use super::{assert_equal, behind, random_sequences};
use crate::common::vector;

fn random<const D: usize>(shape: [usize; D], seed: usize) -> Tensor<D> {
    let count: usize = shape.iter().product();
    let value = |i: usize| ((i * 7919 + seed * 104_729) % 2003) as f32 / 700.0 - 1.43;
    let values: Vec<f32> = (0..count).map(value).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// A function's value, and the gradients of Σ slope·value for all its inputs.
fn differentiate<const D: usize>(
    inputs: &[Tensor<D>],
    f: &dyn Fn(&[Tensor<D>]) -> Tensor<D>,
) -> Vec<Vec<f64>> {
    let leaves: Vec<Tensor<D>> =
        inputs.iter().map(|x| x.clone().autodiff().require_grad()).collect();
    let y = f(&leaves);
    let slope = random(y.dims(), 99).autodiff();
    let gradients = (y.clone() * slope).sum().backward();
    let mut all = vec![vector(y.inner())];
    all.extend(leaves.iter().map(|x| vector(x.grad(&gradients).unwrap())));
    all
}

fn compare<const D: usize>(
    what: &str,
    inputs: &[Tensor<D>],
    fused: &dyn Fn(&[Tensor<D>]) -> Tensor<D>,
    plain: &dyn Fn(&[Tensor<D>]) -> Tensor<D>,
) {
    let (found, expected) = (differentiate(inputs, fused), differentiate(inputs, plain));
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_equal(found, expected, &format!("{what}, output or gradient {i}"));
    }
}

/// More tokens than one block of queries, heads that share keys, windows.
#[test]
fn attention_within_spans_is_attention_under_a_mask() {
    for (seed, groups, head, heads, kv_heads, window) in [
        (1, 2, 0, 2, 2, None),
        (2, 24, 0, 4, 2, None),
        (3, 9, 0, 3, 1, Some(5)),
        (4, 30, 0, 2, 1, Some(1)),
        (5, 3, 0, 2, 2, Some(1000)),
        (6, 7, 90, 2, 1, None),
        (7, 9, 13, 3, 1, Some(5)),
        (8, 4, 70, 2, 2, Some(24)),
        (9, 3, 3, 2, 2, Some(1)),
    ] {
        let mut sequences = random_sequences(seed, groups);
        // A group that needs several blocks.
        let prompt: std::sync::Arc<[u32]> = (1..40).cycle().take(100).collect();
        for n in [70, 3] {
            let response = (1..50).cycle().take(n).collect();
            sequences.push(Sequence { prompt: prompt.clone(), response });
        }
        let spans = spans(head, &behind(head, &sequences), &Device::flex());
        let n = spans.dims()[0];
        let shape = Shape { heads, kv_heads, head_dim: 8, window };
        let inputs =
            [random([n, heads * 8], 1), random([n, kv_heads * 8], 2), random([n, kv_heads * 8], 3)];
        let call = |fused: bool| {
            let spans = spans.clone();
            move |x: &[Tensor<2>]| {
                check::attention([0, 1, 2].map(|i| x[i].clone()), spans.clone(), shape, fused)
            }
        };
        compare(&format!("seed {seed}"), &inputs, &call(true), &call(false));
    }
}

#[test]
fn activations_and_gates_are_the_plain_ones() {
    // Wide enough for several chunks and for saturated values.
    let [x, up] = [random([37, 600], 1).mul_scalar(9.0), random([37, 600], 2)];
    for kind in [Activation::Silu, Activation::Relu, Activation::Gelu, Activation::GeluTanh] {
        let plain = move |x: Tensor<2>| match kind {
            Activation::Silu => activation::silu(x),
            Activation::Relu => activation::relu(x),
            Activation::Gelu => activation::gelu(x),
            Activation::GeluTanh => activation::gelu_approximate(x),
        };
        compare(
            &format!("{kind:?}"),
            std::slice::from_ref(&x),
            &|x| check::activate(kind, x[0].clone(), None),
            &|x| plain(x[0].clone()),
        );
        compare(
            &format!("{kind:?} as a gate"),
            &[x.clone(), up.clone()],
            &|x| check::activate(kind, x[0].clone(), Some(x[1].clone())),
            &|x| plain(x[0].clone()) * x[1].clone(),
        );
    }
}

#[test]
fn not_a_number_stays_one() {
    let x = Tensor::<2>::from_floats([[1.0, f32::NAN, -2.0]], &Device::flex());
    for kind in [Activation::Silu, Activation::Relu, Activation::Gelu, Activation::GeluTanh] {
        let y = vector(check::activate(kind, x.clone(), None));
        assert!(y[1].is_nan() && y[0].is_finite() && y[2].is_finite(), "{kind:?}: {y:?}");
    }
}

#[test]
fn adamw_is_its_formula() {
    let n = 40_000;
    let device = Device::flex();
    let (mut value, mut moments) =
        (random([n], 1), [Tensor::zeros([n], &device), Tensor::zeros([n], &device)]);
    let (mut x, mut m, mut v) = (vector(value.clone()), vec![0.0; n], vec![0.0; n]);
    for step in 1..4 {
        let gradient = random([n], 10 + step);
        let g = vector(gradient.clone());
        (value, moments) = check::adamw_step(value, gradient, moments, step as u64, 0.01, 0.1);
        for i in 0..n {
            m[i] = 0.9 * m[i] + 0.1 * g[i];
            v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
            let unbiased = [
                m[i] / (1.0 - 0.9f64.powi(step as i32)),
                v[i] / (1.0 - 0.999f64.powi(step as i32)),
            ];
            x[i] -= 0.01 * (0.1 * x[i] + unbiased[0] / (unbiased[1].sqrt() + 1e-8));
        }
        assert_equal(&vector(value.clone()), &x, "values");
        assert_equal(&vector(moments[0].clone()), &m, "first moments");
        assert_equal(&vector(moments[1].clone()), &v, "second moments");
    }
}
