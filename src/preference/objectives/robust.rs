//! Robust DPO (arXiv 2403.00409): unbiased where labels are flipped with probability ε.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::{Admits, Objective, PairLogProbs, Preference};
use crate::registry::{About, Constant};
use crate::settings::{Field, Limits};

pub(super) struct Robust;

/// ε, which other objectives about flipped labels share.
pub(super) const LABEL_NOISE: Constant = Constant {
    field: Field {
        name: "label_noise",
        aliases: &["label_smoothing"],
        doc: " For rdpo: the share of labels taken to be wrong, below 0.5.",
        title: "Label noise ε",
        limits: Limits::below(0.0, 0.5, "a share from 0 to below 0.5"),
        ..Field::BASIC
    },
    default: 0.1,
};

static ABOUT: About = About {
    name: "rdpo",
    aliases: &["robust"],
    title: "robust DPO",
    summary: "DPO whose expectation is that of right labels, though a share ε of them is wrong.",
    formula: "[−(1 − ε) log σ(z) + ε log σ(−z)] / (1 − 2ε)",
    paper: "arXiv 2403.00409",
    constants: &[LABEL_NOISE],
};

impl Objective for Robust {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits(&self) -> Admits {
        Admits::LOGIT
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let z = pairs.logits(settings);
        let noise = settings.constants.get(LABEL_NOISE.field.name);
        let kept = log_sigmoid(z.clone()).mul_scalar(-(1.0 - noise));
        let flipped = log_sigmoid(z.neg()).mul_scalar(noise);
        (kept + flipped).div_scalar(1.0 - 2.0 * noise)
    }
}
