//! How hard response tokens are for a frozen model, and whether it could have guessed them.

use burn::tensor::Tensor;

use super::log_probs::input;
use super::{Decoder, Reading, ResponseTargets};
use crate::batch::Batch;

/// Of each response token, in the order of [`Batch::targets`]: its log-probability, and how many tokens the model
/// finds likelier there; `[M]` each.
pub fn token_ranks(decoder: &Decoder, batch: &Batch) -> [Tensor<1>; 2] {
    let targets = ResponseTargets::of(batch, &Reading::default());
    let hidden = decoder.hidden(&input(batch, &decoder.device()), None);
    targets.ranks(decoder, hidden)
}
