//! What the kernels share: how a block of queries meets a block of keys.
//!
//! A group of [`UNITS`] threads works on a square of [`BLOCK`] queries and as many keys. Thread
//! `(y, x)` of an 8 × 8 grid owns the rows `4y … 4y + 3` and every eighth column from `x` on, of the
//! square and of every tile that is `BLOCK` rows high. Tiles pass through the group's memory in
//! chunks of a few columns, so that what a group needs of it does not depend on the width of a head.

#![allow(clippy::too_many_arguments)]

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// Rows of a block of queries, and of a block of keys.
pub(super) const BLOCK: usize = 32;
/// Threads of a group.
pub(super) const UNITS: usize = 64;
/// Rows that a thread owns, and columns of the square.
pub(super) const OWN: usize = 4;
/// Side of the grid of threads.
const GRID: usize = 8;
/// Between rows of the square in the group's memory; odd, so that columns fall into other banks.
pub(super) const SQUARE_ROW: usize = BLOCK + 1;
/// What stands for −∞: some drivers have no infinity.
pub(super) const HIDDEN: f32 = -1e30;
/// Scores below it are hidden.
const LEAST: f32 = -1e29;
/// Numbers that tell what a block of tokens sees, see [`bounds`].
pub(super) const BOUNDS: usize = 6;
/// Numbers that tell what a token sees, see [`own_sights`].
pub(super) const SEEN: usize = 5;
/// Numbers of a row of spans.
const SPAN: usize = 6;
/// Behind all tokens.
const NOWHERE: i32 = i32::MAX;

/// The row of the square with this number among the thread's own.
#[cube]
pub(super) fn row(number: usize) -> usize {
    UNIT_POS as usize / GRID * OWN + number
}

/// The column of a chunk or of the square with this number among the thread's own.
#[cube]
pub(super) fn column(number: usize) -> usize {
    UNIT_POS as usize % GRID + GRID * number
}

/// Columns of a chunk that a thread owns.
pub(super) const fn own_columns(chunk: usize) -> usize {
    chunk / GRID
}

/// What a token sees: what its prompt shares with others and the prompt, each from its start to one past
/// its end, and from the start of its own segment to itself.
#[derive(CubeType)]
struct Sight {
    head: i32,
    head_past: i32,
    start: i32,
    past: i32,
    own: i32,
}

/// What a token sees of the last `window` positions; its own segment stands right behind the prompt, and
/// that behind what it shares with others, wherever they are in the row.
#[cube]
fn sight(spans: &Tensor<i32>, token: usize, window: i32) -> Sight {
    let head_past = spans[token * SPAN + 1];
    let prompt = spans[token * SPAN + 2];
    let past = spans[token * SPAN + 3];
    let own = spans[token * SPAN + 4];
    let end = i32::cast_from(token) + 1;
    let start = max(prompt, past + end - own - window);
    let head = max(spans[token * SPAN], head_past + past - prompt + end - own - window);
    Sight {
        head: min(head, head_past),
        head_past,
        start: min(start, past),
        past,
        own: max(own, end - window),
    }
}

/// What a block of tokens sees: the first and one past the last of all their prompts (N and 0 where
/// none has one), the first of their segments, one past the last token that sees any of them, the first
/// and one past the last of what their prompts share with others (likewise).
#[cube(launch)]
pub(super) fn bounds(spans: &Tensor<i32>, found: &mut Tensor<i32>, window: i32) {
    let block = ABSOLUTE_POS;
    let n = spans.shape(0);
    if block * BLOCK < n {
        let mut low = i32::cast_from(n);
        let mut high = 0i32;
        let mut own = i32::cast_from(n);
        let mut end = 0i32;
        let mut head = i32::cast_from(n);
        let mut head_past = 0i32;
        for i in 0..BLOCK {
            let token = block * BLOCK + i;
            if token < n {
                let sight = sight(spans, token, window);
                if sight.start < sight.past {
                    low = min(low, sight.start);
                    high = max(high, sight.past);
                }
                if sight.head < sight.head_past {
                    head = min(head, sight.head);
                    head_past = max(head_past, sight.head_past);
                }
                own = min(own, sight.own);
                end = max(end, spans[token * SPAN + 5]);
            }
        }
        found[block * BOUNDS] = low;
        found[block * BOUNDS + 1] = high;
        found[block * BOUNDS + 2] = own;
        found[block * BOUNDS + 3] = end;
        found[block * BOUNDS + 4] = head;
        found[block * BOUNDS + 5] = head_past;
    }
}

/// Whether a block of queries looks at a block of keys: whether any of its tokens may see any of
/// them, or always, where nothing may be skipped; what is hidden then counts for nothing.
#[cube]
pub(super) fn meets(
    bounds: &Tensor<i32>,
    queries: usize,
    keys: usize,
    #[comptime] skip: bool,
) -> bool {
    if comptime!(skip) {
        let first = i32::cast_from(keys * BLOCK);
        let past = first + comptime!(BLOCK as i32);
        let low = bounds[queries * BOUNDS];
        let high = bounds[queries * BOUNDS + 1];
        let own = bounds[queries * BOUNDS + 2];
        let head = bounds[queries * BOUNDS + 4];
        let head_past = bounds[queries * BOUNDS + 5];
        (first < high && past > low) || (first < head_past && past > head) || past > own
    } else {
        true.runtime()
    }
}

/// One past the last block of queries that may look at a block of keys.
#[cube]
pub(super) fn last_queries(
    bounds: &Tensor<i32>,
    keys: usize,
    n: usize,
    #[comptime] skip: bool,
) -> usize {
    let mut end = n;
    if comptime!(skip) {
        end = usize::cast_from(bounds[keys * BOUNDS + 3]);
    }
    (end - 1) / BLOCK + 1
}

/// What the thread's own rows see, so many numbers to a row: the head's start and end, the prompt's, the
/// first of the row's own segment.
#[cube]
pub(super) fn own_sights(spans: &Tensor<i32>, block: usize, window: i32, rows: &mut Array<i32>) {
    #[unroll]
    for a in 0..OWN {
        let token = block * BLOCK + row(a);
        // A row behind the last token sees nothing.
        rows[a * SEEN] = 0i32;
        rows[a * SEEN + 1] = 0i32;
        rows[a * SEEN + 2] = 0i32;
        rows[a * SEEN + 3] = 0i32;
        rows[a * SEEN + 4] = NOWHERE;
        if token < spans.shape(0) {
            let sight = sight(spans, token, window);
            rows[a * SEEN] = sight.head;
            rows[a * SEEN + 1] = sight.head_past;
            rows[a * SEEN + 2] = sight.start;
            rows[a * SEEN + 3] = sight.past;
            rows[a * SEEN + 4] = sight.own;
        }
    }
}

/// Hide those of the thread's products whose query does not see their key, and scale the others.
#[cube]
pub(super) fn apply_mask(
    scores: &mut Array<f32>,
    rows: &Array<i32>,
    queries: usize,
    keys: usize,
    scale: f32,
) {
    #[unroll]
    for a in 0..OWN {
        let query = i32::cast_from(queries * BLOCK + row(a));
        #[unroll]
        for b in 0..OWN {
            let key = i32::cast_from(keys * BLOCK + column(b));
            let in_head = key >= rows[a * SEEN] && key < rows[a * SEEN + 1];
            let in_prompt = key >= rows[a * SEEN + 2] && key < rows[a * SEEN + 3];
            let in_own = key >= rows[a * SEEN + 4] && key <= query;
            let seen = in_head || in_prompt || in_own;
            scores[a * OWN + b] = select(seen, scores[a * OWN + b] * scale, HIDDEN);
        }
    }
}

/// e^(score − shift), and 0 for what is hidden.
#[cube]
pub(super) fn probability(score: f32, shift: f32) -> f32 {
    let mut found = 0.0f32;
    if score > LEAST {
        found = (score - shift).exp();
    }
    found
}

/// Copy columns `at … at + chunk` of a block of rows of a matrix `[N, width]`; 0 behind its end.
#[cube]
pub(super) fn load(
    from: &Tensor<f32>,
    tile: &mut [f32],
    block: usize,
    n: usize,
    width: usize,
    at: usize,
    #[comptime] chunk: usize,
) {
    #[unroll]
    for part in 0..(BLOCK * chunk / UNITS) {
        let number = part * UNITS + UNIT_POS as usize;
        let line = number / chunk;
        let token = block * BLOCK + line;
        let mut value = 0.0f32;
        if token < n {
            value = from[token * width + at + number % chunk];
        }
        tile[line * (chunk + 1) + number % chunk] = value;
    }
}

/// Add the products of the thread's rows of one tile with its columns' rows of another.
#[cube]
pub(super) fn multiply(
    left: &[f32],
    right: &[f32],
    sums: &mut Array<f32>,
    #[comptime] chunk: usize,
) {
    for k in 0..chunk {
        #[unroll]
        for a in 0..OWN {
            let value = left[row(a) * (chunk + 1) + k];
            #[unroll]
            for b in 0..OWN {
                sums[a * OWN + b] += value * right[column(b) * (chunk + 1) + k];
            }
        }
    }
}

/// One query head with its key/value head: where they stand in rows of matrices, and how many rows
/// there are.
#[derive(CubeType)]
pub(super) struct Head {
    pub(super) n: usize,
    /// Of rows of queries, and of rows of keys.
    pub(super) width: usize,
    pub(super) kv_width: usize,
    /// First column in either.
    pub(super) at: usize,
    pub(super) kv_at: usize,
}

/// The place of a query head, where `group` of them share a key/value head.
#[cube]
pub(super) fn head_of(
    number: usize,
    heads: usize,
    group: usize,
    n: usize,
    #[comptime] head_dim: usize,
) -> Head {
    Head {
        n,
        width: heads * head_dim,
        kv_width: heads / group * head_dim,
        at: number * head_dim,
        kv_at: number / group * head_dim,
    }
}

/// Products of a block of queries with a block of keys within a head, chunk by chunk.
#[cube]
pub(super) fn products(
    left: &Tensor<f32>,
    right: &Tensor<f32>,
    left_tile: &mut Shared<[f32]>,
    right_tile: &mut Shared<[f32]>,
    queries: usize,
    keys: usize,
    head: &Head,
    sums: &mut Array<f32>,
    #[comptime] head_dim: usize,
    #[comptime] chunk: usize,
) {
    #[unroll]
    for part in 0..OWN * OWN {
        sums[part] = 0.0f32;
    }
    for part in 0..head_dim / chunk {
        // Nobody reads what was there any more.
        sync_cube();
        load(left, left_tile, queries, head.n, head.width, head.at + part * chunk, chunk);
        load(right, right_tile, keys, head.n, head.kv_width, head.kv_at + part * chunk, chunk);
        sync_cube();
        multiply(&*left_tile, &*right_tile, sums, chunk);
    }
}

/// Put the thread's numbers into the square.
#[cube]
pub(super) fn store(numbers: &Array<f32>, square: &mut [f32]) {
    #[unroll]
    for a in 0..OWN {
        #[unroll]
        for b in 0..OWN {
            square[row(a) * SQUARE_ROW + column(b)] = numbers[a * OWN + b];
        }
    }
}

/// Add to the thread's sums, within a head, square · matrix, a matrix of keys; or the square's
/// transpose · matrix, a matrix of queries. The square must be written, and every thread past its
/// last use of `tile`.
#[cube]
pub(super) fn mix(
    square: &[f32],
    matrix: &Tensor<f32>,
    tile: &mut Shared<[f32]>,
    block: usize,
    head: &Head,
    sums: &mut Array<f32>,
    #[comptime] transposed: bool,
    #[comptime] head_dim: usize,
    #[comptime] chunk: usize,
) {
    let columns = comptime!(own_columns(chunk));
    let width = if transposed { head.width } else { head.kv_width };
    let at = if transposed { head.at } else { head.kv_at };
    #[unroll]
    for part in 0..head_dim / chunk {
        sync_cube();
        load(matrix, tile, block, head.n, width, at + part * chunk, chunk);
        sync_cube();
        for k in 0..BLOCK {
            #[unroll]
            for a in 0..OWN {
                let own = row(a);
                let weight = if transposed {
                    square[k * SQUARE_ROW + own]
                } else {
                    square[own * SQUARE_ROW + k]
                };
                #[unroll]
                for b in 0..columns {
                    let place = (part * columns + b) * OWN + a;
                    sums[place] += weight * tile[k * (chunk + 1) + column(b)];
                }
            }
        }
    }
}

/// Write the thread's sums into a head of a matrix of queries, or of keys.
#[cube]
pub(super) fn write(
    sums: &Array<f32>,
    to: &mut Tensor<f32>,
    block: usize,
    head: &Head,
    #[comptime] of_keys: bool,
    #[comptime] head_dim: usize,
    #[comptime] chunk: usize,
) {
    let columns = comptime!(own_columns(chunk));
    let width = if of_keys { head.kv_width } else { head.width };
    let at = if of_keys { head.kv_at } else { head.at };
    #[unroll]
    for a in 0..OWN {
        let token = block * BLOCK + row(a);
        if token < head.n {
            #[unroll]
            for part in 0..head_dim / chunk {
                #[unroll]
                for b in 0..columns {
                    let place = at + part * chunk + column(b);
                    to[token * width + place] = sums[(part * columns + b) * OWN + a];
                }
            }
        }
    }
}
