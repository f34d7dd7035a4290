//! Sampling with a key/value cache.

use burn::tensor::{Bool, Device, Tensor, TensorData};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::numbers::ints;
use super::{Cache, Decoder, DecoderInput, ModelError};
use crate::batch::bucket;

/// How tokens are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Longest response.
    pub max_new_tokens: usize,
    /// 0 takes the likeliest token.
    pub temperature: f64,
    /// Draw from the smallest set of tokens with this total probability.
    pub top_p: f64,
    /// Of the draws; each prompt has its own stream.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { max_new_tokens: 128, temperature: 1.0, top_p: 1.0, seed: 0 }
    }
}

/// A sampled response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generated {
    /// Ids, without the end token.
    pub tokens: Vec<u32>,
    /// Log-probability of each under the model at temperature 1.
    pub log_probs: Vec<f64>,
    /// Whether the model ended it.
    pub ended: bool,
}

/// Rows of prompts, padded on the left so that all end in the same column.
struct Layout {
    /// First real column of each row.
    offsets: Vec<usize>,
    /// Columns of the prompts.
    width: usize,
    /// Columns in all.
    capacity: usize,
}

impl Layout {
    fn new(prompts: &[Vec<u32>], max_new_tokens: usize) -> Self {
        let width = bucket(prompts.iter().map(Vec::len).max().unwrap_or(1));
        let offsets = prompts.iter().map(|p| width - p.len()).collect();
        Self { offsets, width, capacity: bucket(width + max_new_tokens) }
    }

    /// Which keys the queries of columns `from..to` must not see, `[B, to − from, capacity]`.
    ///
    /// A padding column sees itself: a row without any key has no softmax.
    fn hidden_keys(&self, from: usize, to: usize, device: &Device) -> Tensor<3, Bool> {
        let mut hidden = Vec::with_capacity(self.offsets.len() * (to - from) * self.capacity);
        for &offset in &self.offsets {
            for query in from..to {
                hidden.extend(
                    (0..self.capacity).map(|key| key > query || (key < offset && key != query)),
                );
            }
        }
        let shape = [self.offsets.len(), to - from, self.capacity];
        Tensor::from_data(TensorData::new(hidden, shape), device)
    }

    fn position(&self, row: usize, column: usize) -> u32 {
        column.saturating_sub(self.offsets[row]) as u32
    }
}

/// Sample one response to each prompt.
///
/// Prompts hold token ids, at least one each. A response ends at a token of `stop`, after
/// `max_new_tokens`, or where the model's positions end.
///
/// # Errors
///
/// A prompt is empty or as long as the model's positions; the device fails.
pub fn generate(
    decoder: &Decoder,
    prompts: &[Vec<u32>],
    stop: &[u32],
    sampling: &Sampling,
) -> Result<Vec<Generated>, ModelError> {
    let limit = decoder.config().positions;
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    if prompts.iter().any(Vec::is_empty) || longest >= limit {
        return Err(ModelError::Prompt { length: longest, limit });
    }
    let layout = Layout::new(prompts, sampling.max_new_tokens.min(limit - longest));
    let mut draws = Draws::new(prompts.len(), sampling);
    let mut cache = decoder.cache(prompts.len(), layout.capacity);
    let mut logits = prefill(decoder, prompts, &layout, &mut cache)?;
    for i in 0..sampling.max_new_tokens.min(limit - longest) {
        let next = draws.draw(&logits, stop);
        if draws.done() {
            break;
        }
        logits = advance(decoder, &next, &layout, layout.width + i, &mut cache)?;
    }
    Ok(draws.responses)
}

fn prefill(
    decoder: &Decoder,
    prompts: &[Vec<u32>],
    layout: &Layout,
    cache: &mut Cache,
) -> Result<Vec<f32>, ModelError> {
    let columns = 0..layout.width;
    let padded = |row: usize, column: usize| {
        column.checked_sub(layout.offsets[row]).map_or(0, |i| prompts[row][i])
    };
    let rows = 0..prompts.len();
    let tokens: Vec<u32> = rows
        .clone()
        .flat_map(|r| columns.clone().map(move |c| (r, c)))
        .map(|(r, c)| padded(r, c))
        .collect();
    let positions: Vec<u32> = rows
        .flat_map(|r| columns.clone().map(move |c| (r, c)))
        .map(|(r, c)| layout.position(r, c))
        .collect();
    run(decoder, &tokens, &positions, layout, 0..layout.width, cache)
}

fn advance(
    decoder: &Decoder,
    tokens: &[u32],
    layout: &Layout,
    column: usize,
    cache: &mut Cache,
) -> Result<Vec<f32>, ModelError> {
    let positions: Vec<u32> = (0..tokens.len()).map(|row| layout.position(row, column)).collect();
    run(decoder, tokens, &positions, layout, column..column + 1, cache)
}

/// Compute new columns and return the logits of the last one, `[B · V]`.
fn run(
    decoder: &Decoder,
    tokens: &[u32],
    positions: &[u32],
    layout: &Layout,
    columns: std::ops::Range<usize>,
    cache: &mut Cache,
) -> Result<Vec<f32>, ModelError> {
    let device = decoder.device();
    let (b, t) = (layout.offsets.len(), columns.len());
    let input = DecoderInput {
        tokens: ints(tokens, [b, t], &device),
        positions: ints(positions, [b, t], &device),
        hidden_keys: Some(layout.hidden_keys(columns.start, columns.end, &device)),
        spans: None,
    };
    let hidden = decoder.hidden(&input, Some(cache));
    cache.length += t;
    let width = hidden.dims()[2];
    let last = hidden.narrow(1, t - 1, 1).reshape([b, width]);
    let logits = decoder.logits(last);
    let logits = crate::device::read(logits).map_err(ModelError::Device)?;
    match logits.iter().find(|logit| !logit.is_finite()) {
        Some(&found) => Err(ModelError::NoNumber { what: "the next token", found }),
        None => Ok(logits),
    }
}

/// The responses under way and their sources of randomness.
struct Draws {
    responses: Vec<Generated>,
    random: Vec<ChaCha8Rng>,
    temperature: f64,
    top_p: f64,
}

impl Draws {
    fn new(count: usize, sampling: &Sampling) -> Self {
        let stream = |i: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(sampling.seed);
            rng.set_stream(i as u64);
            rng
        };
        Self {
            responses: vec![Generated::default(); count],
            random: (0..count).map(stream).collect(),
            temperature: sampling.temperature,
            top_p: sampling.top_p,
        }
    }

    fn done(&self) -> bool {
        self.responses.iter().all(|r| r.ended)
    }

    /// Draw the next token of each row; rows that ended are fed their first stop token.
    fn draw(&mut self, logits: &[f32], stop: &[u32]) -> Vec<u32> {
        let vocabulary = logits.len() / self.responses.len();
        let mut next = Vec::with_capacity(self.responses.len());
        for (row, response) in self.responses.iter_mut().enumerate() {
            if response.ended {
                next.push(stop.first().copied().unwrap_or(0));
                continue;
            }
            let logits = &logits[row * vocabulary..(row + 1) * vocabulary];
            let token = pick(logits, self.temperature, self.top_p, &mut self.random[row]);
            if stop.contains(&(token as u32)) {
                response.ended = true;
            } else {
                response.tokens.push(token as u32);
                response.log_probs.push(f64::from(logits[token]) - log_sum_exp(logits, 1.0));
            }
            next.push(token as u32);
        }
        next
    }
}

fn log_sum_exp(logits: &[f32], temperature: f64) -> f64 {
    let scaled = |&x: &f32| f64::from(x) / temperature;
    let highest = logits.iter().map(scaled).fold(f64::NEG_INFINITY, f64::max);
    highest + logits.iter().map(|x| (scaled(x) - highest).exp()).sum::<f64>().ln()
}

/// The index of the next token.
fn pick(logits: &[f32], temperature: f64, top_p: f64, random: &mut impl Rng) -> usize {
    let by_logit = |&a: &usize, &b: &usize| logits[b].total_cmp(&logits[a]).then(a.cmp(&b));
    if temperature <= 0.0 {
        return (0..logits.len()).min_by(by_logit).unwrap_or(0);
    }
    let total = log_sum_exp(logits, temperature);
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_unstable_by(by_logit);
    let probability = |i: usize| (f64::from(logits[i]) / temperature - total).exp();
    let mut kept = 0.0;
    let mut nucleus = 0;
    for &i in &order {
        kept += probability(i);
        nucleus += 1;
        if kept >= top_p {
            break;
        }
    }
    let mut left = random.random::<f64>() * kept;
    for &i in &order[..nucleus] {
        left -= probability(i);
        if left <= 0.0 {
            return i;
        }
    }
    order[nucleus.saturating_sub(1)]
}
