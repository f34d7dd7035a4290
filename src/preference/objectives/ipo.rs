//! Identity preference optimisation (arXiv 2310.12036), with length-averaged log-ratios, as TRL has it.

use burn::tensor::Tensor;

use super::{Admits, Objective, PairLogProbs, Preference};
use crate::batch::Ranked;
use crate::registry::About;

pub(super) struct Ipo;

static ABOUT: About = About {
    name: "ipo",
    aliases: &[],
    title: "IPO",
    summary: "The gap between the responses is led to a fixed width, so that sure labels are not overfitted.",
    formula: "(Δw/n_w − Δl/n_l − 1/2β)²",
    paper: "arXiv 2310.12036",
    constants: &[],
};

impl Objective for Ipo {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits(&self) -> Admits {
        Admits::SCORES
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let Ranked { chosen, rejected } = pairs.per_token(pairs.scores(settings));
        (chosen - rejected).sub_scalar(1.0 / (2.0 * settings.beta)).square()
    }
}
