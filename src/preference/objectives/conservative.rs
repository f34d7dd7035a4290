//! Conservative DPO (E. Mitchell, “A note on DPO with noisy preferences”): labels that may be wrong with probability ε.

use burn::tensor::Tensor;

use super::robust::LABEL_NOISE;
use super::{Admits, Objective, PairLogProbs, Preference, smoothed};
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

    fn admits(&self) -> Admits {
        Admits::LOGIT
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        smoothed(pairs.logits(settings), settings.constants.get(LABEL_NOISE.field.name))
    }
}
