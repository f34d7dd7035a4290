//! The noise-aware loss of spread preference annotation (arXiv 2406.04412): labels that the policy itself doubts
//! more than most are smoothed.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::{Admits, Needs, Objective, PairLogProbs, Preference};
use crate::registry::{About, Constant};
use crate::settings::{Field, Limits};

pub(super) struct Spa;

const ALPHA: Constant = Constant {
    field: Field {
        name: "spa_alpha",
        doc: " For spa: how far a doubtful label is from certain.",
        title: "SPA smoothing α",
        limits: Limits::between(0.0, 0.5, "a share from 0 to 0.5"),
        ..Field::BASIC
    },
    default: 0.1,
};

/// The share of recent pairs whose labels are in doubt.
pub(super) const SHARE: Constant = Constant {
    field: Field {
        name: "spa_share",
        doc: " For spa: the share of the recent pairs whose labels are in doubt, those that the policy agrees with least.",
        title: "SPA doubtful share K",
        limits: Limits::SHARE,
        ..Field::BASIC
    },
    default: 0.1,
};

/// How many pairs are recent.
pub(super) const WINDOW: Constant = Constant {
    field: Field {
        name: "spa_window",
        doc: " For spa: how many pairs of earlier steps are recent.",
        title: "SPA window",
        unit: "pairs",
        limits: Limits::between(1.0, 1e6, "from 1 to a million pairs"),
        advanced: true,
        ..Field::BASIC
    },
    default: 50.0,
};

/// The share of the steps at the beginning in which no label is in doubt.
pub(super) const WARMUP: Constant = Constant {
    field: Field {
        name: "spa_warmup",
        doc: " For spa: the share of the steps at the beginning in which no label is in doubt.",
        title: "SPA warm-up",
        limits: Limits::SHARE,
        advanced: true,
        ..Field::BASIC
    },
    default: 0.2,
};

/// How far detection is led away from the start.
pub(super) const LAMBDA: Constant = Constant {
    field: Field {
        name: "spa_lambda",
        doc: " For spa: λ of the de-coupled detection, which doubts labels by what the policy would say further away from its start, the softmax of (1 + λ)·logits − λ·those of the start; holds the start in memory. The paper has 1/2, 1/4 and 1/8 in its three iterations, the authors' recipe 0.",
        title: "SPA detection λ",
        limits: Limits::between(0.0, 10.0, "from 0 to 10"),
        zero: "by the policy itself",
        advanced: true,
        ..Field::BASIC
    },
    default: 0.0,
};

static ABOUT: About = About {
    name: "spa",
    aliases: &[],
    title: "SPA",
    summary: "DPO that smooths the labels which the policy agrees with least, fewer than a share K of recent pairs: they are more likely to be wrong.",
    formula: "−(1 − αk) log σ(z) − αk log σ(−z), k = 1 where z is below the K-quantile of recent ones",
    paper: "arXiv 2406.04412",
    constants: &[ALPHA, SHARE, WINDOW, WARMUP, LAMBDA],
};

impl Objective for Spa {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits(&self) -> Admits {
        Admits::LOGIT
    }

    fn needs(&self) -> Needs {
        Needs { recent: true, ..Needs::default() }
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let z = pairs.logits(settings);
        let right = log_sigmoid(z.clone()).neg();
        let Some(border) = pairs.doubtful else { return right };
        let alpha = settings.constants.get(ALPHA.field.name);
        let doubtful = pairs.doubted(settings).lower_elem(border).float().mul_scalar(alpha);
        let wrong = log_sigmoid(z.neg()).neg();
        right.clone() + doubtful * (wrong - right)
    }
}

/// The logits of recent pairs, from which it follows which labels are in doubt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recent {
    logits: Vec<f32>,
}

impl Recent {
    /// These, the oldest first.
    pub fn of(logits: Vec<f32>) -> Self {
        Self { logits }
    }

    /// All that are remembered, the oldest first.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Remember those of a step, and forget the oldest.
    pub fn push(&mut self, logits: &[f32], settings: &Preference) {
        self.logits.extend_from_slice(logits);
        let most = settings.constants.get(WINDOW.field.name).max(1.0) as usize;
        self.logits.drain(..self.logits.len().saturating_sub(most));
    }

    /// The logit below which a label is in doubt in a step, counted from 0: between the ⌊K·n⌋-th and the next of
    /// n sorted ones, as the authors' program has it; none while there are too few, or too early.
    pub fn border(&self, step: u64, total: u64, settings: &Preference) -> Option<f64> {
        let constant = |of: &Constant| settings.constants.get(of.field.name);
        if (step as f64) < constant(&WARMUP) * total as f64 {
            return None;
        }
        let mut sorted = self.logits.clone();
        sorted.sort_by(f32::total_cmp);
        let place = (constant(&SHARE) * sorted.len() as f64) as usize;
        let (here, next) = (sorted.get(place)?, sorted.get(place + 1)?);
        Some((f64::from(*here) + f64::from(*next)) / 2.0)
    }
}
