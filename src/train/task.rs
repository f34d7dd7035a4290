//! What is trained.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::{OutputKind, PendingMetrics, Sampler};
use crate::batch::Sequence;
use crate::model::{Decoder, Footprint, ModelError, Reading, SavedTensor};

/// What is trained: items with a loss.
pub trait Task {
    /// Items in one epoch.
    fn len(&self) -> usize;

    /// Whether there is nothing to train on.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items of a step, counted from 0.
    fn items(&self, order: &mut Sampler, step: u64) -> Vec<usize> {
        order.step(step)
    }

    /// Those of a step's items that its loss depends on; the others are not computed.
    fn computed(&self, items: &[usize]) -> Vec<usize> {
        items.to_vec()
    }

    /// Begin an optimiser step over these items: fix what its loss is divided by.
    fn begin(&mut self, items: &[usize]);

    /// Whether the loss of an item depends on the others of its step, so that [`Task::loss`] has to see
    /// all of them at once.
    fn whole_batch(&self) -> bool {
        false
    }

    /// Take note that memory has room for so many of the step's items at once.
    fn in_parts_of(&mut self, _most: usize) {}

    /// What the loss is a function of.
    fn output_kind(&self) -> OutputKind;

    /// The sequences of a part of the step's items, in the order in which
    /// [`Task::loss`] expects their outputs.
    fn sequences(&self, items: &[usize]) -> Vec<&Sequence>;

    /// What fills rows and is no end of a sequence; without one, a sequence ends at its last
    /// token, whatever that is.
    fn pad(&self) -> Option<u32>;

    /// The share of a part of the step's items in the step's loss, `[1]`, from what was read of
    /// its batch, `[S]`; shares add up. `S` is a multiple of the number of items: what was read of
    /// the first sequence of each, then of the second of each, and so on for each number of a
    /// [`Reading`].
    fn loss(&mut self, items: &[usize], outputs: Tensor<1>) -> Tensor<1>;

    /// The step's numbers beside those that the loop adds.
    fn metrics(&mut self) -> PendingMetrics;

    /// What is read of the items' sequences, beside the sum of log-probabilities.
    fn reading(&self, _items: &[usize]) -> Reading {
        Reading::default()
    }

    /// What a frozen model takes that is asked about the items before they are computed.
    fn teacher(&self) -> Option<&Footprint> {
        None
    }

    /// Whether it holds a copy of what is trained as it was before the first step, and asks it as a teacher is
    /// asked.
    fn asks_start(&self) -> bool {
        false
    }

    /// Whether it holds a reference that moves, a copy of what is trained.
    fn moves_reference(&self) -> bool {
        false
    }

    /// Take note of what a person has moved since the last step, and that this one of all begins, counted from
    /// 0.
    fn before_step(&mut self, _step: u64, _total: u64) {}

    /// Take note of the model after so many steps.
    ///
    /// # Errors
    ///
    /// The device fails.
    fn after_step(&mut self, _step: u64, _model: &Decoder) -> Result<(), ModelError> {
        Ok(())
    }

    /// What it remembers of earlier steps, for a checkpoint.
    fn state(&self) -> BTreeMap<String, SavedTensor> {
        BTreeMap::new()
    }

    /// Remember what a checkpoint has kept.
    fn restore(&mut self, _state: BTreeMap<String, SavedTensor>) {}
}
