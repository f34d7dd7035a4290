//! Log-probabilities of response tokens, and nothing else: logits exist only at
//! positions that predict one.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData, activation};

use super::{Decoder, DecoderInput};
use crate::text::{Batch, bucket};

/// Token ids and positions of a batch on a device.
pub fn input(batch: &Batch, device: &Device) -> DecoderInput {
    let shape = [batch.rows, batch.length];
    DecoderInput {
        tokens: ints(&batch.tokens, shape, device),
        positions: ints(&batch.positions, shape, device),
        hidden_keys: None::<Tensor<3, Bool>>,
    }
}

/// Integers on a device.
pub(crate) fn ints<const D: usize>(
    values: &[u32],
    shape: [usize; D],
    device: &Device,
) -> Tensor<D, Int> {
    let values: Vec<i32> = values.iter().map(|&v| v as i32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Floats on a device.
pub fn floats(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// Hidden states of a batch, flattened: `[R · T, E]`.
fn flat_hidden(decoder: &Decoder, batch: &Batch) -> Tensor<2> {
    let hidden = decoder.hidden(input(batch, &decoder.device()), None);
    let width = hidden.dims()[2];
    hidden.reshape([batch.rows * batch.length, width])
}

/// Scores of the sequences of a batch, `[S]`, read at their last tokens.
pub fn sequence_scores(decoder: &Decoder, batch: &Batch) -> Tensor<1> {
    let ends: Vec<u32> = batch.ends().into_iter().map(|i| i as u32).collect();
    let hidden = flat_hidden(decoder, batch);
    let device = hidden.device();
    decoder.scores(hidden.select(0, ints(&ends, [ends.len()], &device)))
}

/// Summed log-probability of each response, `[S]`, in f32.
pub fn sequence_log_probs(decoder: &Decoder, batch: &Batch) -> Tensor<1> {
    let targets = batch.targets();
    let sums =
        target_sums(batch.sequences, &targets.iter().map(|t| t.sequence).collect::<Vec<_>>());
    let log_probs = padded_log_probs(decoder, batch);
    let [m] = log_probs.dims();
    let device = log_probs.device();
    let mask =
        Tensor::<2>::from_data(TensorData::new(spread(&sums, m), [batch.sequences, m]), &device);
    (mask * log_probs.unsqueeze::<2>()).sum_dim(1).squeeze_dim(1)
}

/// Log-probability of every response token, in the order of [`Batch::targets`].
pub fn token_log_probs(decoder: &Decoder, batch: &Batch) -> Tensor<1> {
    let count = batch.targets().len();
    padded_log_probs(decoder, batch).narrow(0, 0, count)
}

/// As [`token_log_probs`], with copies of the first target up to a bucketed length.
fn padded_log_probs(decoder: &Decoder, batch: &Batch) -> Tensor<1> {
    let targets = batch.targets();
    let m = bucket(targets.len());
    let at = |i: usize| targets.get(i).or(targets.first());
    let from: Vec<u32> = (0..m).map(|i| at(i).map_or(0, |t| t.from as u32)).collect();
    let token: Vec<u32> = (0..m).map(|i| at(i).map_or(0, |t| t.token)).collect();
    let hidden = flat_hidden(decoder, batch);
    let device = hidden.device();
    let logits = decoder.logits(hidden.select(0, ints(&from, [m], &device)));
    activation::log_softmax(logits, 1).gather(1, ints(&token, [m, 1], &device)).squeeze_dim(1)
}

/// Which targets each sequence sums.
fn target_sums(sequences: usize, owner: &[usize]) -> Vec<Vec<usize>> {
    let mut sums = vec![Vec::new(); sequences];
    for (i, &sequence) in owner.iter().enumerate() {
        sums[sequence].push(i);
    }
    sums
}

/// A 0/1 matrix `[S, m]`, row-major.
fn spread(sums: &[Vec<usize>], m: usize) -> Vec<f32> {
    let mut mask = vec![0.0; sums.len() * m];
    for (row, members) in sums.iter().enumerate() {
        for &i in members {
            mask[row * m + i] = 1.0;
        }
    }
    mask
}
