//! Self-play preference optimisation with hard labels (arXiv 2405.00675).

use burn::tensor::Tensor;

use super::{Objective, PairLogProbs, Preference};
use crate::batch::Ranked;
use crate::registry::About;

pub(super) struct SppoHard;

static ABOUT: About = About {
    name: "sppo_hard",
    aliases: &[],
    title: "SPPO, hard labels",
    summary: "The chosen response is led half a win above the reference, the rejected one half a win below.",
    formula: "(Δw − 1/2β)² + (Δl + 1/2β)²",
    paper: "arXiv 2405.00675",
    constants: &[],
};

impl Objective for SppoHard {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let Ranked { chosen, rejected } = pairs.log_ratios();
        let half = 0.5 / settings.beta;
        chosen.sub_scalar(half).square() + rejected.add_scalar(half).square()
    }
}
