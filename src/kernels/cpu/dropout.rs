//! Products of a matrix of which some numbers are dropped: a hash of their places decides. What is
//! left is made in pieces that caches hold, and never as a whole.

use multiversion::multiversion;
use rayon::prelude::*;

use super::matrix::{Matrix, Threads, multiply};
use crate::kernels::arguments::Dropped;

/// Rows of a piece.
const ROWS: usize = 64;
/// Columns of a piece where a thread takes columns.
const COLUMNS: usize = 96;

/// A hash of 32 bits in the manner of `lowbias32` (C. Wellons, "Prospecting for hash functions"),
/// with a key of 64: the one half moves the place, the other what is mixed of it, so that no key's
/// hashes are another's in another order.
#[inline(always)]
pub(crate) fn hash(place: u32, [first, second]: [u32; 2]) -> u32 {
    let x = place ^ first;
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_add(second);
    let x = (x ^ (x >> 13)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The key of a row.
fn of_row(row: usize, [first, second]: [u32; 2]) -> [u32; 2] {
    let row = row as u32;
    [hash(row, [first, second]), hash(row, [second, first])]
}

/// Numbers of a row from column `first` on.
#[multiversion(targets = "simd")]
fn drop_row(x: &[f32], out: &mut [f32], key: [u32; 2], first: u32, d: Dropped) {
    for (i, (x, out)) in x.iter().zip(out).enumerate() {
        let kept = hash(first + i as u32, key) >= d.threshold;
        *out = if kept { x * d.scale } else { 0.0 };
    }
}

#[multiversion(targets = "simd")]
fn drop_row_in_place(x: &mut [f32], key: [u32; 2], d: Dropped) {
    for (i, x) in x.iter_mut().enumerate() {
        let kept = hash(i as u32, key) >= d.threshold;
        *x = if kept { *x * d.scale } else { 0.0 };
    }
}

/// Whether there is anything to multiply.
fn is_empty(rows: usize, [inner, outer]: [usize; 2]) -> bool {
    rows == 0 || inner == 0 || outer == 0
}

/// Dropped x times a weight: `[rows, inner]`·`[inner, outer]`.
pub(crate) fn dropped_product(
    x: &[f32],
    weight: &[f32],
    rows: usize,
    sizes: [usize; 2],
    dropped: Dropped,
) -> Vec<f32> {
    let [inner, outer] = sizes;
    let mut out = vec![0.0; rows * outer];
    if is_empty(rows, sizes) {
        return out;
    }
    let weight = Matrix::rows(weight, inner, outer, outer);
    let parts = out.par_chunks_mut(ROWS * outer).zip(x.par_chunks(ROWS * inner));
    parts.enumerate().for_each_init(Vec::new, |kept, (i, (out, x))| {
        kept.resize(x.len(), 0.0);
        for (k, (x, kept)) in x.chunks(inner).zip(kept.chunks_mut(inner)).enumerate() {
            drop_row(x, kept, of_row(i * ROWS + k, dropped.key), 0, dropped);
        }
        let kept = Matrix::rows(kept, x.len() / inner, inner, inner);
        multiply(out, outer, [kept, weight], 1.0, false, Threads::One);
    });
    out
}

/// The weight's gradient, `[inner, outer]`, from that of the product, `[rows, outer]`.
pub(crate) fn dropped_weight_slope(
    x: &[f32],
    grad_output: &[f32],
    rows: usize,
    sizes: [usize; 2],
    dropped: Dropped,
) -> Vec<f32> {
    let [inner, outer] = sizes;
    let mut out = vec![0.0; inner * outer];
    if is_empty(rows, sizes) {
        return out;
    }
    // Columns of x to a thread, so that sums have one order however many threads there are.
    out.par_chunks_mut(COLUMNS * outer).enumerate().for_each_init(Vec::new, |kept, (i, out)| {
        let (first, columns) = (i * COLUMNS, out.len() / outer);
        for (part, grad_output) in grad_output.chunks(ROWS * outer).enumerate() {
            let count = grad_output.len() / outer;
            kept.resize(count * columns, 0.0);
            for (k, kept) in kept.chunks_mut(columns).enumerate() {
                let row = part * ROWS + k;
                let x = &x[row * inner + first..][..columns];
                drop_row(x, kept, of_row(row, dropped.key), first as u32, dropped);
            }
            let kept = Matrix::rows(kept, count, columns, columns).transpose();
            let grad_output = Matrix::rows(grad_output, count, outer, outer);
            multiply(out, outer, [kept, grad_output], 1.0, part > 0, Threads::One);
        }
    });
    out
}

/// The inputs' gradient, `[rows, inner]`.
pub(crate) fn dropped_input_slope(
    grad_output: &[f32],
    weight: &[f32],
    rows: usize,
    sizes: [usize; 2],
    dropped: Dropped,
) -> Vec<f32> {
    let [inner, outer] = sizes;
    let mut out = vec![0.0; rows * inner];
    if is_empty(rows, sizes) {
        return out;
    }
    let weight = Matrix::rows(weight, inner, outer, outer).transpose();
    let parts = out.par_chunks_mut(ROWS * inner).zip(grad_output.par_chunks(ROWS * outer));
    parts.enumerate().for_each(|(i, (out, grad_output))| {
        let grad_output = Matrix::rows(grad_output, grad_output.len() / outer, outer, outer);
        multiply(out, inner, [grad_output, weight], 1.0, false, Threads::One);
        for (k, row) in out.chunks_mut(inner).enumerate() {
            drop_row_in_place(row, of_row(i * ROWS + k, dropped.key), dropped);
        }
    });
    out
}
