//! Log-probabilities of responses under a frozen model, once each, whoever asks.

use super::super::cache::OutputCache;
use crate::annotate::response_log_probs;
use crate::batch::Sequence;
use crate::model::{Decoder, ModelError, Reading};

/// What is read of such a model.
pub(super) const LOG_PROBS: &str = "log-probabilities of responses";

/// Learn of these sequences what is not known yet, computed in one batch.
///
/// # Errors
///
/// The device fails.
pub(super) fn learn(
    cache: &mut OutputCache,
    decoder: &Decoder,
    sequences: &[&Sequence],
    pad: u32,
) -> Result<(), ModelError> {
    cache.learn(sequences, |new| response_log_probs(decoder, new, pad, &Reading::default()))
}
