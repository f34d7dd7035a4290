//! Efficient exact optimisation on pairs (arXiv 2402.00856): the reverse divergence from smoothed labels.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_sigmoid, sigmoid};

use super::{Admits, Objective, PairLogProbs, Preference};
use crate::registry::{About, Constant};
use crate::settings::{Field, Limits};

pub(super) struct ExoPair;

const EXO_SMOOTHING: Constant = Constant {
    field: Field {
        name: "exo_smoothing",
        doc: " For exo_pair: how far its labels are from certain.",
        title: "EXO smoothing ε",
        limits: Limits::between(1e-6, 0.4999, "a number above 0 and below 0.5"),
        ..Field::BASIC
    },
    default: 1e-3,
};

static ABOUT: About = About {
    name: "exo_pair",
    aliases: &[],
    title: "EXO",
    summary: "The policy's preference is led to the labels', smoothed by ε, by the reverse KL divergence, so that it settles on one of them.",
    formula: "σ(z)[log σ(z) − log(1 − ε)] + σ(−z)[log σ(−z) − log ε]",
    paper: "arXiv 2402.00856",
    constants: &[EXO_SMOOTHING],
};

impl Objective for ExoPair {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits(&self) -> Admits {
        Admits::LOGIT
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let z = pairs.logits(settings);
        let smoothing = settings.constants.get(EXO_SMOOTHING.field.name);
        let part = |z: Tensor<1>, log_label: f64| {
            sigmoid(z.clone()) * log_sigmoid(z).sub_scalar(log_label)
        };
        part(z.clone(), (1.0 - smoothing).ln()) + part(z.neg(), smoothing.ln())
    }
}
