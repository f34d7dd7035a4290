//! Who watches a training, and how it can end.

use super::{AdamW, Metrics, Task};
use crate::model::{Decoder, ModelError};

/// Why training ended early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The model or its device failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A checkpoint could not be written.
    #[error("the checkpoint could not be written: {0}; is there space left?")]
    Checkpoint(String),
    /// More steps would have to be skipped than may be. The callback was given the last weights,
    /// unless they are no finite numbers themselves.
    #[error("{found}, after {} skipped ones (skip_nonfinite)", found.skipped)]
    Diverged {
        /// The step.
        found: NonFinite,
        /// Whether the weights of before are finite numbers.
        sound: bool,
    },
}

/// A step whose loss or gradient is no finite number, so that it changes no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// `loss` or `gradient`.
    pub what: &'static str,
    /// Counted from 1.
    pub step: u64,
    /// Steps of the training that were skipped before.
    pub skipped: u64,
}

impl std::fmt::Display for NonFinite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the {} of step {} is no finite number", self.what, self.step)
    }
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Take the next step.
    Go,
    /// Write a checkpoint and end.
    Stop,
}

/// Who watches a training.
pub trait TrainerCallback {
    /// Asked before each step; may wait.
    fn before_step(&mut self) -> Flow;

    /// Told after each step, counted from 1.
    fn after_step(&mut self, step: u64, total: u64, metrics: &Metrics);

    /// Whether a checkpoint is due after this step.
    fn wants_checkpoint(&mut self, step: u64, total: u64) -> bool;

    /// Keep the state after so many steps; who keeps none has nothing to do.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn checkpoint(
        &mut self,
        _step: u64,
        _model: &Decoder,
        _optimiser: &AdamW,
        _task: &dyn Task,
    ) -> Result<(), TrainError> {
        Ok(())
    }

    /// Something worth knowing.
    fn warn(&mut self, message: String);

    /// Told of each step that is skipped, of which `allowed` may be.
    fn skipped(&mut self, found: NonFinite, allowed: u64) {
        let number = found.skipped + 1;
        self.warn(format!(
            "{found}: it is skipped, {number} of the {allowed} that skip_nonfinite allows"
        ));
    }
}
