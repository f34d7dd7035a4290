//! Which numbers of a matrix are dropped: a hash of their places decides.

use multiversion::multiversion;
use rayon::prelude::*;

use crate::kernels::Dropped;

/// Numbers that one thread takes at a time.
const CHUNK: usize = 1 << 14;

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

#[multiversion(targets = "simd")]
fn drop_row(x: &[f32], out: &mut [f32], key: [u32; 2], threshold: u32, scale: f32) {
    for (i, (x, out)) in x.iter().zip(out).enumerate() {
        let kept = hash(i as u32, key) >= threshold;
        *out = if kept { x * scale } else { 0.0 };
    }
}

#[multiversion(targets = "simd")]
fn drop_row_in_place(x: &mut [f32], key: [u32; 2], threshold: u32, scale: f32) {
    for (i, x) in x.iter_mut().enumerate() {
        let kept = hash(i as u32, key) >= threshold;
        *x = if kept { *x * scale } else { 0.0 };
    }
}

/// Rows that one thread takes at a time.
fn rows_at_once(width: usize) -> usize {
    (CHUNK / width.max(1)).max(1)
}

/// Rows of `width` numbers, some of them dropped.
pub(crate) fn drop_inputs(x: &[f32], width: usize, dropped: Dropped) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    let (width, rows) = (width.max(1), rows_at_once(width));
    out.par_chunks_mut(rows * width).enumerate().for_each(|(i, out)| {
        for (k, out) in out.chunks_mut(width).enumerate() {
            let row = i * rows + k;
            let x = &x[row * width..row * width + out.len()];
            drop_row(x, out, of_row(row, dropped.key), dropped.threshold, dropped.scale);
        }
    });
    out
}

/// The same in place.
pub(crate) fn drop_inputs_in_place(x: &mut [f32], width: usize, dropped: Dropped) {
    let (width, rows) = (width.max(1), rows_at_once(width));
    x.par_chunks_mut(rows * width).enumerate().for_each(|(i, x)| {
        for (k, x) in x.chunks_mut(width).enumerate() {
            let key = of_row(i * rows + k, dropped.key);
            drop_row_in_place(x, key, dropped.threshold, dropped.scale);
        }
    });
}
