//! Self-play fine-tuning (arXiv 2401.01335): what people prefer is told apart from what the policy itself writes.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::{Admits, Needs, Objective, PairLogProbs, Preference};
use crate::registry::About;

pub(super) struct Spin;

static ABOUT: About = About {
    name: "spin",
    aliases: &[],
    title: "SPIN",
    summary: "Self-play: in each of online.rounds the preferred response of each pair is held against one that the policy wrote when the round began, which is also the reference; the rejected response of the pair is not used.",
    formula: "−log σ(β(Δw − Δy′)), y′ ~ π_t, π_ref = π_t",
    paper: "arXiv 2401.01335",
    constants: &[],
};

impl Objective for Spin {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn needs(&self) -> Needs {
        Needs { own_responses: true, ..Needs::default() }
    }

    /// A margin says how much better the preferred response is than another one than the policy's, and the
    /// reference is the policy before the round.
    fn admits(&self) -> Admits {
        Admits { offset: false, other_references: false, ..Admits::LOGIT }
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        log_sigmoid(pairs.logits(settings)).neg()
    }
}
