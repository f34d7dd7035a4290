//! What a model says of sequences: scores of an annotator, log-probabilities of a policy.

use std::collections::HashMap;

use burn::tensor::Tensor;

use super::Sharing;
use crate::batch::{Batch, Sequence};
use crate::device::{is_cpu, read};
use crate::model::{
    BatchShape, Decoder, Footprint, MemoryEstimate, ModelError, PassKind, Reading, Tails,
    next_token_log_odds, read_sequences, sequence_log_probs, sequence_scores,
};

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
    let compute = |part: &[&Sequence], _| sequence_scores(decoder, &Batch::packed(part, pad));
    over_batches(decoder, &compute, sequences, batch_size, progress)
}

/// Log-probabilities of responses in one batch, summed as a reading has it, in their order.
///
/// # Errors
///
/// The device fails.
pub fn response_log_probs(
    decoder: &Decoder,
    sequences: &[&Sequence],
    pad: u32,
    reading: &Reading,
) -> Result<Vec<f32>, ModelError> {
    numbers(read_sequences(decoder, &Batch::packed(sequences, pad), reading))
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
    let compute = |part: &[&Sequence], _| sequence_log_probs(decoder, &Batch::packed(part, pad));
    over_batches(decoder, &compute, sequences, batch_size, progress)
}

/// As [`all_log_probs`] where tokens of an end count less; `tails` are those of all sequences.
///
/// # Errors
///
/// As [`score_sequences`].
pub fn tailed_log_probs<E: From<ModelError>>(
    decoder: &Decoder,
    sequences: &[&Sequence],
    tails: &Tails,
    pad: u32,
    batch_size: usize,
    progress: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Vec<f32>, E> {
    let compute = |part: &[&Sequence], first: usize| {
        let from = tails.from[first..first + part.len()].to_vec();
        let reading = Reading { tails: Some(Tails { from, ..*tails }), ..Reading::default() };
        read_sequences(decoder, &Batch::packed(part, pad), &reading)
    };
    over_batches(decoder, &compute, sequences, batch_size, progress)
}

/// As [`all_log_probs`], with each distinct sequence computed once, however often it is there.
///
/// # Errors
///
/// As [`score_sequences`].
pub fn distinct_log_probs<E: From<ModelError>>(
    decoder: &Decoder,
    sequences: &[&Sequence],
    pad: u32,
    batch_size: usize,
    progress: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Vec<f32>, E> {
    let (distinct, places) = distinct(sequences);
    let compute = |told: Told<'_, E>| all_log_probs(decoder, &distinct, pad, batch_size, told);
    each_once(distinct.len(), places, compute, progress)
}

/// Tells how many are done.
type Told<'t, E> = &'t mut dyn FnMut(usize) -> Result<(), E>;

/// The number of each of many, of which `count` are distinct and computed; `places` says where among these each is, and
/// `progress` is told as if all were.
fn each_once<E>(
    count: usize,
    places: Vec<usize>,
    compute: impl FnOnce(Told<'_, E>) -> Result<Vec<f32>, E>,
    progress: Told<'_, E>,
) -> Result<Vec<f32>, E> {
    let found = compute(&mut |done| progress(done * places.len() / count.max(1)))?;
    Ok(places.into_iter().map(|place| found[place]).collect())
}

/// Distinct sequences, in the order in which each first appears, and where among them each sequence is.
pub fn distinct<'s>(sequences: &[&'s Sequence]) -> (Vec<&'s Sequence>, Vec<usize>) {
    let mut known = HashMap::new();
    let mut distinct = Vec::new();
    let place = |&sequence: &&'s Sequence| {
        *known.entry((&sequence.prompt[..], &sequence.response[..])).or_insert_with(|| {
            distinct.push(sequence);
            distinct.len() - 1
        })
    };
    let places = sequences.iter().map(place).collect();
    (distinct, places)
}

/// Log-odds of two next tokens behind any number of questions, in their order: how much more probable
/// the first is, as a logarithm. Each distinct question is computed once, and what several begin with: [`Sharing`].
///
/// # Errors
///
/// As [`score_sequences`].
pub fn all_log_odds<E: From<ModelError>>(
    decoder: &Decoder,
    questions: &[&Sequence],
    tokens: [u32; 2],
    batch_size: usize,
    progress: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Vec<f32>, E> {
    let (distinct, places) = Sharing::of(questions);
    let compute = |told: Told<'_, E>| {
        let batches = distinct.batches(batch_size);
        in_order(decoder, &mut batches.map(|b| next_token_log_odds(decoder, &b, tokens)), told)
    };
    each_once(distinct.questions().len(), places, compute, progress)
}

/// The numbers of a batch; one that is not finite says nothing of its sequence, and would spoil
/// every mean that it enters.
fn numbers(tensor: Tensor<1>) -> Result<Vec<f32>, ModelError> {
    let found = read(tensor).map_err(ModelError::Device)?;
    match found.iter().find(|number| !number.is_finite()) {
        Some(&found) => Err(ModelError::NoNumber { what: "a sequence", found }),
        None => Ok(found),
    }
}

/// One number for each sequence; `compute` is told the place of a batch's first one. Neighbours are computed
/// together, so that a prompt which several of them continue is computed once.
fn over_batches<E: From<ModelError>>(
    decoder: &Decoder,
    compute: &dyn Fn(&[&Sequence], usize) -> Tensor<1>,
    sequences: &[&Sequence],
    batch_size: usize,
    progress: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Vec<f32>, E> {
    let size = batch_size.max(1);
    let parts = sequences.chunks(size).enumerate();
    in_order(decoder, &mut parts.map(|(i, part)| compute(part, i * size)), progress)
}

/// The numbers of batches that are computed as they are asked for. Where the device has a queue, a batch is read when
/// the next one is queued, so that it never waits for this thread.
fn in_order<E: From<ModelError>>(
    decoder: &Decoder,
    batches: &mut dyn Iterator<Item = Tensor<1>>,
    progress: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Vec<f32>, E> {
    let late = !is_cpu(&decoder.device());
    let mut values = Vec::new();
    let mut read = |found: Tensor<1>| {
        values.extend(numbers(found)?);
        progress(values.len())
    };
    let mut queued = None;
    for found in batches {
        let ready = if late { queued.replace(found) } else { Some(found) };
        ready.map_or(Ok(()), &mut read)?;
    }
    queued.map_or(Ok(()), read)?;
    Ok(values)
}

/// The shapes of batches of up to so many sequences.
pub type Shapes<'s> = &'s dyn Fn(usize) -> Vec<BatchShape>;

/// Those of sequences that share their prompts alone.
pub fn shapes_of(sequences: &[&Sequence], size: usize) -> Vec<BatchShape> {
    sequences.chunks(size.max(1)).map(BatchShape::of).collect()
}

/// The largest batch size up to `wanted` (halved until it fits) with which sequences in batches of these shapes can be
/// computed within `limit` bytes, and what that takes.
pub fn scoring_needs(
    footprint: &Footprint,
    scores: bool,
    shapes: Shapes<'_>,
    wanted: usize,
    limit: Option<u64>,
) -> (usize, MemoryEstimate) {
    let needs = |size: usize| {
        let shapes = shapes(size);
        let passes = shapes.iter().map(|shape| footprint.pass(shape, scores, PassKind::Infer));
        MemoryEstimate {
            weights: footprint.weights(),
            activations: passes.max().unwrap_or(0),
            ..MemoryEstimate::default()
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
