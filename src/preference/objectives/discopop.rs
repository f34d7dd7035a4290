//! The loss that a language model discovered (arXiv 2406.08414): logistic and exponential, mixed by the logit itself.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_sigmoid, sigmoid};

use super::{Admits, Objective, PairLogProbs, Preference};
use crate::registry::{About, Constant};
use crate::settings::{Field, Limits};

pub(super) struct Discopop;

const DISCOPOP_TAU: Constant = Constant {
    field: Field {
        name: "discopop_tau",
        doc: " For discopop: how sharply one form gives way to the other.",
        title: "DiscoPOP τ",
        limits: Limits::POSITIVE,
        ..Field::BASIC
    },
    default: 0.05,
};

static ABOUT: About = About {
    name: "discopop",
    aliases: &[],
    title: "DiscoPOP",
    summary: "Logistic where the pair is told wrong, exponential where it is told right, mixed smoothly.",
    formula: "(1 − m)(−log σ(z)) + m exp(−z), m = σ(z/τ)",
    paper: "arXiv 2406.08414",
    constants: &[DISCOPOP_TAU],
};

impl Objective for Discopop {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits(&self) -> Admits {
        Admits::LOGIT
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let z = pairs.logits(settings);
        let tau = settings.constants.get(DISCOPOP_TAU.field.name);
        let mix = sigmoid(z.clone().div_scalar(tau));
        let logistic = log_sigmoid(z.clone()).neg();
        logistic * mix.clone().neg().add_scalar(1.0) + z.neg().exp() * mix
    }
}
