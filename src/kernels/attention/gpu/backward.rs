//! The backward pass: scores are computed again from the log-sum-exps (arXiv 2307.08691, algorithm
//! 2). Queries' gradients are summed over blocks of keys, those of keys and values over blocks of
//! queries, each by one group of threads: sums have one order, and need no atomic additions.

#![allow(clippy::too_many_arguments)]

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::tiles::{
    BLOCK, Head, OWN, SEEN, SQUARE_ROW, apply_mask, head_of, last_queries, meets, mix, own_columns,
    own_sights, probability, products, row, store, write,
};

/// A thread's probabilities of a block of queries to look at a block of keys within a head, and the
/// score_grads of the scores behind them. `rows`: what the thread's queries see.
#[cube]
fn probabilities_and_gradients(
    q: &Tensor<f32>,
    k: &Tensor<f32>,
    v: &Tensor<f32>,
    grad_output: &Tensor<f32>,
    log_sum_exps: &Tensor<f32>,
    levels: &Tensor<f32>,
    rows: &Array<i32>,
    left: &mut Shared<[f32]>,
    right: &mut Shared<[f32]>,
    queries: usize,
    keys: usize,
    head: &Head,
    scale: f32,
    probabilities: &mut Array<f32>,
    score_grads: &mut Array<f32>,
    #[comptime] head_dim: usize,
    #[comptime] chunk: usize,
) {
    products(q, k, left, right, queries, keys, head, probabilities, head_dim, chunk);
    products(grad_output, v, left, right, queries, keys, head, score_grads, head_dim, chunk);
    apply_mask(probabilities, rows, queries, keys, scale);
    #[unroll]
    for a in 0..OWN {
        let token = queries * BLOCK + row(a);
        let mut log_sum_exp = 0.0f32;
        let mut level = 0.0f32;
        if token < head.n {
            let place = (token * head.width + head.at) / head_dim;
            log_sum_exp = log_sum_exps[place];
            level = levels[place];
        }
        #[unroll]
        for b in 0..OWN {
            let i = a * OWN + b;
            probabilities[i] = probability(probabilities[i], log_sum_exp);
            score_grads[i] = probabilities[i] * (score_grads[i] - level) * scale;
        }
    }
}

/// Gradients of one block of queries of one head. `grad_output`: the gradient of what was mixed;
/// `levels`: its product with what was mixed, summed over each head, `[N, heads]`.
#[cube(launch)]
pub(super) fn of_queries(
    q: &Tensor<f32>,
    k: &Tensor<f32>,
    v: &Tensor<f32>,
    spans: &Tensor<i32>,
    bounds: &Tensor<i32>,
    log_sum_exps: &Tensor<f32>,
    levels: &Tensor<f32>,
    grad_output: &Tensor<f32>,
    gradient: &mut Tensor<f32>,
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
    let mut scores = Array::<f32>::new(comptime!(OWN * OWN));
    let mut of_scores = Array::<f32>::new(comptime!(OWN * OWN));
    let mut sums = Array::<f32>::new(comptime!(OWN * own_columns(head_dim)));
    let mut rows = Array::<i32>::new(comptime!(OWN * SEEN));
    own_sights(spans, queries, window, &mut rows);

    for keys in 0..queries + 1 {
        if meets(bounds, queries, keys, skip) {
            probabilities_and_gradients(
                q,
                k,
                v,
                grad_output,
                log_sum_exps,
                levels,
                &rows,
                &mut left,
                &mut right,
                queries,
                keys,
                &head,
                scale,
                &mut scores,
                &mut of_scores,
                head_dim,
                chunk,
            );
            store(&of_scores, &mut square);
            mix(&square, k, &mut right, keys, &head, &mut sums, false, head_dim, chunk);
        }
    }
    write(&sums, gradient, queries, &head, false, head_dim, chunk);
}

/// Gradients of one block of keys and values of one key/value head, from all query heads that
/// share it.
#[cube(launch)]
pub(super) fn of_keys(
    q: &Tensor<f32>,
    k: &Tensor<f32>,
    v: &Tensor<f32>,
    spans: &Tensor<i32>,
    bounds: &Tensor<i32>,
    log_sum_exps: &Tensor<f32>,
    levels: &Tensor<f32>,
    grad_output: &Tensor<f32>,
    of_k: &mut Tensor<f32>,
    of_v: &mut Tensor<f32>,
    group: u32,
    scale: f32,
    window: i32,
    #[comptime] skip: bool,
    #[comptime] head_dim: usize,
    #[comptime] chunk: usize,
) {
    let n = spans.shape(0);
    let keys = CUBE_POS_X as usize;
    let kv_head = CUBE_POS_Y as usize;
    let kv_heads = CUBE_COUNT_Y as usize;
    let group = group as usize;
    let heads = kv_heads * group;

    let mut left = Shared::<[f32]>::new_slice(comptime!(BLOCK * (chunk + 1)));
    let mut right = Shared::<[f32]>::new_slice(comptime!(BLOCK * (chunk + 1)));
    let mut square = Shared::<[f32]>::new_slice(comptime!(BLOCK * SQUARE_ROW));
    let mut scores = Array::<f32>::new(comptime!(OWN * OWN));
    let mut of_scores = Array::<f32>::new(comptime!(OWN * OWN));
    let mut sums_k = Array::<f32>::new(comptime!(OWN * own_columns(head_dim)));
    let mut sums_v = Array::<f32>::new(comptime!(OWN * own_columns(head_dim)));
    let mut rows = Array::<i32>::new(comptime!(OWN * SEEN));

    for queries in keys..last_queries(bounds, keys, n, skip) {
        if meets(bounds, queries, keys, skip) {
            own_sights(spans, queries, window, &mut rows);
            for member in 0..group {
                let number = kv_head * group + member;
                let head = head_of(number, heads, group, n, head_dim);
                probabilities_and_gradients(
                    q,
                    k,
                    v,
                    grad_output,
                    log_sum_exps,
                    levels,
                    &rows,
                    &mut left,
                    &mut right,
                    queries,
                    keys,
                    &head,
                    scale,
                    &mut scores,
                    &mut of_scores,
                    head_dim,
                    chunk,
                );
                store(&scores, &mut square);
                mix(
                    &square,
                    grad_output,
                    &mut left,
                    queries,
                    &head,
                    &mut sums_v,
                    true,
                    head_dim,
                    chunk,
                );
                sync_cube();
                store(&of_scores, &mut square);
                mix(&square, q, &mut left, queries, &head, &mut sums_k, true, head_dim, chunk);
                sync_cube();
            }
        }
    }
    let head = head_of(kv_head * group, heads, group, n, head_dim);
    write(&sums_k, of_k, keys, &head, true, head_dim, chunk);
    write(&sums_v, of_v, keys, &head, true, head_dim, chunk);
}
