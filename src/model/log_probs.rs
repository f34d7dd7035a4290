//! What is read from a batch: log-probabilities of responses, or scores of sequences. Logits
//! exist only at positions that predict a response token.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::numbers::ints;
use super::readout::{Head, TargetLogProbs};
use super::{Decoder, DecoderInput};
use crate::batch::{Batch, Span, bucket};

/// Token ids and positions of a batch on a device.
pub fn input(batch: &Batch, device: &Device) -> DecoderInput {
    let shape = [batch.rows, batch.length];
    DecoderInput {
        tokens: ints(&batch.tokens, shape, device),
        positions: ints(&batch.positions, shape, device),
        hidden_keys: None::<Tensor<3, Bool>>,
        spans: batch.packed.then(|| spans(batch, device)),
    }
}

fn spans(batch: &Batch, device: &Device) -> Tensor<2, Int> {
    let row = |span: &Span| [span.prompt[0], span.prompt[1], span.own, span.group_end];
    let numbers: Vec<u32> = batch.spans().iter().flat_map(row).map(|place| place as u32).collect();
    ints(&numbers, [numbers.len() / 4, 4], device)
}

/// Scores of the sequences of a batch, `[S]`, read at their last tokens.
pub fn sequence_scores(decoder: &Decoder, batch: &Batch) -> Tensor<1> {
    let hidden = decoder.hidden(&input(batch, &decoder.device()), None);
    decoder.scores(rows_at(hidden, &ends(batch)))
}

/// Summed log-probability of each response, `[S]`, in f32.
pub fn sequence_log_probs(decoder: &Decoder, batch: &Batch) -> Tensor<1> {
    let hidden = decoder.hidden(&input(batch, &decoder.device()), None);
    ResponseTargets::of(batch).read(decoder, hidden, false).sums
}

/// Log-probability of every response token, in the order of [`Batch::targets`].
pub fn token_log_probs(decoder: &Decoder, batch: &Batch) -> Tensor<1> {
    let targets = ResponseTargets::of(batch);
    let hidden = decoder.hidden(&input(batch, &decoder.device()), None);
    targets.read(decoder, hidden, false).log_probs.values.narrow(0, 0, targets.count)
}

/// Places in the flattened batch where scores are read.
pub(crate) fn ends(batch: &Batch) -> Vec<u32> {
    batch.ends().into_iter().map(|i| i as u32).collect()
}

/// Chosen rows of `[R, T, E]`, flattened: `[M, E]`.
pub(crate) fn rows_at(hidden: Tensor<3>, places: &[u32]) -> Tensor<2> {
    let [r, t, width] = hidden.dims();
    let device = hidden.device();
    hidden.reshape([r * t, width]).select(0, ints(places, [places.len()], &device))
}

/// The response tokens of a batch, with copies of the first one up to a bucketed count, so that
/// shapes repeat.
pub(crate) struct ResponseTargets {
    /// Places of the hidden states that predict them.
    pub(crate) from: Vec<u32>,
    /// The tokens.
    pub(crate) tokens: Vec<u32>,
    /// How many are no copies.
    count: usize,
    /// The sequence of each that is no copy.
    owners: Vec<usize>,
    sequences: usize,
}

/// What [`ResponseTargets::read`] found.
pub(crate) struct ResponseLogProbs {
    /// Of each sequence, `[S]`.
    pub(crate) sums: Tensor<1>,
    /// Of each target.
    pub(crate) log_probs: TargetLogProbs,
    /// The hidden states that predict them, `[M, E]`.
    pub(crate) hidden: Tensor<2>,
    /// Which targets each sequence sums, `[S, M]`.
    mask: Tensor<2>,
}

impl ResponseTargets {
    pub(crate) fn of(batch: &Batch) -> Self {
        let targets = batch.targets();
        let m = bucket(targets.len());
        let at = |i: usize| targets.get(i).or(targets.first());
        Self {
            from: (0..m).map(|i| at(i).map_or(0, |t| t.from as u32)).collect(),
            tokens: (0..m).map(|i| at(i).map_or(0, |t| t.token)).collect(),
            count: targets.len(),
            owners: targets.iter().map(|t| t.sequence).collect(),
            sequences: batch.sequences,
        }
    }

    /// From hidden states `[R, T, E]`; `jacobian` prepares a backward pass.
    pub(crate) fn read(
        &self,
        decoder: &Decoder,
        hidden: Tensor<3>,
        jacobian: bool,
    ) -> ResponseLogProbs {
        let hidden = rows_at(hidden, &self.from);
        let log_probs = Head::of(decoder).log_probs(&hidden, &self.tokens, jacobian);
        let mask = self.mask(&hidden.device());
        let sums =
            (mask.clone() * log_probs.values.clone().unsqueeze::<2>()).sum_dim(1).squeeze_dim(1);
        ResponseLogProbs { sums, log_probs, hidden, mask }
    }

    fn mask(&self, device: &Device) -> Tensor<2> {
        let m = self.from.len();
        let mut mask = vec![0.0f32; self.sequences * m];
        for (i, &sequence) in self.owners.iter().enumerate() {
            mask[sequence * m + i] = 1.0;
        }
        Tensor::from_data(TensorData::new(mask, [self.sequences, m]), device)
    }
}

impl ResponseLogProbs {
    /// What each target's log-probability contributes to Σ cotangent·sum, `[M]`.
    pub(crate) fn target_cotangent(&self, cotangent: &Tensor<1>) -> Tensor<1> {
        (self.mask.clone() * cotangent.clone().unsqueeze_dim::<2>(1)).sum_dim(0).squeeze_dim(0)
    }
}
