//! What a model says of sequences: scores of an annotator, log-probabilities of a policy.

use burn::tensor::Tensor;

use crate::model::{
    BatchShape, Decoder, Footprint, ModelError, Needs, PassKind, sequence_log_probs,
    sequence_scores,
};
use crate::text::{Batch, Sequence};

/// Scores of sequences, in their order, each read at the last token that is not `pad`.
///
/// `progress` is told how many are done and may end the work with an error.
///
/// # Errors
///
/// The device fails, or `progress` says so.
pub fn score_sequences<E: From<ModelError>>(
    decoder: &Decoder,
    sequences: &[&Sequence],
    pad: impl Into<Option<u32>>,
    batch_size: usize,
    progress: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Vec<f32>, E> {
    let pad = pad.into();
    over_batches(sequences, pad, batch_size, &|batch| sequence_scores(decoder, batch), progress)
}

/// Summed log-probabilities of responses in one batch, in their order.
///
/// # Errors
///
/// The device fails.
pub fn response_log_probs(
    decoder: &Decoder,
    sequences: &[&Sequence],
    pad: u32,
) -> Result<Vec<f32>, ModelError> {
    numbers(sequence_log_probs(decoder, &Batch::packed(sequences, pad)))
}

/// Summed log-probabilities of any number of responses, in their order.
///
/// # Errors
///
/// As [`score_sequences`].
pub fn all_log_probs<E: From<ModelError>>(
    decoder: &Decoder,
    sequences: &[&Sequence],
    pad: u32,
    batch_size: usize,
    progress: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Vec<f32>, E> {
    let compute = |batch: &Batch| sequence_log_probs(decoder, batch);
    over_batches(sequences, Some(pad), batch_size, &compute, progress)
}

fn numbers(tensor: Tensor<1>) -> Result<Vec<f32>, ModelError> {
    tensor.try_into_vec_as::<f32>().map_err(|e| ModelError::Device(format!("{e:?}")))
}

/// One number for each sequence. Neighbours are computed together, so that a prompt which several
/// of them continue is computed once.
fn over_batches<E: From<ModelError>>(
    sequences: &[&Sequence],
    pad: Option<u32>,
    batch_size: usize,
    compute: &dyn Fn(&Batch) -> Tensor<1>,
    progress: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Vec<f32>, E> {
    let mut values = Vec::with_capacity(sequences.len());
    let mut queued = None;
    for part in sequences.chunks(batch_size.max(1)) {
        // A batch is read when the next one is queued: the device never waits for this thread.
        let before = queued.replace(compute(&Batch::packed(part, pad)));
        if let Some(before) = before {
            values.extend(numbers(before)?);
            progress(values.len())?;
        }
    }
    if let Some(last) = queued {
        values.extend(numbers(last)?);
        progress(values.len())?;
    }
    Ok(values)
}

/// The largest batch size up to `wanted` (halved until it fits) with which these sequences can be
/// computed within `limit` bytes, and what that takes.
pub fn scoring_needs(
    footprint: &Footprint,
    scores: bool,
    sequences: &[&Sequence],
    wanted: usize,
    limit: Option<u64>,
) -> (usize, Needs) {
    let needs = |size: usize| {
        let passes = sequences
            .chunks(size)
            .map(|part| footprint.pass(&BatchShape::of(part), scores, PassKind::Infer));
        Needs {
            weights: footprint.weights(),
            activations: passes.max().unwrap_or(0),
            ..Needs::default()
        }
    };
    let mut size = wanted.max(1);
    loop {
        let found = needs(size);
        if size == 1 || limit.is_none_or(|limit| found.total() <= limit) {
            return (size, found);
        }
        size = size.div_ceil(2);
    }
}
