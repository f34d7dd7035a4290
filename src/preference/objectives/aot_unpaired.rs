//! Alignment by optimal transport, unpaired (arXiv 2406.05882).

use burn::tensor::Tensor;

use super::aot::{AOT_SMOOTHING, above, of_the_same_rank};
use super::{Admits, Needs, Objective, PairLogProbs, Preference};
use crate::batch::Ranked;
use crate::registry::About;

pub(super) struct AotUnpaired;

static ABOUT: About = About {
    name: "aot_unpaired",
    aliases: &[],
    title: "AOT, unpaired",
    summary: "The rewards of chosen responses shall lie above those of rejected ones as a distribution, whichever pair they are of.",
    formula: "−log σ(β(Δw − Δl')), Δl' the rejected log-ratio of the same rank in the batch",
    paper: "arXiv 2406.05882",
    constants: &[AOT_SMOOTHING],
};

impl Objective for AotUnpaired {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits(&self) -> Admits {
        Admits::RANKS
    }

    fn needs(&self) -> Needs {
        Needs { whole_batch: true, ..Needs::default() }
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let Ranked { chosen, rejected } = pairs.log_ratios();
        above(chosen.clone() - of_the_same_rank(&chosen, rejected), settings)
    }
}
