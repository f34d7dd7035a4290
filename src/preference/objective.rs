//! Preference objectives: per-pair losses from summed log-probabilities.
//!
//! A weight belongs outside these functions: each returns one loss per pair, and
//! the caller multiplies and averages.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;
use serde::{Deserialize, Serialize};

/// Which preference loss is minimised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Direct preference optimisation: −log σ(βh) (arXiv 2305.18290).
    #[default]
    Dpo,
    /// Identity preference optimisation: (h − 1/2β)² with length-averaged
    /// log-ratios, as TRL has it (arXiv 2310.12036).
    Ipo,
    /// Robust DPO: unbiased under label flips of probability ε (arXiv 2403.00409).
    Rdpo,
}

impl Objective {
    /// All objectives.
    pub const ALL: [Self; 3] = [Self::Dpo, Self::Ipo, Self::Rdpo];

    /// The name, as a recipe spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dpo => "dpo",
            Self::Ipo => "ipo",
            Self::Rdpo => "rdpo",
        }
    }
}

/// An objective with its constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preference {
    /// The loss.
    pub objective: Objective,
    /// β, the strength of the pull towards the reference.
    pub beta: f64,
    /// ε of rDPO, in [0, 0.5).
    pub label_noise: f64,
}

/// Summed log-ratios log π(y|x) − log π_ref(y|x) of a batch of N pairs, each `[N]`.
#[derive(Clone, Debug)]
pub struct LogRatios {
    /// Δw, of the chosen responses.
    pub chosen: Tensor<1>,
    /// Δl, of the rejected responses.
    pub rejected: Tensor<1>,
    /// Response tokens of the chosen responses, EOS included.
    pub chosen_tokens: Tensor<1>,
    /// Response tokens of the rejected responses, EOS included.
    pub rejected_tokens: Tensor<1>,
}

impl Preference {
    /// The loss of each pair, `[N]`, in f32.
    pub fn losses(&self, ratios: &LogRatios) -> Tensor<1> {
        match self.objective {
            Objective::Dpo => log_sigmoid(self.logits(ratios)).neg(),
            Objective::Rdpo => {
                let z = self.logits(ratios);
                let noise = self.label_noise;
                let kept = log_sigmoid(z.clone()).mul_scalar(-(1.0 - noise));
                let flipped = log_sigmoid(z.neg()).mul_scalar(noise);
                (kept + flipped).div_scalar(1.0 - 2.0 * noise)
            }
            Objective::Ipo => {
                let chosen = ratios.chosen.clone() / ratios.chosen_tokens.clone();
                let rejected = ratios.rejected.clone() / ratios.rejected_tokens.clone();
                (chosen - rejected).sub_scalar(1.0 / (2.0 * self.beta)).square()
            }
        }
    }

    /// z = β(Δw − Δl), `[N]`.
    fn logits(&self, ratios: &LogRatios) -> Tensor<1> {
        (ratios.chosen.clone() - ratios.rejected.clone()).mul_scalar(self.beta)
    }
}

/// Bradley–Terry loss −log σ(s⁺ − s⁻) of each pair, `[N]` (CW-PO, eq. 3).
pub fn bradley_terry(chosen: Tensor<1>, rejected: Tensor<1>) -> Tensor<1> {
    log_sigmoid(chosen - rejected).neg()
}
