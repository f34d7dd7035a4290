//! What is read from a batch: log-probabilities of responses, or scores of sequences. Logits
//! exist only at positions that predict a response token.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::contrast::{Contrast, Contrasted};
use super::distil::{Taught, Teacher};
use super::numbers::ints;
use super::precision::widen;
use super::readout::{Head, TargetLogProbs};
use super::{Decoder, DecoderInput};
use crate::batch::{Batch, Span, Target, bucket};
use crate::kernels::Beside;

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
    let row = |span: &Span| {
        let ([a, b], [c, d]) = (span.head, span.prompt);
        [a, b, c, d, span.own, span.group_end]
    };
    let numbers: Vec<u32> = batch.spans().iter().flat_map(row).map(|place| place as u32).collect();
    ints(&numbers, [numbers.len() / 6, 6], device)
}

/// Scores of the sequences of a batch, `[S]`, read at their last tokens.
pub fn sequence_scores(decoder: &Decoder, batch: &Batch) -> Tensor<1> {
    let hidden = decoder.hidden(&input(batch, &decoder.device()), None);
    decoder.scores(rows_at(hidden, &ends(batch)))
}

/// What is read of the sequences of a batch: the summed log-probability of each response, and what else is
/// asked for, one number of each sequence behind those of all before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Tokens that count less than others in the sum.
    pub tails: Option<Tails>,
    /// Also the summed log-probability of each prompt, its first token left out: nothing predicts it.
    pub prompts: bool,
    /// Also Σ_t log π(y_t) − log Σ_v π(v)² of each response, all tokens alike: how far it is what the model
    /// would have written (WPO, arXiv 2406.11827). No gradient goes through it.
    pub alignment: bool,
    /// Who teaches: in place of each log-probability stands its mean with what the teacher finds likely. Not in
    /// `alignment`.
    pub teacher: Option<Teacher>,
    /// Also each sum where the model is led away from another. No gradient goes through it.
    pub contrast: Option<Contrast>,
}

/// The ends of responses, which count less (LD-DPO, arXiv 2409.06411).
#[derive(Clone, Debug, PartialEq)]
pub struct Tails {
    /// The first token of each response's end, for each sequence; its length or more for none.
    pub from: Vec<usize>,
    /// How much a token of an end counts.
    pub weight: f32,
}

impl Tails {
    /// What is longer in one response of a pair than in the other, for pairs of sequences that are read chosen
    /// ones first: of each pair the lengths of both responses, `sides` sequences of each.
    pub fn of_pairs(lengths: &[[usize; 2]], sides: usize, weight: f64) -> Self {
        let borders: Vec<usize> = lengths.iter().map(|[a, b]| *a.min(b)).collect();
        Self { from: borders.repeat(sides), weight: weight as f32 }
    }
}

impl Reading {
    /// Numbers that are read of each sequence.
    pub fn numbers(&self) -> usize {
        1 + usize::from(self.prompts)
            + usize::from(self.alignment)
            + usize::from(self.contrast.is_some())
    }

    fn weight(&self, target: &Target) -> f32 {
        match &self.tails {
            Some(tails) if target.index >= tails.from[target.sequence] => tails.weight,
            _ => 1.0,
        }
    }
}

/// Summed log-probability of each response, `[S]`, in f32.
pub fn sequence_log_probs(decoder: &Decoder, batch: &Batch) -> Tensor<1> {
    read_sequences(decoder, batch, &Reading::default())
}

/// What a reading asks for, `[numbers · S]`, in f32.
pub fn read_sequences(decoder: &Decoder, batch: &Batch, reading: &Reading) -> Tensor<1> {
    let hidden = decoder.hidden(&input(batch, &decoder.device()), None);
    ResponseTargets::of(batch, reading).read(decoder, hidden, false).outputs
}

/// Log-odds of two next tokens behind each sequence, `[S]`: the difference of their logits, read at the
/// last token that is not padding. No other logit is computed.
pub fn next_token_log_odds(decoder: &Decoder, batch: &Batch, tokens: [u32; 2]) -> Tensor<1> {
    let hidden = decoder.hidden(&input(batch, &decoder.device()), None);
    let hidden = rows_at(hidden, &ends(batch));
    let head = decoder.head.as_ref().unwrap_or(&decoder.embedding).weight.val();
    let rows = widen(head.select(0, ints(&tokens, [2], &hidden.device())));
    let apart = rows.clone().narrow(0, 0, 1) - rows.narrow(0, 1, 1);
    hidden.matmul(apart.transpose()).squeeze_dim(1)
}

/// Log-probability of every response token, in the order of [`Batch::targets`].
pub fn token_log_probs(decoder: &Decoder, batch: &Batch) -> Tensor<1> {
    let targets = ResponseTargets::of(batch, &Reading::default());
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

/// The response tokens of a batch, and those of prompts where they are read; with copies of the first one
/// up to a bucketed count, so that shapes repeat.
pub(crate) struct ResponseTargets {
    /// Places of the hidden states that predict them.
    pub(crate) from: Vec<u32>,
    /// The tokens.
    pub(crate) tokens: Vec<u32>,
    /// How many are of responses.
    count: usize,
    /// Which targets each number sums, and by what: number of the sequence, target, weight; those of
    /// responses, then those of prompts.
    sums: [Vec<(usize, usize, f32)>; 2],
    /// The same of what is read without a gradient.
    alignment: Option<Vec<(usize, usize, f32)>>,
    sequences: usize,
    /// What a teacher says of them.
    pub(crate) taught: Option<Taught>,
    /// What the model says from which this one is led away.
    contrasted: Option<Contrasted>,
}

/// What [`ResponseTargets::read`] found.
pub(crate) struct ResponseLogProbs {
    /// What the reading asks for, `[numbers · S]`.
    pub(crate) outputs: Tensor<1>,
    /// Of each target.
    pub(crate) log_probs: TargetLogProbs,
    /// The hidden states that predict them, `[M, E]`.
    pub(crate) hidden: Tensor<2>,
    /// Which targets each number with a gradient sums, `[S or 2 · S, M]`.
    mask: Tensor<2>,
}

impl ResponseTargets {
    /// Those of a batch; another model is asked here, before the model that learns holds anything of its pass.
    pub(crate) fn of(batch: &Batch, reading: &Reading) -> Self {
        let mut targets = batch.targets();
        let count = targets.len();
        let response = |by: &dyn Fn(&Target) -> f32| {
            targets.iter().enumerate().map(|(i, t)| (t.sequence, i, by(t))).collect::<Vec<_>>()
        };
        let own = response(&|target| reading.weight(target));
        let alignment = reading.alignment.then(|| response(&|_| 1.0));
        let mut of_prompts = Vec::new();
        if reading.prompts {
            for (target, sequences) in batch.prompt_targets() {
                let place = targets.len();
                of_prompts.extend(sequences.into_iter().map(|sequence| (sequence, place, 1.0)));
                targets.push(target);
            }
        }
        let m = bucket(targets.len());
        let at = |i: usize| targets.get(i).or(targets.first());
        let from: Vec<u32> = (0..m).map(|i| at(i).map_or(0, |t| t.from as u32)).collect();
        let seen = |decoder: &Decoder| {
            rows_at(decoder.hidden(&input(batch, &decoder.device()), None), &from)
        };
        Self {
            taught: reading.teacher.as_ref().map(|other| other.says(seen(&other.decoder))),
            contrasted: reading.contrast.as_ref().map(|other| other.says(seen(&other.decoder))),
            from,
            tokens: (0..m).map(|i| at(i).map_or(0, |t| t.token)).collect(),
            count,
            sums: [own, of_prompts],
            alignment,
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
        let beside = Beside { jacobian, sum_sq: self.alignment.is_some() };
        let head = Head::of(decoder);
        let found = head.log_probs(&hidden, &self.tokens, beside);
        let aligned = self.alignment.is_some().then(|| found.values.clone());
        let log_probs = match &self.taught {
            Some(taught) => taught.mix(&head, &hidden, &self.tokens, found),
            None => found,
        };
        let device = hidden.device();
        let mask = self.mask(&self.sums, &device);
        let mut outputs = summed(&mask, log_probs.values.clone());
        let squares = log_probs.log_sum_sq_probs.clone();
        if let (Some(squares), Some(places), Some(values)) = (squares, &self.alignment, aligned) {
            let mask = self.mask(std::slice::from_ref(places), &device);
            outputs = Tensor::cat(vec![outputs, summed(&mask, values - squares)], 0);
        }
        if let Some(contrasted) = &self.contrasted {
            let values = contrasted.log_probs(&head, &hidden, &self.tokens);
            let mask = self.mask(&self.sums[..1], &device);
            outputs = Tensor::cat(vec![outputs, summed(&mask, values)], 0);
        }
        ResponseLogProbs { outputs, log_probs, hidden, mask }
    }

    /// The log-probability of each target of a response, and how many tokens are likelier, `[count]` each.
    pub(super) fn ranks(&self, decoder: &Decoder, hidden: Tensor<3>) -> [Tensor<1>; 2] {
        let hidden = rows_at(hidden, &self.from);
        let head = Head::of(decoder);
        let beside = Beside { jacobian: false, sum_sq: false };
        let values = head.log_probs(&hidden, &self.tokens, beside).values;
        [values, head.likelier(&hidden, &self.tokens)].map(|all| all.narrow(0, 0, self.count))
    }

    /// `[S, M]` for each list of places that has any, and for the first.
    fn mask(&self, places: &[Vec<(usize, usize, f32)>], device: &Device) -> Tensor<2> {
        let m = self.from.len();
        let lists = places.iter().enumerate().filter(|(i, places)| *i == 0 || !places.is_empty());
        let mut mask = Vec::new();
        for (_, places) in lists {
            let start = mask.len();
            mask.resize(start + self.sequences * m, 0.0f32);
            for &(sequence, target, weight) in places {
                mask[start + sequence * m + target] = weight;
            }
        }
        let rows = mask.len() / m;
        Tensor::from_data(TensorData::new(mask, [rows, m]), device)
    }
}

/// Sums of `[M]` by the rows of a mask `[R, M]`: `[R]`.
fn summed(mask: &Tensor<2>, values: Tensor<1>) -> Tensor<1> {
    (mask.clone() * values.unsqueeze::<2>()).sum_dim(1).squeeze_dim(1)
}

impl ResponseLogProbs {
    /// What each target's log-probability contributes to Σ cotangent·output, `[M]`; what is read without
    /// a gradient contributes nothing.
    pub(crate) fn target_cotangent(&self, cotangent: &Tensor<1>) -> Tensor<1> {
        let [rows, _] = self.mask.dims();
        let own = cotangent.clone().narrow(0, 0, rows);
        (self.mask.clone() * own.unsqueeze_dim::<2>(1)).sum_dim(0).squeeze_dim(0)
    }
}
