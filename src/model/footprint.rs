//! Bytes that a decoder takes on its device: weights, gradients, moments, and what passes hold.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::parameters::{ParameterKind, parameters};
use super::precision::is_cpu;
use super::readout::chunk_numbers;
use super::{Activation, Adapter, Checkpoint, DecoderConfig, Family, Precision};
use crate::text::{Sequence, bucket};

/// Bytes that a stage takes on its device at its peak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Weights as stored.
    pub weights: u64,
    /// Gradients of what is trained.
    pub gradients: u64,
    /// The optimiser's moments.
    pub optimiser: u64,
    /// What passes and updates hold beside them.
    pub activations: u64,
}

impl Needs {
    /// All together.
    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.optimiser + self.activations
    }
}

/// The shape of a batch with one sequence to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchShape {
    /// R.
    pub rows: usize,
    /// T, padded.
    pub length: usize,
    /// Response tokens, padded.
    pub targets: usize,
}

impl BatchShape {
    /// Of these sequences.
    pub fn of(sequences: &[&Sequence]) -> Self {
        Self {
            rows: sequences.len(),
            length: bucket(sequences.iter().map(|s| s.len()).max().unwrap_or(1)),
            targets: bucket(sequences.iter().map(|s| s.response.len()).sum()),
        }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Adapted {
    ffn: bool,
}

/// Bytes of one activation of a batch, by its width.
#[derive(Clone, Copy)]
struct Widths {
    /// `[R, T, D]`.
    hidden: u64,
    /// `[R, T, heads · head_dim]`.
    queries: u64,
    /// `[R, T, ffn]`.
    ffn: u64,
    /// `[R, heads, T, T]`.
    scores: u64,
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
            adapted: adapter.map(|_| Adapted { ffn: false }),
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

    /// Bytes of the gradients of what is trained.
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
        let read = if scores { 0 } else { self.readout(batch, kind) };
        let layers = self.config.layers as u64;
        if kind == PassKind::Infer {
            return self.inferred(w).max(2 * w.hidden + read);
        }
        let saved = self.saved(w);
        let kept = |below: u64| match kind {
            PassKind::Keep => below * saved,
            _ => (below + 1) * w.hidden,
        };
        let before = kept(layers) + read;
        let within = (0..layers).map(|i| {
            let gradients = self.head_gradients + (layers - 1 - i) * self.layer_gradients;
            gradients + kept(i) + saved + self.backward(w)
        });
        let after =
            self.gradients + if self.adapted.is_none() { 2 * self.table_bytes() } else { 0 };
        within.max().unwrap_or(0).max(before).max(after)
    }

    fn widths(&self, batch: &BatchShape) -> Widths {
        let c = &self.config;
        let tokens = F32 * (batch.rows * batch.length) as u64;
        Widths {
            hidden: tokens * c.hidden as u64,
            queries: tokens * (c.heads * c.head_dim) as u64,
            ffn: tokens * c.ffn as u64,
            scores: tokens * (c.heads * batch.length) as u64,
        }
    }

    /// What one layer leaves for its backward pass.
    fn saved(&self, w: Widths) -> u64 {
        let c = &self.config;
        // Inputs of norms and of linear layers; a frozen linear layer needs none of its own.
        let hidden = if self.adapted.is_some() { 4 } else { 6 };
        let ffn = match (c.gated, c.activation) {
            (true, _) => 4,
            (false, Activation::Relu) => 1,
            (false, _) => 3,
        };
        // The input of the last linear layer, where it trains.
        let ffn = ffn + u64::from(self.adapted.is_none_or(|adapted| adapted.ffn));
        // Scores, probabilities and their mask; queries, keys, values and what they mix.
        3 * w.scores + 4 * w.queries + ffn * w.ffn + hidden * w.hidden
    }

    /// What the backward pass of a layer holds beside what was saved, at its worst: in its
    /// feed-forward block, or in its attention, after the block's tensors are gone.
    fn backward(&self, w: Widths) -> u64 {
        let ffn_saved = self.saved(Widths { hidden: 0, queries: 0, scores: 0, ..w });
        let in_ffn = 2 * w.ffn + self.largest_made;
        let in_attention = (2 * w.scores + self.largest_made).saturating_sub(ffn_saved);
        w.hidden + in_ffn.max(in_attention)
    }

    fn inferred(&self, w: Widths) -> u64 {
        let ffn = 2 + u64::from(self.config.gated) + u64::from(self.adapted.is_some_and(|a| a.ffn));
        let in_ffn = 2 * w.hidden + ffn * w.ffn;
        let in_attention = w.hidden + 3 * w.queries + 2 * w.scores;
        // Only weights that are stored narrow are widened in a forward pass.
        let widened = if self.narrow { self.largest_made } else { 0 };
        in_ffn.max(in_attention) + widened
    }

    fn table_bytes(&self) -> u64 {
        F32 * (self.config.vocabulary * self.config.embedding) as u64
    }

    /// Hidden states of targets, and chunks of logits; in training the head's own gradient.
    fn readout(&self, batch: &BatchShape, kind: PassKind) -> u64 {
        let rows = F32 * (batch.targets * self.config.embedding) as u64;
        let chunk = F32 * chunk_numbers(self.on_cpu, self.config.vocabulary, batch.targets) as u64;
        let states = if kind == PassKind::Infer { 2 } else { 4 };
        states * rows + 3 * chunk + if kind == PassKind::Infer { 0 } else { self.head_gradients }
    }
}

/// Tensors of the size of the largest one that an update makes: moments are updated in place.
const UPDATE: u64 = 1;
