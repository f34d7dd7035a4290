//! The hinge loss of SLiC on log-ratios (arXiv 2305.10425), as TRL has it.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::{Admits, Objective, PairLogProbs, Preference};
use crate::registry::About;

pub(super) struct Hinge;

static ABOUT: About = About {
    name: "hinge",
    aliases: &[],
    title: "hinge",
    summary: "Pairs that are told apart by a margin of 1 teach nothing more.",
    formula: "max(0, 1 − z)",
    paper: "arXiv 2305.10425",
    constants: &[],
};

impl Objective for Hinge {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits(&self) -> Admits {
        Admits::LOGIT
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        relu(pairs.logits(settings).neg().add_scalar(1.0))
    }
}
