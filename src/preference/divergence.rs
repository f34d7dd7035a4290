//! f-divergences (arXiv 2309.16240): what a log-ratio is worth under another distance from the reference.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;
use serde::{Deserialize, Serialize};

/// The distance from the reference that alignment keeps small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Divergence {
    /// KL(π ‖ π_ref), that of DPO: the log-ratio itself.
    #[default]
    ReverseKl,
    /// KL(π_ref ‖ π): 1 − e^−Δ.
    ForwardKl,
    /// Jensen–Shannon: log 2 + log σ(Δ).
    JsDivergence,
    /// The α-divergence: (e^((α−1)Δ) − 1)/(α − 1).
    AlphaDivergence,
}

/// Exponents beyond this have no finite power in f32.
const MOST: f64 = 80.0;

impl Divergence {
    /// f'(π/π_ref) of log-ratios Δ, without constants that a difference loses; `alpha` is that of the
    /// α-divergence, whose limit at 1 is the reverse KL.
    pub fn score(self, ratio: Tensor<1>, alpha: f64) -> Tensor<1> {
        match self {
            Self::ReverseKl => ratio,
            Self::ForwardKl => ratio.neg().exp().neg().add_scalar(1.0),
            Self::JsDivergence => log_sigmoid(ratio).add_scalar(std::f64::consts::LN_2),
            Self::AlphaDivergence if (alpha - 1.0).abs() < 1e-6 => ratio,
            Self::AlphaDivergence => {
                let power = ratio.mul_scalar(alpha - 1.0).clamp_max(MOST).exp();
                power.sub_scalar(1.0).div_scalar(alpha - 1.0)
            }
        }
    }
}
