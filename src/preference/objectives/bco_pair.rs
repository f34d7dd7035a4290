//! Binary classifier optimisation on pairs (arXiv 2404.04656), its running mean of rewards left at 0 as in TRL's `bco_pair`.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::{Objective, PairLogProbs, Preference};
use crate::batch::Ranked;
use crate::registry::About;

pub(super) struct BcoPair;

static ABOUT: About = About {
    name: "bco_pair",
    aliases: &[],
    title: "BCO",
    summary: "A classifier of good and bad responses whose logit is the reward: each response counts by itself.",
    formula: "−log σ(βΔw) − log σ(−βΔl)",
    paper: "arXiv 2404.04656",
    constants: &[],
};

impl Objective for BcoPair {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let Ranked { chosen, rejected } = pairs.rewards(settings.beta);
        (log_sigmoid(chosen) + log_sigmoid(rejected.neg())).neg()
    }
}
