//! Anchored preference optimisation, zero (arXiv 2408.06266): for chosen responses that are better than the policy's own.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::{Objective, PairLogProbs, Preference};
use crate::batch::Ranked;
use crate::registry::About;

pub(super) struct ApoZero;

static ABOUT: About = About {
    name: "apo_zero",
    aliases: &[],
    title: "APO-zero",
    summary: "The chosen response becomes likelier and the rejected one less likely, each measured from the reference.",
    formula: "1 − σ(βΔw) + σ(βΔl)",
    paper: "arXiv 2408.06266",
    constants: &[],
};

impl Objective for ApoZero {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let Ranked { chosen, rejected } = pairs.rewards(settings.beta);
        sigmoid(chosen).neg().add_scalar(1.0) + sigmoid(rejected)
    }
}
