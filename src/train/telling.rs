//! Telling steps: on a device with a queue a step is told when the next one is queued.

use std::time::Instant;

use burn::tensor::{Device, Tensor};

use super::{NonFinite, Observer, TrainError, Unread};
use crate::device::is_cpu;
use crate::model::ModelError;

/// A step whose numbers are still on the device.
pub(super) struct StepUnread {
    /// Counted from 1.
    pub(super) step: u64,
    pub(super) begun: Instant,
    /// Tokens computed in it.
    pub(super) tokens: usize,
    pub(super) unread: Unread,
}

/// Reads steps and tells an observer of them, in their order.
pub(super) struct Teller {
    total: u64,
    /// Whether a step waits until the next one is queued, so that the device has work while its
    /// numbers are read. The CPU backend computes at once, and has no queue.
    late: bool,
    waiting: Option<StepUnread>,
    /// When the step before was read.
    read: Instant,
    /// Steps that were skipped, and how many may be.
    skipped: u64,
    allowed: u64,
    /// The step that was skipped beyond those.
    diverged: Option<NonFinite>,
}

impl Teller {
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
        step: StepUnread,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let before = self.waiting.replace(step);
        if self.late { self.tell(before, observer) } else { self.rest(observer) }
    }

    /// Tell all that is left.
    pub(super) fn rest(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let last = self.waiting.take();
        self.tell(last, observer)
    }

    fn tell(
        &mut self,
        step: Option<StepUnread>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let Some(StepUnread { step, begun, tokens, unread }) = step else { return Ok(()) };
        let Unread { mut metrics, numbers, finish } = unread;
        finish(&read(Tensor::cat(numbers, 0))?, &mut metrics);
        // A queued step begins when the one before it ends.
        let seconds = begun.max(self.read).elapsed().as_secs_f64();
        self.read = Instant::now();
        metrics.set("tokens_per_second", tokens as f64 / seconds);
        observer.after_step(step, self.total, &metrics);
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
            observer.skipped(found, self.allowed);
        }
        Ok(())
    }
}

/// Numbers from the device.
pub(super) fn read(tensor: Tensor<1>) -> Result<Vec<f64>, ModelError> {
    let values = crate::device::read(tensor).map_err(ModelError::Device)?;
    Ok(values.into_iter().map(f64::from).collect())
}
