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
    numbers(sequence_log_probs(decoder, &Batch::one_per_row(sequences, pad)))
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

/// One number for each sequence, computed in batches of like length, so that little is padding.
fn over_batches<E: From<ModelError>>(
    sequences: &[&Sequence],
    pad: Option<u32>,
    batch_size: usize,
    compute: &dyn Fn(&Batch) -> Tensor<1>,
    progress: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Vec<f32>, E> {
    let order = by_length(sequences);
    let mut values = vec![0.0; sequences.len()];
    let mut done = 0;
    for part in order.chunks(batch_size.max(1)) {
        let members: Vec<&Sequence> = part.iter().map(|&i| sequences[i]).collect();
        let batch = Batch::one_per_row(&members, pad);
        for (&i, number) in part.iter().zip(numbers(compute(&batch))?) {
            values[i] = number;
        }
        done += part.len();
        progress(done)?;
    }
    Ok(values)
}

fn by_length(sequences: &[&Sequence]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by_key(|&i| sequences[i].len());
    order
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
    let order = by_length(sequences);
    let needs = |size: usize| {
        let batch = |part: &[usize]| {
            BatchShape::of(&part.iter().map(|&i| sequences[i]).collect::<Vec<_>>())
        };
        let passes =
            order.chunks(size).map(|part| footprint.pass(&batch(part), scores, PassKind::Infer));
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
