//! From hidden states to log-probabilities of targets, logits a tile at a time.

use multiversion::multiversion;
use rayon::prelude::*;

use super::matrix::{Matrix, Threads, multiply};
use super::simd::{exp, highest, sum, sum2};

/// Positions and tokens of a tile of logits. Tokens are cut at fixed places, so that a position's
/// sum never depends on what else is in its batch.
const POSITIONS: usize = 512;
const TOKENS: usize = 1024;

/// What is read of targets beside their log-probabilities.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beside {
    /// Their gradients by the hidden states.
    pub(crate) jacobian: bool,
    /// How far the model has decided: the sum of squared probabilities.
    pub(crate) sum_sq: bool,
}

/// Log-probabilities of one target for each position.
pub(crate) struct Read {
    /// `[M]`.
    pub(crate) values: Vec<f32>,
    /// `[M]`.
    pub(crate) log_sum_exps: Vec<f32>,
    /// ∂value/∂hidden, `[M, E]`; empty unless asked for.
    pub(crate) jacobian: Vec<f32>,
    /// log Σ_v π(v)², `[M]`; empty unless asked for.
    pub(crate) log_sum_sq_probs: Vec<f32>,
}

/// Logits → exponentials relative to the highest so far; returns that, and what earlier sums are
/// to be multiplied by. Adds to `total`.
#[multiversion(targets = "simd")]
fn join(row: &mut [f32], most: &mut f32, total: &mut f32) -> f32 {
    let before = *most;
    let here = highest(row);
    if here > before || here.is_nan() {
        *most = here;
    }
    let most = *most;
    for x in row.iter_mut() {
        *x = exp(*x - most);
    }
    let rescale = if before == f32::NEG_INFINITY { 0.0 } else { exp(before - most) };
    *total = *total * rescale + sum(row, |x| x);
    rescale
}

#[multiversion(targets = "simd")]
fn scale(row: &mut [f32], factor: f32) {
    for x in row.iter_mut() {
        *x *= factor;
    }
}

#[multiversion(targets = "simd")]
fn sum_of_squares(row: &[f32]) -> f32 {
    sum(row, |x| x * x)
}

#[multiversion(targets = "simd")]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum2(a, b, |x, y| x * y)
}

/// row ← weight − row·factor.
#[multiversion(targets = "simd")]
fn finish(row: &mut [f32], weight: &[f32], factor: f32) {
    for (x, w) in row.iter_mut().zip(weight) {
        *x = w - *x * factor;
    }
}

/// Log-probabilities under logits = hidden·headᵀ, hidden `[M, width]`, head `[V, width]`.
pub(crate) fn read_targets(
    hidden: &[f32],
    head: &[f32],
    targets: &[usize],
    width: usize,
    beside: Beside,
) -> Read {
    let m = targets.len();
    let mut read = Read {
        values: vec![0.0; m],
        log_sum_exps: vec![0.0; m],
        jacobian: vec![0.0; if beside.jacobian { m * width } else { 0 }],
        log_sum_sq_probs: vec![0.0; if beside.sum_sq { m } else { 0 }],
    };
    for start in (0..m).step_by(POSITIONS) {
        let range = start..m.min(start + POSITIONS);
        let of_rows = range.start * width..range.end * width;
        let score_grads = read.jacobian.get_mut(of_rows.clone()).unwrap_or(&mut []);
        let values = &mut read.values[range.clone()];
        let log_sum_exps = &mut read.log_sum_exps[range.clone()];
        let squares = read.log_sum_sq_probs.get_mut(range.clone()).unwrap_or(&mut []);
        read_tile(
            [values, log_sum_exps, score_grads, squares],
            &hidden[of_rows],
            head,
            &targets[range],
            width,
        );
    }
    read
}

fn read_tile(
    [values, log_sum_exps, score_grads, squares]: [&mut [f32]; 4],
    hidden: &[f32],
    head: &[f32],
    targets: &[usize],
    width: usize,
) {
    let m = targets.len();
    let mut logits = vec![0.0; m * TOKENS];
    let mut sums = vec![(f32::NEG_INFINITY, 0.0); m];
    let states = Matrix::rows(hidden, m, width, width);
    let grad_width = if score_grads.is_empty() { 0 } else { width };
    for tokens in head.chunks(TOKENS * width) {
        let count = tokens.len() / width;
        let weights = Matrix::rows(tokens, count, width, width);
        multiply(&mut logits, TOKENS, [states, weights.transpose()], 1.0, false, Threads::All);
        let rows = logits.par_chunks_mut(TOKENS).zip(sums.par_iter_mut());
        let rescales: Vec<f32> =
            rows.map(|(row, (most, total))| join(&mut row[..count], most, total)).collect();
        if !squares.is_empty() {
            let rows = logits.par_chunks(TOKENS).zip(squares.par_iter_mut()).zip(&rescales);
            rows.for_each(|((row, sum), by)| *sum = *sum * by * by + sum_of_squares(&row[..count]));
        }
        if grad_width > 0 {
            let rows = score_grads.par_chunks_mut(width).zip(rescales);
            rows.filter(|(_, rescale)| *rescale != 1.0).for_each(|(row, by)| scale(row, by));
            let probabilities = Matrix::rows(&logits, m, count, TOKENS);
            multiply(score_grads, width, [probabilities, weights], 1.0, true, Threads::All);
        }
    }
    for (i, (target, (most, total))) in targets.iter().zip(sums).enumerate() {
        let own = &head[target * width..][..width];
        log_sum_exps[i] = most + total.ln();
        values[i] = dot(&hidden[i * width..][..width], own) - log_sum_exps[i];
        if let Some(square) = squares.get_mut(i) {
            *square = square.ln() - 2.0 * total.ln();
        }
        if grad_width > 0 {
            finish(&mut score_grads[i * width..][..width], own, 1.0 / total);
        }
    }
}

/// Logits → −probability·cotangent.
#[multiversion(targets = "simd")]
fn weigh(row: &mut [f32], log_sum_exp: f32, cotangent: f32) {
    for x in row.iter_mut() {
        *x = exp(*x - log_sum_exp) * -cotangent;
    }
}

/// The gradient of Σ cotangent·log p with respect to the head, `[V, width]`.
pub(crate) fn head_gradient(
    hidden: &[f32],
    head: &[f32],
    targets: &[usize],
    [log_sum_exps, cotangent]: [&[f32]; 2],
    width: usize,
) -> Vec<f32> {
    let m = targets.len();
    let states = Matrix::rows(hidden, m, width, width);
    let mut gradient = vec![0.0; head.len()];
    let parts = gradient.par_chunks_mut(TOKENS * width).zip(head.par_chunks(TOKENS * width));
    parts.enumerate().for_each_init(Vec::new, |logits, (part, (gradient, tokens))| {
        let count = tokens.len() / width;
        logits.resize(m * count, 0.0);
        let weights = Matrix::rows(tokens, count, width, width);
        multiply(logits, count, [states, weights.transpose()], 1.0, false, Threads::One);
        for (i, row) in logits.chunks_exact_mut(count).enumerate() {
            weigh(row, log_sum_exps[i], cotangent[i]);
            let here = targets[i].wrapping_sub(part * TOKENS);
            if let Some(own) = row.get_mut(here) {
                *own += cotangent[i];
            }
        }
        let probabilities = Matrix::rows(logits, m, count, count);
        multiply(gradient, width, [probabilities.transpose(), states], 1.0, false, Threads::One);
    });
    gradient
}
