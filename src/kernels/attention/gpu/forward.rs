//! The forward pass: scores of a block of queries with one block of keys at a time, normalised as
//! they come (arXiv 2307.08691, algorithm 1).

#![allow(clippy::too_many_arguments)]

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::tiles::{
    BLOCK, HIDDEN, OWN, SEEN, SQUARE_ROW, apply_mask, head_of, meets, mix, own_columns, own_sights,
    probability, products, row, store, write,
};

/// One block of queries of one head. `q`, `mixed`: `[N, heads · head_dim]`; `k`, `v`:
/// `[N, heads/group · head_dim]`; `log_sum_exps`: `[N, heads]`.
#[cube(launch)]
pub(super) fn attend(
    q: &Tensor<f32>,
    k: &Tensor<f32>,
    v: &Tensor<f32>,
    spans: &Tensor<i32>,
    bounds: &Tensor<i32>,
    mixed: &mut Tensor<f32>,
    log_sum_exps: &mut Tensor<f32>,
    group: u32,
    scale: f32,
    window: i32,
    #[comptime] skip: bool,
    #[comptime] head_dim: usize,
    #[comptime] chunk: usize,
) {
    let n = spans.shape(0);
    let queries = CUBE_POS_X as usize;
    let number = CUBE_POS_Y as usize;
    let heads = CUBE_COUNT_Y as usize;
    let group = group as usize;
    let head = head_of(number, heads, group, n, head_dim);

    let mut left = Shared::<[f32]>::new_slice(comptime!(BLOCK * (chunk + 1)));
    let mut right = Shared::<[f32]>::new_slice(comptime!(BLOCK * (chunk + 1)));
    let mut square = Shared::<[f32]>::new_slice(comptime!(BLOCK * SQUARE_ROW));
    // Of each row: the highest score so far, what the sums before it are worth now, the sum.
    let mut highest = Shared::<[f32]>::new_slice(BLOCK);
    let mut worth = Shared::<[f32]>::new_slice(BLOCK);
    let mut total = Shared::<[f32]>::new_slice(BLOCK);
    let mut scores = Array::<f32>::new(comptime!(OWN * OWN));
    let mut sums = Array::<f32>::new(comptime!(OWN * own_columns(head_dim)));
    let mut rows = Array::<i32>::new(comptime!(OWN * SEEN));
    own_sights(spans, queries, window, &mut rows);
    let columns = comptime!(own_columns(head_dim));
    let unit = UNIT_POS as usize;
    if unit < BLOCK {
        highest[unit] = HIDDEN;
        total[unit] = 0.0f32;
    }

    for keys in 0..queries + 1 {
        if meets(bounds, queries, keys, skip) {
            products(
                q,
                k,
                &mut left,
                &mut right,
                queries,
                keys,
                &head,
                &mut scores,
                head_dim,
                chunk,
            );
            apply_mask(&mut scores, &rows, queries, keys, scale);
            store(&scores, &mut square);
            sync_cube();
            if unit < BLOCK {
                let before = highest[unit];
                let mut top = before;
                for i in 0..BLOCK {
                    top = max(top, square[unit * SQUARE_ROW + i]);
                }
                highest[unit] = top;
                worth[unit] = (before - top).exp();
            }
            sync_cube();
            #[unroll]
            for a in 0..OWN {
                let own = row(a);
                #[unroll]
                for b in 0..OWN {
                    scores[a * OWN + b] = probability(scores[a * OWN + b], highest[own]);
                }
                let factor = worth[own];
                #[unroll]
                for i in 0..columns {
                    sums[i * OWN + a] *= factor;
                }
            }
            store(&scores, &mut square);
            sync_cube();
            if unit < BLOCK {
                let mut sum = total[unit] * worth[unit];
                for i in 0..BLOCK {
                    sum += square[unit * SQUARE_ROW + i];
                }
                total[unit] = sum;
            }
            mix(&square, v, &mut right, keys, &head, &mut sums, false, head_dim, chunk);
        }
    }

    sync_cube();
    #[unroll]
    for a in 0..OWN {
        let whole = total[row(a)];
        #[unroll]
        for i in 0..columns {
            sums[i * OWN + a] /= whole;
        }
    }
    write(&sums, mixed, queries, &head, false, head_dim, chunk);
    let token = queries * BLOCK + unit;
    if unit < BLOCK && token < n {
        log_sum_exps[token * heads + number] = highest[unit] + total[unit].ln();
    }
}
