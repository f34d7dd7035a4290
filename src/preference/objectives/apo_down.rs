//! Anchored preference optimisation, down (arXiv 2408.06266): for chosen responses that are worse than the policy's own.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::{Objective, PairLogProbs, Preference};
use crate::batch::Ranked;
use crate::registry::About;

pub(super) struct ApoDown;

static ABOUT: About = About {
    name: "apo_down",
    aliases: &[],
    title: "APO-down",
    summary: "Both responses become less likely, the rejected one more so: for a policy that is better than its data.",
    formula: "σ(βΔw) + 1 − σ(z)",
    paper: "arXiv 2408.06266",
    constants: &[],
};

impl Objective for ApoDown {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let Ranked { chosen, rejected } = pairs.rewards(settings.beta);
        sigmoid(chosen.clone()) + sigmoid(chosen - rejected).neg().add_scalar(1.0)
    }
}
