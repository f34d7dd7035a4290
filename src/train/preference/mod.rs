//! Confidence-weighted preference optimisation of the policy.

mod reference;
mod rewards;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::plan::joined;
use super::{Metrics, OutputKind, PendingMetrics, Sampler, Task};
use crate::batch::{Batch, Ranked, Sequence};
use crate::device::read;
use crate::model::{Contrast, Decoder, ModelError, Reading, SavedTensor, Tails, floats};
use crate::preference::{
    MismatchedLogProbs, PairLogProbs, Preference, PromptLogProbs, Recent, ResponseLogProb,
    Weighting, effective_sample_size,
};
use rewards::{by_side, known_of, tell_rewards};

pub use reference::MovingReference;

/// A pair with its weak (or human) label, ready to train on.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyPair {
    /// Both responses, each with its prompt.
    pub sides: Ranked<Sequence>,
    /// Log-probabilities of both under the reference, summed over the response; 0 where the objective
    /// needs none.
    pub reference: Ranked<f64>,
    /// The annotator's margin, calibrated: the log-odds z ≥ 0 that the label is right (d/T).
    pub margin: f64,
    /// The response of another pair behind this pair's prompt, and its log-probability under the reference,
    /// for an objective that needs one.
    pub mismatched: Option<(Sequence, f64)>,
}

/// What the sum of weighted losses is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightedMean {
    /// The number of pairs, those of weight 0 included (CW-PO, eq. 7).
    Pairs,
    /// The sum of the weights.
    Weights,
}

/// How confidence enters training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairSampling {
    /// Every pair once an epoch, its loss scaled by its weight.
    #[default]
    Every,
    /// Pairs drawn with probability proportional to their weights, each loss scaled by the mean
    /// weight: the gradient of [`PairSampling::Every`] in expectation, from pairs that count.
    Proportional,
}

/// Minimise the weighted preference loss.
pub struct PreferenceTask {
    pairs: Vec<PolicyPair>,
    pad: u32,
    preference: Preference,
    mean: WeightedMean,
    /// `None`: every pair has weight 1, whatever its margin (human labels).
    weighting: Option<Weighting>,
    /// What comes with the pairs and multiplies their weights; empty for 1 each.
    given: Vec<f64>,
    /// Whether the pairs are those that the weighting takes.
    selected: bool,
    weights: Vec<f64>,
    sampling: PairSampling,
    /// One that may move while this is trained.
    threshold: Option<Threshold>,
    /// A reference that moves.
    moving: Option<MovingReference>,
    /// Whether there is one, or will be.
    moves: bool,
    /// From what the policy is led away before labels are doubted.
    contrast: Option<Contrast>,
    /// What an objective remembers of earlier steps.
    recent: Recent,
    /// The step under way, counted from 0, and all steps.
    now: [u64; 2],
    divisor: f64,
    step: Step,
}

/// A threshold that may move while a task is trained; clones are the same one.
#[derive(Clone, Debug)]
pub struct Threshold(Rc<Cell<f64>>);

impl Threshold {
    /// At this confidence.
    pub fn new(value: f64) -> Self {
        Self(Rc::new(Cell::new(value)))
    }

    /// Where it is.
    pub fn get(&self) -> f64 {
        self.0.get()
    }

    /// Move it, from the next step on.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }
}

/// What has been seen of the step under way.
#[derive(Default)]
struct Step {
    items: Vec<usize>,
    /// Log-probabilities of each part: chosen, then rejected.
    log_probs: Vec<(usize, Tensor<1>)>,
    /// Those under a reference that has moved.
    references: Vec<Tensor<1>>,
    /// Logits of each part, for an objective that remembers them.
    logits: Vec<Tensor<1>>,
    /// The logit below which a label is in doubt.
    doubtful: Option<f64>,
    /// How many items memory has room for.
    at_once: usize,
}

impl PreferenceTask {
    /// Over these pairs; weights come from margins, or are 1 without a weighting.
    pub fn new(
        pairs: Vec<PolicyPair>,
        pad: u32,
        preference: Preference,
        mean: WeightedMean,
        weighting: Option<Weighting>,
    ) -> Self {
        let mut task = Self {
            pairs,
            pad,
            preference,
            mean,
            weighting,
            given: Vec::new(),
            selected: false,
            weights: Vec::new(),
            sampling: PairSampling::Every,
            threshold: None,
            moving: None,
            moves: false,
            contrast: None,
            recent: Recent::default(),
            now: [0, 0],
            divisor: 1.0,
            step: Step::default(),
        };
        task.reweigh();
        task
    }

    /// The same with another way of taking pairs.
    pub fn with_sampling(self, sampling: PairSampling) -> Self {
        Self { sampling, ..self }
    }

    /// The same over pairs that the weighting has selected already.
    pub fn with_selected_pairs(mut self) -> Self {
        self.selected = true;
        self.reweigh();
        self
    }

    /// The same with a weight for each pair that multiplies what the weighting gives it.
    pub fn with_given_weights(mut self, given: Vec<f64>) -> Self {
        self.given = given;
        self.reweigh();
        self
    }

    /// The same under a threshold that may move.
    pub fn with_threshold(self, threshold: Threshold) -> Self {
        Self { threshold: Some(threshold), ..self }
    }

    /// The same against a reference that moves; log-probabilities that are known are those of its start.
    pub fn with_moving_reference(self, moving: MovingReference) -> Self {
        Self { moving: Some(moving), moves: true, ..self }
    }

    /// The same as an estimate sees it: with a reference that will move, and is not there yet.
    pub fn about_to_move_its_reference(self) -> Self {
        Self { moves: true, ..self }
    }

    /// The same where labels are doubted by what the policy would say further away from this start.
    pub fn with_start(self, start: &Decoder) -> Self {
        let weight = self.preference.extrapolation();
        let decoder = Rc::new(start.clone().without_dropout());
        Self { contrast: Some(Contrast { decoder, weight }), ..self }
    }

    /// What the losses of a step's pairs are multiplied by before they are divided.
    fn factor(&self, i: usize) -> f64 {
        match (self.sampling, self.mean) {
            (PairSampling::Every, _) => self.weights[i],
            (PairSampling::Proportional, WeightedMean::Weights) => 1.0,
            (PairSampling::Proportional, WeightedMean::Pairs) => {
                self.weights.iter().sum::<f64>() / self.weights.len().max(1) as f64
            }
        }
    }

    /// Log-probabilities of each pair under the reference.
    pub fn set_reference(&mut self, log_probs: Vec<Ranked<f64>>) {
        for (pair, log_probs) in self.pairs.iter_mut().zip(log_probs) {
            pair.reference = log_probs;
        }
    }

    /// The same of responses to other prompts.
    pub fn set_mismatched(&mut self, log_probs: Vec<f64>) {
        for (pair, log_prob) in self.pairs.iter_mut().zip(log_probs) {
            if let Some((_, known)) = &mut pair.mismatched {
                *known = log_prob;
            }
        }
    }

    /// What is read of these items' sequences.
    pub fn reading(&self, items: &[usize]) -> Reading {
        let tails = self.preference.ld_alpha.map(|alpha| {
            let lengths = |&i: &usize| self.pairs[i].sides.each().map(|side| side.response.len());
            let lengths: Vec<[usize; 2]> = items.iter().map(lengths).collect();
            Tails::of_pairs(&lengths, self.sides(), alpha)
        });
        Reading {
            tails,
            prompts: self.preference.objective.needs().prompts,
            alignment: self.preference.use_weighting,
            teacher: None,
            contrast: self.contrast.clone(),
        }
    }

    /// The same where a reference says it: what alignment and prompts are read for, no reference is asked.
    pub fn reference_reading(&self, items: &[usize]) -> Reading {
        Reading { prompts: false, alignment: false, contrast: None, ..self.reading(items) }
    }

    /// Sequences of each item.
    fn sides(&self) -> usize {
        if self.preference.objective.needs().mismatched { 3 } else { 2 }
    }

    /// What the reference says of items' sequences, `[sides · N]`.
    fn reference(&mut self, items: &[usize], like: &Tensor<1>) -> Tensor<1> {
        let device = like.device();
        if let Some(moving) = self.moving.as_ref().filter(|moving| moving.has_moved()) {
            let parts: Vec<&[usize]> = items.chunks(self.step.at_once).collect();
            let of_part = |part: &&[usize]| {
                let batch = Batch::packed(&self.sequences(part), self.pad());
                moving.log_probs(&batch, &self.reference_reading(part))
            };
            let found = joined(&parts.iter().map(of_part).collect::<Vec<_>>(), &parts);
            self.step.references.push(found.clone());
            return found;
        }
        let pairs = || items.iter().map(|&i| &self.pairs[i]);
        let mut values: Vec<f32> = pairs().map(|pair| pair.reference.chosen as f32).collect();
        values.extend(pairs().map(|pair| pair.reference.rejected as f32));
        if self.sides() > 2 {
            let other =
                |pair: &PolicyPair| pair.mismatched.as_ref().map_or(0.0, |(_, known)| *known);
            values.extend(pairs().map(|pair| other(pair) as f32));
        }
        floats(&values, &device)
    }

    /// What objectives see of items, from what was read of their sequences.
    fn pair_log_probs(&mut self, items: &[usize], outputs: &Tensor<1>) -> PairLogProbs {
        let (n, sides) = (items.len(), self.sides());
        let device = outputs.device();
        let needs = self.preference.objective.needs();
        let part = |of: &Tensor<1>, i: usize| of.clone().narrow(0, i * n, n);
        let both = |of: &Tensor<1>, first: usize| Ranked {
            chosen: part(of, first),
            rejected: part(of, first + 1),
        };
        let reference = self.reference(items, outputs);
        let of = |f: &dyn Fn(&PolicyPair) -> f64| {
            let values: Vec<f32> = items.iter().map(|&i| f(&self.pairs[i]) as f32).collect();
            floats(&values, &device)
        };
        let tokens = Ranked {
            chosen: of(&|pair| pair.sides.chosen.response.len() as f64),
            rejected: of(&|pair| pair.sides.rejected.response.len() as f64),
        };
        let mut pairs = PairLogProbs::new(both(outputs, 0), both(&reference, 0), tokens.clone());
        if self.preference.offset > 0.0 {
            pairs.margins = Some(of(&|pair| pair.margin));
        }
        if needs.mismatched {
            let (policy, reference) = (part(outputs, 2), part(&reference, 2));
            pairs.mismatched = Some(MismatchedLogProbs { policy, reference });
        }
        if needs.prompts {
            let tokens = of(&|pair| pair.sides.chosen.prompt.len().saturating_sub(1) as f64);
            pairs.prompts = Some(PromptLogProbs { policy: part(outputs, sides), tokens });
        }
        if self.preference.use_weighting {
            let first = sides * (1 + usize::from(needs.prompts));
            pairs.alignment = Some(Ranked {
                chosen: part(outputs, first) / tokens.chosen,
                rejected: part(outputs, first + 1) / tokens.rejected,
            });
        }
        if self.contrast.is_some() {
            let before = [needs.prompts, self.preference.use_weighting];
            let numbers = 1 + before.into_iter().filter(|read| *read).count();
            pairs.extrapolated = Some(both(outputs, sides * numbers));
        }
        pairs.doubtful = self.step.doubtful;
        pairs
    }

    fn reweigh(&mut self) {
        let margins = || self.pairs.iter().map(|pair| pair.margin).collect::<Vec<_>>();
        self.weights = match &self.weighting {
            Some(weighting) if self.selected => weighting.weights_of_selected(&margins()),
            Some(weighting) => weighting.weights(&margins()),
            None => vec![1.0; self.pairs.len()],
        };
        self.weights.iter_mut().zip(&self.given).for_each(|(weight, given)| *weight *= given);
    }
}

impl Task for PreferenceTask {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn items(&self, order: &mut Sampler, step: u64) -> Vec<usize> {
        match self.sampling {
            PairSampling::Every => order.step(step),
            PairSampling::Proportional => order.draw(step, &self.weights),
        }
    }

    fn computed(&self, items: &[usize]) -> Vec<usize> {
        items.iter().copied().filter(|&i| self.weights[i] > 0.0).collect()
    }

    fn begin(&mut self, items: &[usize]) {
        let [step, total] = self.now;
        let doubtful = self.recent.border(step, total, &self.preference);
        let at_once = items.len().max(1);
        self.step = Step { items: items.to_vec(), doubtful, at_once, ..Step::default() };
        self.divisor = match self.mean {
            WeightedMean::Pairs => items.len().max(1) as f64,
            WeightedMean::Weights => {
                let sum: f64 = items.iter().map(|&i| self.factor(i)).sum();
                if sum > 0.0 { sum } else { 1.0 }
            }
        };
    }

    fn in_parts_of(&mut self, most: usize) {
        self.step.at_once = most.max(1);
    }

    fn output_kind(&self) -> OutputKind {
        OutputKind::LogProbs
    }

    fn whole_batch(&self) -> bool {
        self.preference.objective.needs().whole_batch
    }

    fn reading(&self, items: &[usize]) -> Reading {
        Self::reading(self, items)
    }

    fn moves_reference(&self) -> bool {
        self.moves
    }

    fn asks_start(&self) -> bool {
        self.preference.extrapolation() > 0.0
    }

    fn sequences(&self, items: &[usize]) -> Vec<&Sequence> {
        let pairs = || items.iter().map(|&i| &self.pairs[i]);
        let others = pairs().filter(|_| self.sides() > 2).map(|pair| {
            let PolicyPair { sides, mismatched, .. } = pair;
            mismatched.as_ref().map_or(&sides.chosen, |(other, _)| other)
        });
        let chosen = pairs().map(|pair| &pair.sides.chosen);
        chosen.chain(pairs().map(|pair| &pair.sides.rejected)).chain(others).collect()
    }

    fn pad(&self) -> Option<u32> {
        Some(self.pad)
    }

    fn loss(&mut self, items: &[usize], outputs: Tensor<1>) -> Tensor<1> {
        let n = items.len();
        self.step.log_probs.push((n, outputs.clone().inner().narrow(0, 0, 2 * n)));
        let device = outputs.device();
        let pairs = self.pair_log_probs(items, &outputs);
        if self.preference.objective.needs().recent {
            self.step.logits.push(pairs.doubted(&self.preference).inner());
        }
        let losses = self.preference.losses(&pairs);
        let weights: Vec<f32> = items.iter().map(|&i| self.factor(i) as f32).collect();
        (losses * floats(&weights, &device)).sum().div_scalar(self.divisor)
    }

    fn metrics(&mut self) -> PendingMetrics {
        let weights: Vec<f64> = self.step.items.iter().map(|&i| self.factor(i)).collect();
        let mut metrics = Metrics::default();
        if !weights.is_empty() {
            metrics.set("weight/mean", weights.iter().sum::<f64>() / weights.len() as f64);
        }
        metrics.set("weight/effective_sample_size", effective_sample_size(&weights));
        if !weights.is_empty() && self.weighting.is_some() {
            let kept = self.computed(&self.step.items).len();
            metrics.set("weight/kept", kept as f64 / weights.len() as f64);
        }
        let parts = std::mem::take(&mut self.step.log_probs);
        if parts.is_empty() {
            return PendingMetrics::known(metrics);
        }
        // Means are over what was computed: a pair of weight 0 says nothing of the policy.
        let computed = self.computed(&self.step.items);
        let known: Vec<Ranked<ResponseLogProb>> =
            computed.iter().map(|&i| known_of(&self.pairs[i])).collect();
        let preference = self.preference.clone();
        let (sizes, mut numbers): (Vec<usize>, Vec<Tensor<1>>) = parts.into_iter().unzip();
        let references = std::mem::take(&mut self.step.references);
        let moved = !references.is_empty();
        for (reference, n) in references.into_iter().zip(&sizes) {
            numbers.push(reference.inner().narrow(0, 0, 2 * n));
        }
        let finish = move |all: &[f64], metrics: &mut Metrics| {
            let (policy, reference) = all.split_at(2 * sizes.iter().sum::<usize>());
            let reference = moved.then(|| by_side(&sizes, reference));
            tell_rewards(&by_side(&sizes, policy), known, reference.as_ref(), &preference, metrics);
        };
        PendingMetrics { metrics, numbers, finish: Box::new(finish) }
    }

    fn before_step(&mut self, step: u64, total: u64) {
        self.now = [step, total];
        let (Some(weighting), Some(threshold)) = (&mut self.weighting, &self.threshold) else {
            return;
        };
        if weighting.threshold.to_bits() != threshold.get().to_bits() {
            weighting.threshold = threshold.get();
            self.reweigh();
        }
    }

    fn after_step(&mut self, step: u64, model: &Decoder) -> Result<(), ModelError> {
        if let Some(moving) = &mut self.moving {
            moving.follow(step, model);
        }
        let logits = std::mem::take(&mut self.step.logits);
        if !logits.is_empty() {
            let found = read(Tensor::cat(logits, 0)).map_err(ModelError::Device)?;
            let finite: Vec<f32> = found.into_iter().filter(|z| z.is_finite()).collect();
            self.recent.push(&finite, &self.preference);
        }
        Ok(())
    }

    fn state(&self) -> BTreeMap<String, SavedTensor> {
        let mut state = self.moving.as_ref().map(MovingReference::state).unwrap_or_default();
        let values = self.recent.logits().to_vec();
        if !values.is_empty() {
            state.insert(RECENT.to_owned(), SavedTensor { shape: vec![values.len()], values });
        }
        state
    }

    fn restore(&mut self, mut state: BTreeMap<String, SavedTensor>) {
        if let Some(saved) = state.remove(RECENT) {
            self.recent = Recent::of(saved.values);
        }
        if let Some(moving) = &mut self.moving {
            moving.restore(state);
        }
    }
}

/// What the logits of recent pairs are called in a checkpoint.
const RECENT: &str = "recent_logits";
