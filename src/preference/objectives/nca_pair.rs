//! Noise contrastive alignment on pairs (arXiv 2402.05369).

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::{Objective, PairLogProbs, Preference};
use crate::batch::Ranked;
use crate::registry::About;

pub(super) struct NcaPair;

static ABOUT: About = About {
    name: "nca_pair",
    aliases: &[],
    title: "NCA",
    summary: "Each response has its own classification against the reference, so that the chosen one's likelihood is kept up.",
    formula: "−log σ(βΔw) − ½ log σ(−βΔw) − ½ log σ(−βΔl)",
    paper: "arXiv 2402.05369",
    constants: &[],
};

impl Objective for NcaPair {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let Ranked { chosen, rejected } = pairs.rewards(settings.beta);
        let half = |reward: Tensor<1>| log_sigmoid(reward.neg()).mul_scalar(0.5);
        (log_sigmoid(chosen.clone()) + half(chosen) + half(rejected)).neg()
    }
}
