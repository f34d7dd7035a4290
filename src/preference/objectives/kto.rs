//! Kahneman–Tversky optimisation (arXiv 2402.01306) on pairs: each response is good or bad by itself, measured
//! from how far the policy has moved.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::{Admits, Needs, Objective, PairLogProbs, Preference};
use crate::batch::Ranked;
use crate::registry::{About, Constant};
use crate::settings::{Field, Limits};

pub(super) struct Kto;

const DESIRABLE: Constant = Constant {
    field: Field {
        name: "desirable_weight",
        doc: " For kto: λ_D, what the loss of chosen responses is multiplied by.",
        title: "KTO λ_D",
        limits: Limits::NOT_NEGATIVE,
        ..Field::BASIC
    },
    default: 1.0,
};

const UNDESIRABLE: Constant = Constant {
    field: Field {
        name: "undesirable_weight",
        doc: " For kto: λ_U, what the loss of rejected responses is multiplied by.",
        title: "KTO λ_U",
        limits: Limits::NOT_NEGATIVE,
        ..Field::BASIC
    },
    default: 1.0,
};

static ABOUT: About = About {
    name: "kto",
    aliases: &[],
    title: "KTO",
    summary: "Chosen responses shall gain more than the policy has moved in all, rejected ones less; how far it has moved is measured on each prompt with the chosen response of another pair, cut where both do not fit. Needs two pairs a step or more.",
    formula: "½ [λ_D (1 − σ(βΔw − k)) + λ_U (1 − σ(k − βΔl))], k = β max(0, mean of Δ on other pairs' responses)",
    paper: "arXiv 2402.01306",
    constants: &[DESIRABLE, UNDESIRABLE],
};

impl Objective for Kto {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    /// How far the policy has moved is a number of the whole batch.
    fn admits(&self) -> Admits {
        Admits::NOTHING
    }

    fn needs(&self) -> Needs {
        Needs { whole_batch: true, mismatched: true, ..Needs::default() }
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let Ranked { chosen, rejected } = pairs.rewards(settings.beta);
        let moved = match pairs.mismatched.clone() {
            Some(other) => {
                let mean = (other.policy - other.reference).mean();
                mean.detach().clamp_min(0.0).mul_scalar(settings.beta)
            }
            None => Tensor::zeros([1], &chosen.device()),
        };
        let lost = |value: Tensor<1>, weight: &Constant| {
            let weight = settings.constants.get(weight.field.name);
            sigmoid(value).neg().add_scalar(1.0).mul_scalar(0.5 * weight)
        };
        lost(chosen - moved.clone(), &DESIRABLE) + lost(moved - rejected, &UNDESIRABLE)
    }
}
