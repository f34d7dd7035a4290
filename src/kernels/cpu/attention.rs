//! Attention within segments: the scores of one block of queries at a time.

use multiversion::multiversion;
use rayon::prelude::*;

use super::matrix::{Matrix, Threads, multiply};
use super::simd::{exp, highest, sum, sum2};
use crate::kernels::arguments::{SegmentAttention, Span};

/// Queries whose scores exist at once.
const BLOCK: usize = 64;

/// Stretches of keys: of what prompts share, of the prompt, of the own segment.
type Ranges = [[usize; 2]; 3];

/// What query `i` sees.
fn seen(i: usize, span: &Span, window: Option<usize>) -> Ranges {
    let Span { head, prompt, own, .. } = *span;
    let Some(window) = window else { return [head, prompt, [own, i + 1]] };
    // A query hides what is `window` positions before it or farther away.
    let from = |[start, end]: [usize; 2], behind: usize| {
        [(end + behind).saturating_sub(window).clamp(start, end), end]
    };
    let to_prompt = i + 1 - own;
    let to_head = to_prompt + prompt[1] - prompt[0];
    [from(head, to_head), from(prompt, to_prompt), from([own, i + 1], 0)]
}

/// Queries side by side that continue the same prompt.
#[derive(Clone, Copy)]
struct Block {
    start: usize,
    end: usize,
    span: Span,
}

impl Block {
    fn rows(&self) -> usize {
        self.end - self.start
    }

    /// The ranges of keys that any of them sees. The first query sees furthest back, the last one
    /// furthest on.
    fn keys(&self, window: Option<usize>) -> Ranges {
        let [head, prompt, [own, _]] = seen(self.start, &self.span, window);
        [head, prompt, [own, self.end]]
    }

    /// What query `i` sees of the block's keys, as columns of its scores.
    fn visible(&self, i: usize, keys: Ranges, window: Option<usize>) -> Ranges {
        let mut before = 0;
        let mut columns = seen(i, &self.span, window);
        for (range, keys) in columns.iter_mut().zip(keys) {
            *range = range.map(|key| before + key - keys[0]);
            before += keys[1] - keys[0];
        }
        columns
    }
}

/// Blocks of a row of tokens, in order.
fn blocks(spans: &[Span]) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    for (i, span) in spans.iter().enumerate() {
        match found.last_mut() {
            Some(last) if last.span == *span && last.rows() < BLOCK => last.end = i + 1,
            _ => found.push(Block { start: i, end: i + 1, span: *span }),
        }
    }
    found
}

/// One head of one operand, as rows of a view.
#[derive(Clone, Copy)]
struct Head<'a> {
    data: &'a [f32],
    offset: usize,
    width: usize,
    stride: usize,
}

impl<'a> Head<'a> {
    fn of(data: &'a [f32], head: usize, heads: usize, width: usize) -> Self {
        Self { data, offset: head * width, width, stride: heads * width }
    }

    fn rows(&self, [start, end]: [usize; 2]) -> Matrix<'a> {
        let from = if start < end { start * self.stride + self.offset } else { 0 };
        Matrix::rows(&self.data[from..], end - start, self.width, self.stride)
    }

    fn row(&self, i: usize) -> &'a [f32] {
        &self.data[i * self.stride + self.offset..][..self.width]
    }
}

/// Scaled scores of a block, `[rows, keys]`; hidden ones are whatever they are.
fn scores(
    buffer: &mut Vec<f32>,
    block: &Block,
    keys: Ranges,
    q: Head<'_>,
    k: Head<'_>,
    scale: f32,
) {
    let width: usize = keys.iter().map(|[start, end]| end - start).sum();
    buffer.resize(block.rows() * width, 0.0);
    let queries = q.rows([block.start, block.end]);
    let mut column = 0;
    for range in keys {
        let part = k.rows(range);
        multiply(
            &mut buffer[column..],
            width,
            [queries, part.transpose()],
            scale,
            false,
            Threads::One,
        );
        column += part.rows;
    }
}

/// Scores → probabilities; returns their log-sum-exp.
#[multiversion(targets = "simd")]
fn softmax(row: &mut [f32], visible: Ranges) -> f32 {
    let [[a, b], [c, d], [e, f]] = visible;
    let most = highest(&row[a..b]).max(highest(&row[c..d])).max(highest(&row[e..f]));
    for [start, end] in visible {
        for x in &mut row[start..end] {
            *x = exp(*x - most);
        }
    }
    hide(row, visible);
    let total = sum(&row[a..b], |x| x) + sum(&row[c..d], |x| x) + sum(&row[e..f], |x| x);
    let factor = 1.0 / total;
    for x in row.iter_mut() {
        *x *= factor;
    }
    most + total.ln()
}

/// Scores → probabilities, by a log-sum-exp that is known.
#[multiversion(targets = "simd")]
fn to_probabilities(row: &mut [f32], visible: Ranges, log_sum_exp: f32) {
    for [start, end] in visible {
        for x in &mut row[start..end] {
            *x = exp(*x - log_sum_exp);
        }
    }
    hide(row, visible);
}

/// Zeros in place of what is not seen.
fn hide(row: &mut [f32], [[a, b], [c, d], [e, f]]: Ranges) {
    row[..a].fill(0.0);
    row[b..c].fill(0.0);
    row[d..e].fill(0.0);
    row[f..].fill(0.0);
}

/// What `dS = P∘(dP − D)·scale` leaves in `score_grads`, which holds dP.
#[multiversion(targets = "simd")]
fn score_gradients(score_grads: &mut [f32], probabilities: &[f32], mean: f32, scale: f32) {
    for (grad_output, p) in score_grads.iter_mut().zip(probabilities) {
        *grad_output = p * (*grad_output - mean) * scale;
    }
}

#[multiversion(targets = "simd")]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum2(a, b, |x, y| x * y)
}

/// Queries, keys and values, `[N, heads · head_dim]` each, → what they mix, and the logarithms of
/// the log_sum_exps, `[N, heads]`.
pub(crate) fn attend(
    [q, k, v]: [&[f32]; 3],
    spans: &[Span],
    shape: SegmentAttention,
) -> (Vec<f32>, Vec<f32>) {
    let SegmentAttention { heads, kv_heads, head_dim, scale, window, .. } = shape;
    let width = heads * head_dim;
    let mut out = vec![0.0; q.len()];
    let mut log_sum_exps = vec![0.0; spans.len() * heads];
    let mut work = Vec::new();
    let (mut out_rest, mut normalisers_rest) = (&mut out[..], &mut log_sum_exps[..]);
    for block in blocks(spans) {
        let (mine, rest) = out_rest.split_at_mut(block.rows() * width);
        let (log_sum_exp, more) = normalisers_rest.split_at_mut(block.rows() * heads);
        work.push((block, mine, log_sum_exp));
        (out_rest, normalisers_rest) = (rest, more);
    }
    work.into_par_iter().for_each_init(Vec::new, |buffer, (block, out, log_sum_exps)| {
        let keys = block.keys(window);
        for head in 0..heads {
            let kv_head = head * kv_heads / heads;
            let query = Head::of(q, head, heads, head_dim);
            let key = Head::of(k, kv_head, kv_heads, head_dim);
            let value = Head::of(v, kv_head, kv_heads, head_dim);
            scores(buffer, &block, keys, query, key, scale);
            let columns = buffer.len() / block.rows();
            for (r, row) in buffer.chunks_exact_mut(columns).enumerate() {
                let visible = block.visible(block.start + r, keys, window);
                log_sum_exps[r * heads + head] = softmax(row, visible);
            }
            let mut column = 0;
            for range in keys.into_iter().filter(|[start, end]| start < end) {
                let values = value.rows(range);
                let probabilities =
                    Matrix::rows(&buffer[column..], block.rows(), values.rows, columns);
                let target = &mut out[head * head_dim..];
                multiply(target, width, [probabilities, values], 1.0, true, Threads::One);
                column += values.rows;
            }
        }
    });
    (out, log_sum_exps)
}

/// The gradients of queries, keys and values, from that of what they mix.
pub(crate) fn attend_backward(
    [q, k, v]: [&[f32]; 3],
    spans: &[Span],
    [out, log_sum_exps, grad_output]: [&[f32]; 3],
    shape: SegmentAttention,
) -> [Vec<f32>; 3] {
    let SegmentAttention { heads, kv_heads, head_dim, .. } = shape;
    // Tokens that see each other continue one prompt, or prompts that share their head; it begins where
    // its own tokens do.
    let blocks = blocks(spans);
    let groups: Vec<&[Block]> = blocks.chunk_by(|a, b| a.span.head[0] == b.span.head[0]).collect();
    let tasks: Vec<(&[Block], usize)> =
        groups.iter().flat_map(|g| (0..kv_heads).map(move |head| (*g, head))).collect();
    let given = Given { q, k, v, out, log_sum_exps, grad_output };
    let found: Vec<Found> = tasks
        .par_iter()
        .map(|(blocks, head)| group_backward(given, blocks, *head, shape))
        .collect();
    let mut gradients = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
    for ((blocks, head), found) in tasks.iter().zip(found) {
        let start = blocks[0].start;
        let shared = heads / kv_heads;
        let parts = [(head * shared, heads, shared), (*head, kv_heads, 1), (*head, kv_heads, 1)];
        for ((gradient, part), (first, all, count)) in gradients.iter_mut().zip(found).zip(parts) {
            let width = count * head_dim;
            for (r, row) in part.chunks_exact(width).enumerate() {
                gradient[((start + r) * all + first) * head_dim..][..width].copy_from_slice(row);
            }
        }
    }
    gradients
}

/// What the backward pass knows.
#[derive(Clone, Copy)]
struct Given<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    out: &'a [f32],
    log_sum_exps: &'a [f32],
    grad_output: &'a [f32],
}

/// Gradients of one group and one key/value head: of its queries, keys, values.
type Found = [Vec<f32>; 3];

fn group_backward(
    given: Given<'_>,
    blocks: &[Block],
    kv_head: usize,
    shape: SegmentAttention,
) -> Found {
    let SegmentAttention { heads, kv_heads, head_dim, scale, window, .. } = shape;
    let shared = heads / kv_heads;
    let start = blocks[0].start;
    let rows = blocks[blocks.len() - 1].end - start;
    let mut found: Found = [shared, 1, 1].map(|count| vec![0.0; rows * count * head_dim]);
    let (mut probabilities, mut score_grads) = (Vec::new(), Vec::new());
    let key = Head::of(given.k, kv_head, kv_heads, head_dim);
    let value = Head::of(given.v, kv_head, kv_heads, head_dim);
    for block in blocks {
        let keys = block.keys(window);
        for of_group in 0..shared {
            let head = kv_head * shared + of_group;
            let [query, out, grad_output] = [given.q, given.out, given.grad_output]
                .map(|data| Head::of(data, head, heads, head_dim));
            scores(&mut probabilities, block, keys, query, key, scale);
            scores(&mut score_grads, block, keys, grad_output, value, 1.0);
            let columns = probabilities.len() / block.rows();
            let both =
                probabilities.chunks_exact_mut(columns).zip(score_grads.chunks_exact_mut(columns));
            for (r, (probabilities, score_grads)) in both.enumerate() {
                let i = block.start + r;
                let visible = block.visible(i, keys, window);
                to_probabilities(probabilities, visible, given.log_sum_exps[i * heads + head]);
                score_gradients(
                    score_grads,
                    probabilities,
                    dot(grad_output.row(i), out.row(i)),
                    scale,
                );
            }
            let [dq, dk, dv] = &mut found;
            let own = (block.start - start) * shared * head_dim + of_group * head_dim;
            let queries = [block.start, block.end];
            let mut column = 0;
            for range in keys.into_iter().filter(|[a, b]| a < b) {
                let view = |data| Matrix::rows(data, block.rows(), range[1] - range[0], columns);
                let (p, ds) = (view(&probabilities[column..]), view(&score_grads[column..]));
                let at = (range[0] - start) * head_dim;
                let one = Threads::One;
                multiply(
                    &mut dv[at..],
                    head_dim,
                    [p.transpose(), grad_output.rows(queries)],
                    1.0,
                    true,
                    one,
                );
                multiply(
                    &mut dk[at..],
                    head_dim,
                    [ds.transpose(), query.rows(queries)],
                    1.0,
                    true,
                    one,
                );
                multiply(&mut dq[own..], shared * head_dim, [ds, key.rows(range)], 1.0, true, one);
                column += range[1] - range[0];
            }
        }
    }
    found
}
