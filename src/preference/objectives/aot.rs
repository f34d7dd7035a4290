//! Alignment by optimal transport on pairs (arXiv 2406.05882): gaps are compared as distributions.

use burn::tensor::{Int, Tensor};

use super::{Admits, Needs, Objective, PairLogProbs, Preference, smoothed};
use crate::registry::{About, Constant};
use crate::settings::{Field, Limits};

pub(super) struct Aot;

/// How far labels are from certain, which both forms share.
pub(super) const AOT_SMOOTHING: Constant = Constant {
    field: Field {
        name: "aot_smoothing",
        doc: " For aot and aot_unpaired: the share of labels taken to be wrong, below 0.5.",
        title: "AOT smoothing",
        limits: Limits::below(0.0, 0.5, "a share from 0 to below 0.5"),
        ..Field::BASIC
    },
    default: 0.0,
};

static ABOUT: About = About {
    name: "aot",
    aliases: &[],
    title: "AOT",
    summary: "The policy's gaps between chosen and rejected shall lie above the reference's as a distribution, each rank above its own.",
    formula: "−log σ(β(g − r)), g the gap log π(w) − log π(l), r the reference's gap of the same rank in the batch",
    paper: "arXiv 2406.05882",
    constants: &[AOT_SMOOTHING],
};

impl Objective for Aot {
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
        let gaps = pairs.policy.chosen.clone() - pairs.policy.rejected.clone();
        let of_reference = pairs.reference.chosen.clone() - pairs.reference.rejected.clone();
        above(gaps.clone() - of_the_same_rank(&gaps, of_reference), settings)
    }
}

/// The value of `others` whose rank among them is that of each value among `values`, so that every loss stays
/// with its pair.
pub(super) fn of_the_same_rank(values: &Tensor<1>, others: Tensor<1>) -> Tensor<1> {
    let order = |of: Tensor<1>| -> Tensor<1, Int> { of.detach().argsort(0) };
    let ranks = order(values.clone()).argsort(0);
    let sorted = others.clone().select(0, order(others));
    sorted.select(0, ranks)
}

/// The smoothed logistic loss of βu, for gaps u that shall be above 0.
pub(super) fn above(u: Tensor<1>, settings: &Preference) -> Tensor<1> {
    smoothed(u.mul_scalar(settings.beta), settings.constants.get(AOT_SMOOTHING.field.name))
}
