//! A reference that follows the policy (TR-DPO, arXiv 2404.09656).

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use crate::batch::Batch;
use crate::model::{
    Decoder, Reading, SavedTensor, blend, collect_trained, read_sequences, take_tensors,
};

/// A reference that is led towards the policy every so many steps: π_ref ← απ + (1 − α)π_ref, weight by
/// weight (TRL's `ref_model_sync_steps` and `ref_model_mixup_alpha`).
pub struct MovingReference {
    reference: Decoder,
    every: u64,
    alpha: f64,
    moved: bool,
}

impl MovingReference {
    /// From where the policy starts.
    pub fn new(start: &Decoder, every: u64, alpha: f64) -> Self {
        Self { reference: start.clone(), every: every.max(1), alpha, moved: false }
    }

    /// Whether it is elsewhere than at its start.
    pub fn has_moved(&self) -> bool {
        self.moved
    }

    /// Take note that the policy is this after so many steps.
    pub fn follow(&mut self, step: u64, policy: &Decoder) {
        if step.is_multiple_of(self.every) {
            self.reference = blend(self.reference.clone(), policy, self.alpha);
            self.moved = true;
        }
    }

    /// What it says of the sequences of a batch.
    pub fn log_probs(&self, batch: &Batch, reading: &Reading) -> Tensor<1> {
        read_sequences(&self.reference, batch, reading)
    }

    /// Its weights, once it has moved.
    pub fn state(&self) -> BTreeMap<String, SavedTensor> {
        if self.moved { collect_trained(&self.reference) } else { BTreeMap::new() }
    }

    /// Go on from these weights.
    pub fn restore(&mut self, state: BTreeMap<String, SavedTensor>) {
        if !state.is_empty() {
            self.reference = take_tensors(self.reference.clone(), state);
            self.moved = true;
        }
    }
}
