//! Conservative DPO (E. Mitchell, “A note on DPO with noisy preferences”): labels that may be wrong with probability ε.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::robust::LABEL_NOISE;
use super::{Objective, PairLogProbs, Preference};
use crate::registry::About;

pub(super) struct Conservative;

static ABOUT: About = About {
    name: "cdpo",
    aliases: &["conservative"],
    title: "conservative DPO",
    summary: "DPO on labels that are only right with probability 1 − ε: the gap stops where that is what the policy says.",
    formula: "−(1 − ε) log σ(z) − ε log σ(−z)",
    paper: "ericmitchell.ai/cdpo.pdf",
    constants: &[LABEL_NOISE],
};

impl Objective for Conservative {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits_divergence(&self) -> bool {
        true
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let z = pairs.logits(settings);
        let noise = settings.constants.get(LABEL_NOISE.field.name);
        let kept = log_sigmoid(z.clone()).mul_scalar(-(1.0 - noise));
        kept - log_sigmoid(z.neg()).mul_scalar(noise)
    }
}
