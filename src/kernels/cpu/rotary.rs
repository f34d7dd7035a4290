//! Rotary positions.

use multiversion::multiversion;
use rayon::prelude::*;

/// Tokens that one thread takes at a time.
const TOKENS: usize = 16;

#[multiversion(targets = "simd")]
fn rotate_head(head: &[f32], out: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
    let half = cos.len();
    let (a, b) = head.split_at(half);
    let (first, second) = out.split_at_mut(half);
    let given = a.iter().zip(b).zip(cos.iter().zip(sin));
    for ((y, z), ((a, b), (cos, sin))) in first.iter_mut().zip(second).zip(given) {
        let sin = sign * sin;
        *y = a * cos - b * sin;
        *z = b * cos + a * sin;
    }
}

/// Rotate heads of `x`, `[N, heads, 2·half]`, by angles `[N, half]`, or back.
pub(crate) fn rotate(x: &[f32], [cos, sin]: [&[f32]; 2], half: usize, back: bool) -> Vec<f32> {
    let tokens = (cos.len() / half.max(1)).max(1);
    let (width, head) = (x.len() / tokens, 2 * half);
    let sign = if back { -1.0 } else { 1.0 };
    let mut out = vec![0.0; x.len()];
    let parts = out.par_chunks_mut(width * TOKENS).zip(x.par_chunks(width * TOKENS));
    parts.enumerate().for_each(|(i, (out, x))| {
        let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width));
        for (j, (out, x)) in rows.enumerate() {
            let at = (i * TOKENS + j) * half..(i * TOKENS + j + 1) * half;
            for (out, x) in out.chunks_exact_mut(head).zip(x.chunks_exact(head)) {
                rotate_head(x, out, &cos[at.clone()], &sin[at.clone()], sign);
            }
        }
    });
    out
}
