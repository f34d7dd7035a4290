//! Odds ratio preference optimisation (arXiv 2403.07691): a likelihood, and the odds of the pair.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::{Admits, Needs, Objective, PairLogProbs, Preference, ResponseLogProb};
use crate::batch::Ranked;
use crate::registry::About;

pub(super) struct Orpo;

static ABOUT: About = About {
    name: "orpo",
    aliases: &[],
    title: "ORPO",
    summary: "Supervised fine-tuning that also raises the odds of the chosen response above the rejected one's, β being the paper's λ; no reference. As in TRL the likelihood is that of prompt and response.",
    formula: "−log π(x, w) · N / Σ (n_x + n_w) − β log σ(log odds(w) − log odds(l)), odds = p/(1 − p), p = π^(1/n)",
    paper: "arXiv 2403.07691",
    constants: &[],
};

impl Objective for Orpo {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits(&self) -> Admits {
        Admits::NOTHING
    }

    fn needs(&self) -> Needs {
        Needs { reference: false, whole_batch: true, prompts: true, ..Needs::default() }
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let odds = pairs.per_token(pairs.policy.clone()).map(|mean| mean.clone() - log1mexp(mean));
        let Ranked { chosen, rejected } = odds;
        pairs.nll(pairs.prompts.as_ref()) - log_sigmoid(chosen - rejected).mul_scalar(settings.beta)
    }

    fn reward(&self, response: &ResponseLogProb, settings: &Preference) -> f64 {
        settings.beta * response.policy / response.tokens
    }
}

/// Log-probabilities nearer to 0 have no finite odds in f32.
const SUREST: f64 = -1e-7;
/// Nearer to 0 than this, 1 − eˣ would lose digits.
const NEAR: f64 = -0.1;

/// log(1 − eˣ) of x < 0.
fn log1mexp(x: Tensor<1>) -> Tensor<1> {
    let x = x.clamp_max(SUREST);
    let near = x.clone().greater_elem(NEAR);
    // 1 − eˣ = −x (1 + x/2 + x²/6 + x³/24 + x⁴/120 + …)
    let small = x.clone().clamp_min(NEAR);
    let series = [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0]
        .into_iter()
        .fold(small.zeros_like(), |sum, c| (sum * small.clone()).add_scalar(c));
    let by_series = small.neg().log() + series.log();
    let plain = x.clamp_max(NEAR).exp().neg().add_scalar(1.0).log();
    plain.mask_where(near, by_series)
}
