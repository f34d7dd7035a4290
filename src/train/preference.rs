//! Confidence-weighted preference optimisation of the policy.

use std::cell::Cell;
use std::rc::Rc;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Metrics, OutputKind, PendingMetrics, Sampler, Task};
use crate::batch::{Ranked, Sequence};
use crate::model::floats;
use crate::preference::{
    PairLogProbs, Preference, ResponseLogProb, Weighting, effective_sample_size,
};

/// A pair with its weak (or human) label, ready to train on.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyPair {
    /// Both responses, each with its prompt.
    pub sides: Ranked<Sequence>,
    /// Log-probabilities of both under the reference, summed over the response; 0 where the objective
    /// needs none.
    pub reference: Ranked<f64>,
    /// d ≥ 0, the annotator's margin.
    pub margin: f64,
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
    pub fn set_reference(&mut self, log_probs: Vec<Ranked<f32>>) {
        for (pair, log_probs) in self.pairs.iter_mut().zip(log_probs) {
            pair.reference = log_probs.map(f64::from);
        }
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
        self.step = Step { items: items.to_vec(), ..Step::default() };
        self.divisor = match self.mean {
            WeightedMean::Pairs => items.len().max(1) as f64,
            WeightedMean::Weights => {
                let sum: f64 = items.iter().map(|&i| self.factor(i)).sum();
                if sum > 0.0 { sum } else { 1.0 }
            }
        };
    }

    fn output_kind(&self) -> OutputKind {
        OutputKind::LogProbs
    }

    fn whole_batch(&self) -> bool {
        self.preference.objective.needs().whole_batch
    }

    fn sequences(&self, items: &[usize]) -> Vec<&Sequence> {
        let sides = || items.iter().map(|&i| &self.pairs[i].sides);
        sides().map(|s| &s.chosen).chain(sides().map(|s| &s.rejected)).collect()
    }

    fn pad(&self) -> Option<u32> {
        Some(self.pad)
    }

    fn loss(&mut self, items: &[usize], outputs: Tensor<1>) -> Tensor<1> {
        let n = items.len();
        self.step.log_probs.push((n, outputs.clone().inner()));
        let device = outputs.device();
        let of = |f: &dyn Fn(&PolicyPair) -> f64| {
            let values: Vec<f32> = items.iter().map(|&i| f(&self.pairs[i]) as f32).collect();
            floats(&values, &device)
        };
        let losses = self.preference.losses(&PairLogProbs {
            policy: Ranked {
                chosen: outputs.clone().narrow(0, 0, n),
                rejected: outputs.narrow(0, n, n),
            },
            reference: Ranked {
                chosen: of(&|pair| pair.reference.chosen),
                rejected: of(&|pair| pair.reference.rejected),
            },
            tokens: Ranked {
                chosen: of(&|pair| pair.sides.chosen.response.len() as f64),
                rejected: of(&|pair| pair.sides.rejected.response.len() as f64),
            },
        });
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
        let (sizes, numbers): (Vec<usize>, Vec<Tensor<1>>) = parts.into_iter().unzip();
        let finish = move |all: &[f64], metrics: &mut Metrics| {
            tell_rewards(&by_side(&sizes, all), known, &preference, metrics);
        };
        PendingMetrics { metrics, numbers, finish: Box::new(finish) }
    }

    fn before_step(&mut self) {
        let (Some(weighting), Some(threshold)) = (&mut self.weighting, &self.threshold) else {
            return;
        };
        if weighting.threshold.to_bits() != threshold.get().to_bits() {
            weighting.threshold = threshold.get();
            self.reweigh();
        }
    }
}

/// What is known of a pair's responses before the policy has spoken.
fn known_of(pair: &PolicyPair) -> Ranked<ResponseLogProb> {
    let known = |reference: f64, side: &Sequence| ResponseLogProb {
        policy: 0.0,
        reference,
        tokens: side.response.len() as f64,
    };
    Ranked {
        chosen: known(pair.reference.chosen, &pair.sides.chosen),
        rejected: known(pair.reference.rejected, &pair.sides.rejected),
    }
}

/// Log-probabilities of chosen and of rejected responses, from those of parts of so many pairs
/// each: chosen, then rejected.
fn by_side(sizes: &[usize], all: &[f64]) -> Ranked<Vec<f64>> {
    let mut sides = Ranked { chosen: Vec::new(), rejected: Vec::new() };
    let mut rest = all;
    for &n in sizes {
        sides.chosen.extend_from_slice(&rest[..n]);
        sides.rejected.extend_from_slice(&rest[n..2 * n]);
        rest = &rest[2 * n..];
    }
    sides
}

fn tell_rewards(
    policy: &Ranked<Vec<f64>>,
    known: Vec<Ranked<ResponseLogProb>>,
    preference: &Preference,
    metrics: &mut Metrics,
) {
    let n = known.len();
    let pairs = known.into_iter().zip(policy.chosen.iter().zip(&policy.rejected));
    let rewards: Vec<Ranked<f64>> = pairs
        .map(|(known, (&chosen, &rejected))| Ranked {
            chosen: preference.reward(&ResponseLogProb { policy: chosen, ..known.chosen }),
            rejected: preference.reward(&ResponseLogProb { policy: rejected, ..known.rejected }),
        })
        .collect();
    let mean = |f: &dyn Fn(&Ranked<f64>) -> f64| rewards.iter().map(f).sum::<f64>() / n as f64;
    metrics.set("rewards/chosen", mean(&|r| r.chosen));
    metrics.set("rewards/rejected", mean(&|r| r.rejected));
    metrics.set("rewards/margins", mean(&|r| r.chosen - r.rejected));
    metrics.set("rewards/accuracies", mean(&|r| f64::from(u8::from(r.chosen > r.rejected))));
    metrics.set("logps/chosen", policy.chosen.iter().sum::<f64>() / n as f64);
    metrics.set("logps/rejected", policy.rejected.iter().sum::<f64>() / n as f64);
}
