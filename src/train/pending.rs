//! Telling steps: on a device with a queue a step is told when the next one is queued.

use std::time::Instant;

use burn::tensor::{Device, Tensor};

use super::{NonFinite, PendingMetrics, TrainError, TrainerCallback};
use crate::device::is_cpu;
use crate::model::ModelError;

/// A step whose numbers are still on the device.
pub(super) struct PendingStep {
    /// Counted from 1.
    pub(super) step: u64,
    pub(super) begun: Instant,
    /// Tokens computed in it.
    pub(super) tokens: usize,
    pub(super) unread: PendingMetrics,
}

/// Reads steps and tells a callback of them, in their order.
pub(super) struct PendingQueue {
    total: u64,
    /// Whether a step waits until the next one is queued, so that the device has work while its
    /// numbers are read. The CPU backend computes at once, and has no queue.
    late: bool,
    waiting: Option<PendingStep>,
    /// When the step before was read.
    read: Instant,
    /// Steps that were skipped, and how many may be.
    skipped: u64,
    allowed: u64,
    /// The step that was skipped beyond those.
    diverged: Option<NonFinite>,
}

impl PendingQueue {
    /// Of a training that skipped so many steps already.
    pub(super) fn new(device: &Device, total: u64, skipped: u64, allowed: u64) -> Self {
        let late = !is_cpu(device);
        let read = Instant::now();
        Self { total, late, waiting: None, read, skipped, allowed, diverged: None }
    }

    /// The step at which training has to end, if it was told of one.
    pub(super) fn diverged(&self) -> Option<NonFinite> {
        self.diverged
    }

    /// A step has been queued.
    pub(super) fn put(
        &mut self,
        step: PendingStep,
        callback: &mut dyn TrainerCallback,
    ) -> Result<(), TrainError> {
        let before = self.waiting.replace(step);
        if self.late { self.tell(before, callback) } else { self.rest(callback) }
    }

    /// Tell all that is left.
    pub(super) fn rest(&mut self, callback: &mut dyn TrainerCallback) -> Result<(), TrainError> {
        let last = self.waiting.take();
        self.tell(last, callback)
    }

    fn tell(
        &mut self,
        step: Option<PendingStep>,
        callback: &mut dyn TrainerCallback,
    ) -> Result<(), TrainError> {
        let Some(PendingStep { step, begun, tokens, unread }) = step else { return Ok(()) };
        let PendingMetrics { mut metrics, numbers, finish } = unread;
        finish(&read(Tensor::cat(numbers, 0))?, &mut metrics);
        // A queued step begins when the one before it ends.
        let seconds = begun.max(self.read).elapsed().as_secs_f64();
        self.read = Instant::now();
        metrics.set("tokens_per_second", tokens as f64 / seconds);
        callback.after_step(step, self.total, &metrics);
        let broken = |name: &&str| !metrics.get(name).is_some_and(f64::is_finite);
        let Some(name) = ["loss", "grad_norm"].into_iter().find(broken) else { return Ok(()) };
        let found = NonFinite {
            what: if name == "loss" { "loss" } else { "gradient" },
            step,
            skipped: self.skipped,
        };
        if self.skipped >= self.allowed {
            self.diverged.get_or_insert(found);
        } else {
            self.skipped += 1;
            callback.skipped(found, self.allowed);
        }
        Ok(())
    }
}

/// Numbers from the device.
pub(super) fn read(tensor: Tensor<1>) -> Result<Vec<f64>, ModelError> {
    let values = crate::device::read(tensor).map_err(ModelError::Device)?;
    Ok(values.into_iter().map(f64::from).collect())
}
