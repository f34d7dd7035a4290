//! Supervised fine-tuning on chosen responses, as an objective beside others (TRL's `sft`).

use burn::tensor::Tensor;

use super::{Admits, Needs, Objective, PairLogProbs, Preference};
use crate::registry::About;

pub(super) struct Sft;

static ABOUT: About = About {
    name: "sft",
    aliases: &[],
    title: "SFT",
    summary: "The chosen response becomes likelier, whatever the rejected one is: a mean over the tokens of the batch.",
    formula: "−log π(w) · N / Σ n_w",
    paper: "arXiv 2203.02155",
    constants: &[],
};

impl Objective for Sft {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    /// Divergences and other references do not touch it, which TRL's mixtures rely on.
    fn admits(&self) -> Admits {
        Admits { tails: false, offset: false, ..Admits::SCORES }
    }

    /// The mean is over the tokens of a whole step.
    fn needs(&self) -> Needs {
        Needs { reference: false, whole_batch: true, ..Needs::default() }
    }

    fn losses(&self, pairs: &PairLogProbs, _: &Preference) -> Tensor<1> {
        pairs.nll(None)
    }
}
