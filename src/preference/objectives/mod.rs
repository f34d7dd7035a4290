//! Preference objectives: a loss for each pair, from summed log-probabilities.
//!
//! A weight belongs outside: each loss here is one number a pair, and the caller multiplies and averages.
//! One more objective is a file here and a line in [`OBJECTIVES`].

mod alphapo;
mod aot;
mod aot_unpaired;
mod apo_down;
mod apo_zero;
mod bco_pair;
mod conservative;
mod discopop;
mod dpo;
mod exo_pair;
mod hinge;
mod ipo;
mod nca_pair;
mod robust;
mod sft;
mod sigmoid_norm;
mod simpo;
mod sppo_hard;

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::Divergence;
use crate::batch::Ranked;
use crate::registry::{About, Choice, Constants, Registry};

/// All objectives, the default first.
pub static OBJECTIVES: &[&dyn Objective] = &[
    &dpo::Dpo,
    &ipo::Ipo,
    &robust::Robust,
    &conservative::Conservative,
    &hinge::Hinge,
    &sigmoid_norm::SigmoidNorm,
    &simpo::Simpo,
    &alphapo::AlphaPo,
    &exo_pair::ExoPair,
    &nca_pair::NcaPair,
    &bco_pair::BcoPair,
    &sppo_hard::SppoHard,
    &apo_zero::ApoZero,
    &apo_down::ApoDown,
    &discopop::Discopop,
    &aot::Aot,
    &aot_unpaired::AotUnpaired,
    &sft::Sft,
];

/// A preference loss.
pub trait Objective: Sync + 'static {
    /// What it says of itself.
    fn about(&self) -> &'static About;

    /// What it needs beside the policy's log-probabilities.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Whether it is built on the difference of two scores, so that other divergences than the reverse KL
    /// have a meaning ([`PairLogProbs::scores`]).
    fn admits_divergence(&self) -> bool {
        false
    }

    /// The loss of each pair, `[N]`, in f32.
    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1>;

    /// What it takes a response to be worth, for whoever reads a run: `rewards/chosen` and so on.
    fn reward(&self, response: &ResponseLogProb, settings: &Preference) -> f64 {
        settings.beta * (response.policy - response.reference)
    }
}

/// What an objective needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The log-probabilities of a frozen reference. Without them a run computes no reference.
    pub reference: bool,
    /// All pairs of a step at once, because the loss of one depends on the others.
    pub whole_batch: bool,
}

impl Default for Needs {
    fn default() -> Self {
        Self { reference: true, whole_batch: false }
    }
}

/// Log-probabilities of the responses of N pairs, each `[N]`, summed over the response's tokens, EOS
/// included.
#[derive(Clone, Debug)]
pub struct PairLogProbs {
    /// log π(y|x).
    pub policy: Ranked<Tensor<1>>,
    /// log π_ref(y|x); 0 for an objective that needs no reference.
    pub reference: Ranked<Tensor<1>>,
    /// Tokens of each response.
    pub tokens: Ranked<Tensor<1>>,
}

impl PairLogProbs {
    /// Δ = log π(y|x) − log π_ref(y|x) of each response, each `[N]`.
    pub fn log_ratios(&self) -> Ranked<Tensor<1>> {
        Ranked {
            chosen: self.policy.chosen.clone() - self.reference.chosen.clone(),
            rejected: self.policy.rejected.clone() - self.reference.rejected.clone(),
        }
    }

    /// β times each, what most objectives call rewards.
    pub fn rewards(&self, beta: f64) -> Ranked<Tensor<1>> {
        self.log_ratios().map(|ratio| ratio.mul_scalar(beta))
    }

    /// Something of each response as a mean over its tokens.
    pub fn per_token(&self, of: Ranked<Tensor<1>>) -> Ranked<Tensor<1>> {
        Ranked {
            chosen: of.chosen / self.tokens.chosen.clone(),
            rejected: of.rejected / self.tokens.rejected.clone(),
        }
    }

    /// The same as the divergence of the settings has them: Δ itself for the reverse KL.
    pub fn scores(&self, settings: &Preference) -> Ranked<Tensor<1>> {
        self.log_ratios().map(|ratio| settings.divergence.score(ratio, settings.divergence_alpha))
    }

    /// z = β(s_w − s_l) of these scores, `[N]`.
    pub fn logits(&self, settings: &Preference) -> Tensor<1> {
        let Ranked { chosen, rejected } = self.scores(settings);
        (chosen - rejected).mul_scalar(settings.beta)
    }
}

/// The logistic loss of logits z whose labels are wrong with probability ε:
/// −(1 − ε) log σ(z) − ε log σ(−z).
fn smoothed(z: Tensor<1>, smoothing: f64) -> Tensor<1> {
    let kept = log_sigmoid(z.clone()).mul_scalar(-(1.0 - smoothing));
    kept - log_sigmoid(z.neg()).mul_scalar(smoothing)
}

/// The same of one response, read from the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResponseLogProb {
    /// log π(y|x).
    pub policy: f64,
    /// log π_ref(y|x); 0 for an objective that needs no reference.
    pub reference: f64,
    /// Tokens of the response.
    pub tokens: f64,
}

impl Registry for dyn Objective {
    const KIND: &'static str = "an objective";

    fn all() -> &'static [&'static Self] {
        OBJECTIVES
    }

    fn about(&self) -> &'static About {
        Objective::about(self)
    }
}

/// An objective with its settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preference {
    /// The loss.
    pub objective: Choice<dyn Objective>,
    /// β, the strength of the pull towards the reference.
    pub beta: f64,
    /// The distance from the reference.
    pub divergence: Divergence,
    /// The α of the α-divergence.
    pub divergence_alpha: f64,
    /// The constants of all objectives.
    pub constants: Constants<dyn Objective>,
}

impl Preference {
    /// An objective by its name, its constants at their defaults.
    ///
    /// # Errors
    ///
    /// No objective has this name.
    pub fn named(name: &str, beta: f64) -> Result<Self, String> {
        Ok(Self { objective: Choice::named(name)?, beta, ..Self::default() })
    }

    /// The loss of each pair, `[N]`, in f32.
    pub fn losses(&self, pairs: &PairLogProbs) -> Tensor<1> {
        self.objective.losses(pairs, self)
    }

    /// What the objective takes a response to be worth.
    pub fn reward(&self, response: &ResponseLogProb) -> f64 {
        self.objective.reward(response, self)
    }
}
