//! Multi-reference preference optimisation (arXiv 2405.16388): DPO whose reference is made of several.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::{Admits, Needs, Objective, PairLogProbs, Preference};
use crate::batch::Ranked;
use crate::registry::{About, Constant};
use crate::settings::{Field, Limits};

pub(super) struct Mrpo;

const ETA: Constant = Constant {
    field: Field {
        name: "mrpo_eta",
        doc: " With policy.references: how far their log-probabilities may be from the policy's own start, as a share of these; each response of a pair gets its part of it, by how unlikely it is.",
        title: "Trust region η",
        limits: Limits::between(0.0, 1.0, "a number from 0 to 1"),
        advanced: true,
        ..Field::BASIC
    },
    default: 0.1,
};

static ABOUT: About = About {
    name: "mrpo",
    aliases: &[],
    title: "MRPO",
    summary: "DPO against several references (policy.references), each counting by how clearly it tells the pair apart, none further from the policy's start than a trust region allows.",
    formula: "−log σ(z), z of 1/π_ref(y) = Σ_k a_k/π_k(y), a_k = m_k/Σ_j m_j, m_k = |log π_k(w) − log π_k(l)|",
    paper: "arXiv 2405.16388",
    constants: &[ETA],
};

impl Objective for Mrpo {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits(&self) -> Admits {
        Admits::LOGIT
    }

    fn needs(&self) -> Needs {
        Needs { references: true, ..Needs::default() }
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        log_sigmoid(pairs.logits(settings)).neg()
    }
}

/// The log-probabilities of a pair's responses under the reference that is made of several, `base` and `others`:
/// 1/π̃(y) = Σ_k a_k/π_k(y) with adaptive a_k (arXiv 2405.16388, section 4), the others first led into the
/// trust region around `base`. The authors' program gives the weight of one of two references to the
/// reciprocal of the other; here each has its own.
pub fn joint_reference(
    base: Ranked<f64>,
    others: &[Ranked<f64>],
    settings: &Preference,
) -> Ranked<f64> {
    let eta = settings.constants.get(ETA.field.name);
    let gap = |of: &Ranked<f64>| (of.chosen - of.rejected).abs();
    let gaps: Vec<f64> = std::iter::once(&base).chain(others).map(gap).collect();
    let all: f64 = gaps.iter().sum();
    let share = |i: usize| if all > 0.0 { gaps[i] / all } else { 1.0 / gaps.len() as f64 };
    let trusted: Vec<Ranked<f64>> = others.iter().map(|other| trusted(base, *other, eta)).collect();
    let joint = |side: &dyn Fn(&Ranked<f64>) -> f64| {
        let each = std::iter::once(&base).chain(&trusted).enumerate();
        let terms: Vec<f64> = each.map(|(i, of)| share(i).ln() - side(of)).collect();
        let most = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        -(most + terms.iter().map(|term| (term - most).exp()).sum::<f64>().ln())
    };
    Ranked { chosen: joint(&|of| of.chosen), rejected: joint(&|of| of.rejected) }
}

/// A reference's log-probabilities no further from the base's than η allows each response.
fn trusted(base: Ranked<f64>, other: Ranked<f64>, eta: f64) -> Ranked<f64> {
    let middle = |a: f64, b: f64| ((a + b) / 2.0).abs();
    let (chosen, rejected) =
        (middle(base.chosen, other.chosen), middle(base.rejected, other.rejected));
    let both = chosen + rejected;
    let led = |base: f64, other: f64, of: f64| {
        let eta = if both > 0.0 { eta * of / both } else { eta };
        // Log-probabilities are negative.
        other.clamp((1.0 + eta) * base.min(0.0), (1.0 - eta) * base.min(0.0))
    };
    Ranked {
        chosen: led(base.chosen, other.chosen, chosen),
        rejected: led(base.rejected, other.rejected, rejected),
    }
}
