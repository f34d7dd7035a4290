//! DPO on length-averaged log-ratios (Tülu 3, arXiv 2411.15124), as TRL's `sigmoid_norm`.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::{Admits, Objective, PairLogProbs, Preference};
use crate::batch::Ranked;
use crate::registry::About;

pub(super) struct SigmoidNorm;

static ABOUT: About = About {
    name: "sigmoid_norm",
    aliases: &["dpo_norm"],
    title: "DPO, length-normalised",
    summary: "DPO whose log-ratios are means over tokens, so that long responses weigh no more than short ones.",
    formula: "−log σ(β(Δw/n_w − Δl/n_l))",
    paper: "arXiv 2411.15124",
    constants: &[],
};

impl Objective for SigmoidNorm {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits(&self) -> Admits {
        Admits::SCORES
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let Ranked { chosen, rejected } = pairs.per_token(pairs.scores(settings));
        log_sigmoid((chosen - rejected).mul_scalar(settings.beta)).neg()
    }
}
