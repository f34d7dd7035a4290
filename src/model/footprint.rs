//! Bytes that a decoder takes on its device: weights, gradients, moments, and what passes hold.

use std::collections::HashSet;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::parameters::{ParameterKind, parameters};
use super::readout::chunk_numbers;
use super::{Activation, Adapter, Checkpoint, DecoderConfig, Family, Precision, Reading};
use crate::batch::{Sequence, bucket};
use crate::device::is_cpu;
use crate::kernels::has_attention_kernel;

/// Bytes that a stage takes on its device at its peak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryEstimate {
    /// Weights as stored.
    pub weights: u64,
    /// Gradients of what is trained.
    pub gradients: u64,
    /// The optimiser's moments.
    pub optimiser: u64,
    /// What passes and updates hold beside them.
    pub activations: u64,
}

impl MemoryEstimate {
    /// All together.
    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.optimiser + self.activations
    }
}

/// The shape of a packed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchShape {
    /// Positions, padded.
    pub tokens: usize,
    /// Response tokens, padded.
    pub targets: usize,
}

impl BatchShape {
    /// Of these sequences, as [`Batch::packed`] lays them out.
    ///
    /// [`Batch::packed`]: crate::batch::Batch::packed
    pub fn of(sequences: &[&Sequence]) -> Self {
        Self::read(sequences, &Reading::default())
    }

    /// The same where more than the sum of log-probabilities is read.
    pub fn read(sequences: &[&Sequence], reading: &Reading) -> Self {
        let prompts: HashSet<&[u32]> = sequences.iter().map(|s| &s.prompt[..]).collect();
        let shared: usize = prompts.into_iter().map(<[u32]>::len).sum();
        let responses: usize = sequences.iter().map(|s| s.response.len()).sum();
        let of_prompts = if reading.prompts { shared } else { 0 };
        Self { tokens: bucket(shared + responses), targets: bucket(responses + of_prompts) }
    }
}

/// How a batch is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassKind {
    /// Forward only.
    Infer,
    /// Forward and back, everything kept between.
    Keep,
    /// Forward and back, layers computed again.
    Recompute,
}

/// What one decoder takes, from its configuration alone.
#[derive(Clone, Debug)]
pub struct Footprint {
    config: DecoderConfig,
    adapted: Option<Adapted>,
    stored: u64,
    /// Bytes of the gradients of one layer, of the language-model head, of everything.
    layer_gradients: u64,
    head_gradients: u64,
    gradients: u64,
    /// Bytes of the largest trained tensor, and of the largest linear weight that a pass makes
    /// anew: widened from its storage, or as a gradient.
    largest_trained: u64,
    largest_made: u64,
    /// Linear weights are stored in fewer bits than they are used.
    narrow: bool,
    on_cpu: bool,
}

/// Whether an adapter joins the linear layers of the feed-forward block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Adapted {
    ffn: bool,
}

/// Bytes of one activation of a batch of N positions, by its width.
#[derive(Clone, Copy)]
struct Widths {
    /// `[N, D]`.
    hidden: u64,
    /// `[N, heads · head_dim]`.
    queries: u64,
    /// `[N, kv_heads · head_dim]`.
    keys: u64,
    /// `[N, ffn]`.
    ffn: u64,
    /// `[N]`.
    number: u64,
}

/// Bytes of an f32.
const F32: u64 = 4;

impl Footprint {
    /// Of a decoder with these settings; `scored` adds a scalar head.
    pub fn new(
        config: &DecoderConfig,
        family: &Family,
        adapter: Option<&Adapter>,
        scored: bool,
        precision: Precision,
        device: &Device,
    ) -> Self {
        let mut found = Self {
            config: config.clone(),
            adapted: adapter.map(|_| Adapted::default()),
            stored: 0,
            layer_gradients: 0,
            head_gradients: 0,
            gradients: 0,
            largest_trained: 0,
            largest_made: 0,
            narrow: precision != Precision::F32,
            on_cpu: is_cpu(device),
        };
        for parameter in parameters(config, scored) {
            let (count, [rows, columns]) = (parameter.count(), parameter.shape);
            let score = parameter.path == "score.weight";
            let stored = match parameter.kind {
                ParameterKind::Linear if !score => precision.linear_bytes(rows, columns, device),
                ParameterKind::Table => precision.table_bytes(count, device),
                _ => F32 * count,
            };
            found.stored += stored;
            let made = stored < F32 * count || adapter.is_none();
            if parameter.kind == ParameterKind::Linear && made {
                found.largest_made = found.largest_made.max(F32 * count);
            }
            let trained = match adapter {
                None => count,
                Some(_) if score => count,
                Some(adapter) => parameter
                    .rank(family, adapter)
                    .map_or(0, |rank| (rank * (rows + columns)) as u64),
            };
            if adapter.is_some() && !score {
                found.stored += F32 * trained;
            }
            found.train(&parameter.path, F32 * trained);
        }
        found
    }

    /// Of a checkpoint as it was loaded with this precision.
    pub fn of(checkpoint: &Checkpoint, precision: Precision) -> Self {
        let decoder = &checkpoint.decoder;
        Self::new(
            decoder.config(),
            checkpoint.family,
            checkpoint.adapter.as_ref(),
            decoder.score.is_some(),
            precision,
            &decoder.device(),
        )
    }

    fn train(&mut self, path: &str, bytes: u64) {
        self.gradients += bytes;
        self.largest_trained = self.largest_trained.max(bytes);
        if path.starts_with("layers.0.") {
            self.layer_gradients += bytes;
        }
        let head = if self.config.tied { "embedding.weight" } else { "head.weight" };
        if path == head {
            self.head_gradients += bytes;
        }
        if let Some(adapted) = &mut self.adapted {
            adapted.ffn |= bytes > 0 && path.contains(".ffn.");
        }
    }

    /// Bytes of the weights as stored.
    pub fn weights(&self) -> u64 {
        self.stored
    }

    /// Bytes of all weights in f32, without an adapter's.
    pub fn whole(&self) -> u64 {
        parameters(&self.config, false).iter().map(|parameter| F32 * parameter.count()).sum()
    }

    /// Whether an adapter is trained, and not the model itself.
    pub fn is_adapted(&self) -> bool {
        self.adapted.is_some()
    }

    /// Bytes of the gradients of what is trained, which are also those of its weights in f32.
    pub fn gradients(&self) -> u64 {
        self.gradients
    }

    /// Bytes of the optimiser's two moments.
    pub fn optimiser(&self) -> u64 {
        2 * self.gradients
    }

    /// What an update of the weights holds beside gradients and moments.
    pub fn update(&self) -> u64 {
        UPDATE * self.largest_trained
    }

    /// Bytes that one pass over a batch holds at its peak beside the weights, its own gradients
    /// included. The counts of tensors are those that `benches/activations.rs` sees.
    pub fn pass(&self, batch: &BatchShape, scores: bool, kind: PassKind) -> u64 {
        let w = self.widths(batch);
        let read = if scores { Vec::new() } else { self.readout(batch, kind) };
        let layers = self.config.layers as u64;
        if kind == PassKind::Infer {
            let reading = [vec![(2, w.hidden)], read].concat();
            let all = [self.inferred_in_ffn(w), self.inferred_in_attention(w), reading];
            return self.highest(w, &all);
        }
        let saved = self.saved(w);
        let kept = |below: u64| match kind {
            PassKind::Keep => times(below, &saved),
            _ => vec![(below + 1, w.hidden)],
        };
        let mut moments = vec![[kept(layers), read].concat()];
        for i in 0..layers {
            let trained = self.head_gradients + (layers - 1 - i) * self.layer_gradients;
            let held = [kept(i), saved.clone(), vec![(1, trained)]].concat();
            moments.push([held.clone(), self.backward_in_ffn(w)].concat());
            moments.push([held, self.backward_in_attention(w)].concat());
        }
        let embedding = if self.adapted.is_none() { 2 * self.table_bytes() } else { 0 };
        moments.push(vec![(1, self.gradients), (1, embedding)]);
        self.highest(w, &moments)
    }

    /// Bytes that sampling responses of up to `new` tokens to `rows` prompts of up to `prompt` tokens takes beside
    /// the weights: keys and values of all layers, those of one once more while they grow, the rows of logits, and
    /// the pass over the prompts.
    pub fn sampled(&self, rows: usize, prompt: usize, new: usize) -> u64 {
        let c = &self.config;
        let width = bucket(prompt);
        let keys = F32 * (rows * bucket(width + new) * c.kv_heads * c.head_dim) as u64;
        let logits = 2 * F32 * (rows * c.vocabulary) as u64;
        let batch = BatchShape { tokens: rows * width, targets: 0 };
        2 * (c.layers as u64 + 1) * keys + logits + self.pass(&batch, true, PassKind::Infer)
    }

    /// Bytes that reading a teacher's distribution beside the batch's own targets takes: the teacher's hidden
    /// states, the rows that it expects and what they are made of, chunks of its logits, and what it adds to the
    /// head's gradient.
    pub fn taught(&self, batch: &BatchShape, teacher: &Self) -> u64 {
        let rows = |width: usize| F32 * (batch.targets * width) as u64;
        let chunk = F32 * chunk_numbers(self.on_cpu, self.config.vocabulary, batch.targets) as u64;
        let (theirs, own) = (rows(teacher.config.embedding), rows(self.config.embedding));
        theirs + 4 * own + 3 * chunk + 2 * self.head_gradients
    }

    /// The most that any of these moments takes.
    fn highest(&self, w: Widths, moments: &[Tensors]) -> u64 {
        let bytes = |tensors: &Tensors| tensors.iter().map(|(n, size)| n * size).sum::<u64>();
        let Some(most) = moments.iter().max_by_key(|tensors| bytes(tensors)) else { return 0 };
        if self.on_cpu {
            return bytes(most);
        }
        let single = [w.hidden, w.queries, w.ffn, self.largest_made, self.largest_trained];
        pages(most, single.into_iter().max().unwrap_or(0))
    }

    fn widths(&self, batch: &BatchShape) -> Widths {
        let c = &self.config;
        let tokens = F32 * batch.tokens as u64;
        Widths {
            hidden: tokens * c.hidden as u64,
            queries: tokens * (c.heads * c.head_dim) as u64,
            keys: tokens * (c.kv_heads * c.head_dim) as u64,
            ffn: tokens * c.ffn as u64,
            number: tokens,
        }
    }

    /// What one layer leaves for its backward pass.
    fn saved(&self, w: Widths) -> Tensors {
        let c = &self.config;
        // Inputs of norms, and what linear layers read that train: theirs or their adapters'.
        let norms_after = if c.norm_after { 2 } else { 0 };
        // What an adapter drops of them it draws again, and keeps nothing of it.
        let reads = 1 + u64::from(self.trains_ffn());
        let hidden = 2 + reads + norms_after + self.plain(2);
        // Queries and what is mixed, keys and values; with norms of heads what entered those.
        let of_heads = if c.head_norm { 1 + self.plain(1) } else { 0 };
        vec![
            (2 + of_heads, w.queries),
            (2 + of_heads, w.keys),
            (self.saved_in_ffn(), w.ffn),
            (hidden, w.hidden),
            // What attention keeps of its scores: the log-sum-exps.
            (c.heads as u64, w.number),
            (self.scores(), c.heads as u64 * w.number * w.number / F32),
        ]
    }

    /// Tensors of scores between all positions that attention keeps where it has no kernel: what
    /// enters its softmax and what leaves it.
    fn scores(&self) -> u64 {
        self.plain(if has_attention_kernel(self.config.head_dim) { 0 } else { 2 })
    }

    /// Tensors that only the plain operations of a GPU keep.
    fn plain(&self, tensors: u64) -> u64 {
        if self.on_cpu { 0 } else { tensors }
    }

    /// Whether a linear layer of the feed-forward block, or its adapter, keeps its input.
    fn trains_ffn(&self) -> bool {
        self.adapted.is_none_or(|adapted| adapted.ffn)
    }

    /// Tensors of the feed-forward block's width that one layer leaves: what enters the
    /// activation, the other side of the gate, and what leaves it where the last linear layer
    /// trains.
    fn saved_in_ffn(&self) -> u64 {
        let gated = self.config.gated;
        let plain = match (gated, self.config.activation) {
            (true, _) => self.plain(2),
            (false, Activation::Relu) => 0,
            (false, _) => self.plain(2),
        };
        1 + u64::from(gated) + plain + u64::from(self.trains_ffn())
    }

    /// What the backward pass of a layer holds beside what was saved, in its feed-forward block.
    fn backward_in_ffn(&self, w: Widths) -> Tensors {
        // The gradients of both sides of the activation; what left it is gone by then.
        let gate = u64::from(self.config.gated && !self.trains_ffn());
        vec![(1, w.hidden), (2 + gate, w.ffn), (1, self.largest_made)]
    }

    /// The same in its attention, where the block's tensors are gone: as far as the others are
    /// more than those.
    fn backward_in_attention(&self, w: Widths) -> Tensors {
        // Gradients of one group are gathered before they are laid out.
        let here = 2 * (w.queries + 2 * w.keys) + w.queries + self.largest_made;
        vec![(1, w.hidden), (1, here.saturating_sub(self.saved_in_ffn() * w.ffn))]
    }

    fn inferred_in_ffn(&self, w: Widths) -> Tensors {
        let ffn = 2 + u64::from(self.config.gated) + u64::from(self.adapted.is_some_and(|a| a.ffn));
        vec![(2, w.hidden), (ffn, w.ffn), (1, self.widened())]
    }

    fn inferred_in_attention(&self, w: Widths) -> Tensors {
        // Slices of fused projections are copied, and what an adapter adds to them is apart.
        let fused = u64::from(self.config.fused_qkv);
        let copies = 1 + fused * (1 + u64::from(self.adapted.is_some()));
        let mixed = (1 - fused, w.queries);
        let qkv = [(copies, w.queries), (2 * copies, w.keys)];
        [vec![(2, w.hidden), mixed, (1, self.widened())], qkv.to_vec()].concat()
    }

    /// Only weights that are stored narrow are widened in a forward pass.
    fn widened(&self) -> u64 {
        if self.narrow { self.largest_made } else { 0 }
    }

    fn table_bytes(&self) -> u64 {
        F32 * (self.config.vocabulary * self.config.embedding) as u64
    }

    /// Hidden states of targets, and chunks of logits; in training the head's own gradient.
    fn readout(&self, batch: &BatchShape, kind: PassKind) -> Tensors {
        let rows = F32 * (batch.targets * self.config.embedding) as u64;
        let one = F32 * chunk_numbers(self.on_cpu, self.config.vocabulary, batch.targets) as u64;
        // The fused walk has one tile of logits, and takes heads in f32 only.
        let plain = u64::from(!self.on_cpu || self.narrow);
        let chunk = (1 + 2 * plain, one);
        match kind {
            PassKind::Infer => vec![(2, rows), chunk],
            _ => vec![(3 + plain, rows), chunk, (1, self.head_gradients)],
        }
    }
}

/// How many tensors of how many bytes.
type Tensors = Vec<(u64, u64)>;

fn times(n: u64, tensors: &[(u64, u64)]) -> Tensors {
    tensors.iter().map(|(count, bytes)| (n * count, *bytes)).collect()
}

/// What a GPU's pools reserve for these tensors. Pages have room for the largest tensor that was
/// ever asked for, and a mebibyte; smaller tensors share pages, the largest placed first.
fn pages(tensors: &[(u64, u64)], largest: u64) -> u64 {
    const MIB: u64 = 1 << 20;
    let largest = tensors.iter().map(|(_, bytes)| *bytes).fold(largest, u64::max);
    let page = (largest + MIB).next_multiple_of(MIB);
    let mut sizes: Vec<(u64, u64)> = tensors.to_vec();
    sizes.sort_unstable_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    // (pages, bytes left in each)
    let mut open: Vec<(u64, u64)> = Vec::new();
    for (mut count, bytes) in sizes.into_iter().filter(|(count, bytes)| *count > 0 && *bytes > 0) {
        let mut split = Vec::new();
        for (n, left) in &mut open {
            let each = *left / bytes;
            let filled = count.checked_div(each).map_or(0, |fits| fits.min(*n));
            if filled > 0 {
                count -= filled * each;
                *n -= filled;
                split.push((filled, *left - each * bytes));
            }
        }
        open.extend(split);
        open.retain(|(n, _)| *n > 0);
        let each = page / bytes;
        let fresh = count.div_ceil(each);
        open.push((fresh, page - each * bytes));
    }
    SMALL_POOL + page * open.iter().map(|(n, _)| n).sum::<u64>()
}

/// The page of a GPU's pool for small tensors and what kernels are told.
const SMALL_POOL: u64 = 8 << 20;

/// Tensors of the size of the largest one that an update makes: moments are updated in place.
const UPDATE: u64 = 1;
