//! Direct preference optimisation (arXiv 2305.18290).

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::{Admits, Objective, PairLogProbs, Preference};
use crate::registry::About;

pub(super) struct Dpo;

static ABOUT: About = About {
    name: "dpo",
    aliases: &["sigmoid"],
    title: "DPO",
    summary: "The policy is its own reward model: it fits the labels under the Bradley–Terry model.",
    formula: "−log σ(z), z = β(Δw − Δl)",
    paper: "arXiv 2305.18290",
    constants: &[],
};

impl Objective for Dpo {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits(&self) -> Admits {
        Admits::LOGIT
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        log_sigmoid(pairs.logits(settings)).neg()
    }
}
