//! Activations, alone or as gates of another projection.

use multiversion::multiversion;
use rayon::prelude::*;

use super::simd::exp;
use crate::kernels::arguments::Activation;

/// Numbers that one thread takes at a time.
const CHUNK: usize = 1 << 14;

const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// erf by formula 7.1.26 of Abramowitz and Stegun; within 1.5e-7.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let p = 1.061_405_4 * t - 1.453_152;
    let p = p * t + 1.421_413_7;
    let p = p * t - 0.284_496_74;
    let p = p * t + 0.254_829_6;
    (1.0 - p * t * exp(-x * x)).copysign(x)
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// f(x) and f′(x).
#[inline(always)]
fn silu(x: f32) -> [f32; 2] {
    let s = sigmoid(x);
    [x * s, s * (1.0 + x * (1.0 - s))]
}

#[inline(always)]
fn relu(x: f32) -> [f32; 2] {
    // NaN passes, so that a diverged loss shows.
    if x <= 0.0 { [0.0, 0.0] } else { [x, 1.0] }
}

#[inline(always)]
fn gelu(x: f32) -> [f32; 2] {
    let cdf = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
    [x * cdf, cdf + x * 0.398_942_3 * exp(-0.5 * x * x)]
}

#[inline(always)]
fn gelu_tanh(x: f32) -> [f32; 2] {
    let t = tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x));
    let inner = SQRT_2_OVER_PI * (1.0 + 3.0 * CUBIC * x * x);
    [0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner]
}

#[inline(always)]
fn forward_with(f: impl Fn(f32) -> [f32; 2], x: &[f32], up: Option<&[f32]>, out: &mut [f32]) {
    match up {
        Some(up) => {
            for ((y, x), up) in out.iter_mut().zip(x).zip(up) {
                *y = f(*x)[0] * up;
            }
        }
        None => {
            for (y, x) in out.iter_mut().zip(x) {
                *y = f(*x)[0];
            }
        }
    }
}

#[multiversion(targets = "simd")]
fn forward(kind: Activation, x: &[f32], up: Option<&[f32]>, out: &mut [f32]) {
    match kind {
        Activation::Silu => forward_with(silu, x, up, out),
        Activation::Relu => forward_with(relu, x, up, out),
        Activation::Gelu => forward_with(gelu, x, up, out),
        Activation::GeluTanh => forward_with(gelu_tanh, x, up, out),
    }
}

/// f(x), or f(x)·up.
pub(crate) fn activate(kind: Activation, x: &[f32], up: Option<&[f32]>) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(CHUNK).enumerate().for_each(|(i, out)| {
        let range = i * CHUNK..i * CHUNK + out.len();
        forward(kind, &x[range.clone()], up.map(|up| &up[range]), out);
    });
    out
}

#[inline(always)]
fn backward_with(
    f: impl Fn(f32) -> [f32; 2],
    [x, grad_output]: [&[f32]; 2],
    up: Option<&[f32]>,
    dx: &mut [f32],
    d_up: &mut [f32],
) {
    match up {
        Some(up) => {
            let given = x.iter().zip(grad_output).zip(up);
            for ((dx, d_up), ((x, dy), up)) in dx.iter_mut().zip(d_up).zip(given) {
                let [y, derivative] = f(*x);
                *d_up = dy * y;
                *dx = dy * up * derivative;
            }
        }
        None => {
            for ((dx, x), dy) in dx.iter_mut().zip(x).zip(grad_output) {
                *dx = dy * f(*x)[1];
            }
        }
    }
}

#[multiversion(targets = "simd")]
fn backward(
    kind: Activation,
    given: [&[f32]; 2],
    up: Option<&[f32]>,
    dx: &mut [f32],
    d_up: &mut [f32],
) {
    match kind {
        Activation::Silu => backward_with(silu, given, up, dx, d_up),
        Activation::Relu => backward_with(relu, given, up, dx, d_up),
        Activation::Gelu => backward_with(gelu, given, up, dx, d_up),
        Activation::GeluTanh => backward_with(gelu_tanh, given, up, dx, d_up),
    }
}

/// The gradients of x and, where there is one, of `up`.
pub(crate) fn activate_backward(
    kind: Activation,
    x: &[f32],
    up: Option<&[f32]>,
    grad_output: &[f32],
) -> (Vec<f32>, Option<Vec<f32>>) {
    let mut dx = vec![0.0; x.len()];
    let Some(up) = up else {
        dx.par_chunks_mut(CHUNK).enumerate().for_each(|(i, dx)| {
            let range = i * CHUNK..i * CHUNK + dx.len();
            backward(kind, [&x[range.clone()], &grad_output[range]], None, dx, &mut []);
        });
        return (dx, None);
    };
    let mut d_up = vec![0.0; x.len()];
    let parts = dx.par_chunks_mut(CHUNK).zip(d_up.par_chunks_mut(CHUNK));
    parts.enumerate().for_each(|(i, (dx, d_up))| {
        let range = i * CHUNK..i * CHUNK + dx.len();
        let given = [&x[range.clone()], &grad_output[range.clone()]];
        backward(kind, given, Some(&up[range]), dx, d_up);
    });
    (dx, Some(d_up))
}
