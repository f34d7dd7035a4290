//! Layer and RMS normalisation over the last dimension.

use multiversion::multiversion;
use rayon::prelude::*;

use super::simd::{sum, sum2};

/// Rows whose share in the gradients of weight and bias is summed before it joins the others.
const ROWS: usize = 32;

/// What is subtracted from a row, and what it is multiplied by then.
#[inline(always)]
fn moments(row: &[f32], centred: bool, eps: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = if centred { sum(row, |x| x) / n } else { 0.0 };
    let variance = sum(row, |x| (x - mean) * (x - mean)) / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

#[multiversion(targets = "simd")]
fn normalise_row(row: &[f32], out: &mut [f32], weight: &[f32], bias: Option<&[f32]>, eps: f32) {
    let (mean, factor) = moments(row, bias.is_some(), eps);
    match bias {
        Some(bias) => {
            for (((y, x), w), b) in out.iter_mut().zip(row).zip(weight).zip(bias) {
                *y = (x - mean) * factor * w + b;
            }
        }
        None => {
            for ((y, x), w) in out.iter_mut().zip(row).zip(weight) {
                *y = x * factor * w;
            }
        }
    }
}

/// Rows of the width of `weight`, normalised; a bias makes it layer normalisation, none RMS.
pub(crate) fn normalise(x: &[f32], weight: &[f32], bias: Option<&[f32]>, eps: f32) -> Vec<f32> {
    let width = weight.len().max(1);
    let mut out = vec![0.0; x.len()];
    let rows = out.par_chunks_mut(width * ROWS).zip(x.par_chunks(width * ROWS));
    rows.for_each(|(out, x)| {
        for (out, row) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            normalise_row(row, out, weight, bias, eps);
        }
    });
    out
}

/// With x̂ the normalised row and g = dy·w: dx = (g − mean(g) − x̂·mean(g·x̂))·factor, the first
/// mean only where rows are centred. Adds dy·x̂ and dy to the other gradients.
#[multiversion(targets = "simd")]
fn backward_row(
    [row, grad_output, weight]: [&[f32]; 3],
    centred: bool,
    eps: f32,
    [dx, d_weight, d_bias]: [&mut [f32]; 3],
) {
    let n = row.len() as f32;
    let (mean, factor) = moments(row, centred, eps);
    for ((g, dy), w) in dx.iter_mut().zip(grad_output).zip(weight) {
        *g = dy * w;
    }
    let along = sum2(dx, row, |g, x| g * (x - mean)) * factor / n;
    let shift = if centred { sum(dx, |g| g) / n } else { 0.0 };
    for ((g, x), (dy, dw)) in dx.iter_mut().zip(row).zip(grad_output.iter().zip(d_weight)) {
        let hat = (x - mean) * factor;
        *g = (*g - shift - hat * along) * factor;
        *dw += dy * hat;
    }
    for (db, dy) in d_bias.iter_mut().zip(grad_output) {
        *db += dy;
    }
}

/// The gradients of rows, weight and bias; that of the bias is 0 in RMS normalisation.
pub(crate) fn normalise_backward(
    x: &[f32],
    weight: &[f32],
    grad_output: &[f32],
    centred: bool,
    eps: f32,
) -> [Vec<f32>; 3] {
    let width = weight.len().max(1);
    let mut dx = vec![0.0; x.len()];
    let size = width * ROWS;
    let parts: Vec<[Vec<f32>; 2]> = dx
        .par_chunks_mut(size)
        .zip(x.par_chunks(size).zip(grad_output.par_chunks(size)))
        .map(|(dx, (x, grad_output))| {
            let mut sums = [vec![0.0; width], vec![0.0; width]];
            let rows = x.chunks_exact(width).zip(grad_output.chunks_exact(width));
            for (dx, (row, grad_output)) in dx.chunks_exact_mut(width).zip(rows) {
                let [d_weight, d_bias] = &mut sums;
                backward_row([row, grad_output, weight], centred, eps, [dx, d_weight, d_bias]);
            }
            sums
        })
        .collect();
    let mut sums = [vec![0.0; width], vec![0.0; width]];
    for part in parts {
        for (sum, part) in sums.iter_mut().zip(part) {
            sum.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
        }
    }
    let [d_weight, d_bias] = sums;
    [dx, d_weight, d_bias]
}
