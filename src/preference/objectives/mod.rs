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
mod cpo;
mod discopop;
mod dpo;
mod exo_pair;
mod hinge;
mod ipo;
mod kto;
mod mixture;
mod mrpo;
mod nca_pair;
mod orpo;
mod robust;
mod sft;
mod sigmoid_norm;
mod simpo;
mod spa;
mod spin;
mod sppo_hard;

pub use mixture::Mixture;
pub use mrpo::joint_reference;
pub use spa::Recent;

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
    &cpo::Cpo,
    &orpo::Orpo,
    &kto::Kto,
    &mrpo::Mrpo,
    &spa::Spa,
    &spin::Spin,
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

    /// What else has a meaning with it.
    fn admits(&self) -> Admits {
        Admits::RATIOS
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
    /// The log-probabilities of prompts.
    pub prompts: bool,
    /// Those of responses to other prompts.
    pub mismatched: bool,
    /// The logits of earlier steps.
    pub recent: bool,
    /// Log-probabilities under more references than one.
    pub references: bool,
    /// Responses that the policy itself writes, in place of the rejected ones.
    pub own_responses: bool,
}

impl Default for Needs {
    fn default() -> Self {
        Self {
            reference: true,
            whole_batch: false,
            prompts: false,
            mismatched: false,
            recent: false,
            references: false,
            own_responses: false,
        }
    }
}

/// What changes an objective, for those that it has a meaning for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admits {
    /// Other divergences than the reverse KL: it is built on the difference of two scores
    /// ([`PairLogProbs::scores`]), in which what the divergence leaves open cancels.
    pub divergence: bool,
    /// An offset of its logit ([`PairLogProbs::logits`]).
    pub offset: bool,
    /// Weights of its pairs' losses that come of the policy itself (WPO).
    pub weighting: bool,
    /// Tokens that count less than others (LD-DPO).
    pub tails: bool,
    /// References that move or are several.
    pub other_references: bool,
}

impl Admits {
    /// One that is a function of the logit z.
    pub const LOGIT: Self = Self { offset: true, ..Self::SCORES };
    /// One that is built on the difference of two scores.
    pub const SCORES: Self = Self { divergence: true, ..Self::RATIOS };
    /// One that is built on log-ratios in another way.
    pub const RATIOS: Self = Self { weighting: true, ..Self::RANKS };
    /// One that compares the log-ratios of a batch, so that no loss is one pair's own.
    pub const RANKS: Self = Self { tails: true, other_references: true, ..Self::NOTHING };
    /// One without a reference.
    pub const NOTHING: Self = Self {
        divergence: false,
        offset: false,
        weighting: false,
        tails: false,
        other_references: false,
    };
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
    /// d ≥ 0 of each pair; without them 0.
    pub margins: Option<Tensor<1>>,
    /// Of prompts, for an objective that needs them.
    pub prompts: Option<PromptLogProbs>,
    /// Of responses to other prompts, for an objective that needs them.
    pub mismatched: Option<MismatchedLogProbs>,
    /// The means over each response of log π(y_t) − log Σ_v π(v)², for weights that come of them.
    pub alignment: Option<Ranked<Tensor<1>>>,
    /// The logit below which a label is in doubt, for an objective that needs it; none at first.
    pub doubtful: Option<f64>,
    /// log π(y|x) where the policy is led away from its start, where labels are doubted by that.
    pub extrapolated: Option<Ranked<Tensor<1>>>,
}

/// Log-probabilities of prompts, each `[N]`.
#[derive(Clone, Debug)]
pub struct PromptLogProbs {
    /// log π(x), its first token left out.
    pub policy: Tensor<1>,
    /// Tokens that are summed.
    pub tokens: Tensor<1>,
}

/// Log-probabilities of responses to other prompts, each `[N]`.
#[derive(Clone, Debug)]
pub struct MismatchedLogProbs {
    /// log π(y′|x).
    pub policy: Tensor<1>,
    /// log π_ref(y′|x).
    pub reference: Tensor<1>,
}

impl PairLogProbs {
    /// Of responses alone.
    pub fn new(
        policy: Ranked<Tensor<1>>,
        reference: Ranked<Tensor<1>>,
        tokens: Ranked<Tensor<1>>,
    ) -> Self {
        Self {
            policy,
            reference,
            tokens,
            margins: None,
            prompts: None,
            mismatched: None,
            alignment: None,
            doubtful: None,
            extrapolated: None,
        }
    }

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

    /// z = β(s_w − s_l) of these scores, less what a pair of this margin has to be told apart by
    /// (α·d: ODPO, arXiv 2402.10571); `[N]`.
    pub fn logits(&self, settings: &Preference) -> Tensor<1> {
        let Ranked { chosen, rejected } = self.scores(settings);
        let z = (chosen - rejected).mul_scalar(settings.beta);
        match &self.margins {
            Some(margins) if settings.offset > 0.0 => {
                z - margins.clone().mul_scalar(settings.offset)
            }
            _ => z,
        }
    }

    /// The logits by which labels are doubted, without a gradient, `[N]`.
    pub fn doubted(&self, settings: &Preference) -> Tensor<1> {
        match &self.extrapolated {
            Some(policy) => Self { policy: policy.clone(), ..self.clone() }.logits(settings),
            None => self.logits(settings),
        }
        .detach()
    }

    /// The negative log-likelihood of chosen responses, and of these prompts, as a mean over the tokens of the
    /// batch; each pair's share of it times N.
    fn nll(&self, prompts: Option<&PromptLogProbs>) -> Tensor<1> {
        let n = self.tokens.chosen.dims()[0] as f64;
        let (policy, tokens) = match prompts {
            Some(prompts) => (
                self.policy.chosen.clone() + prompts.policy.clone(),
                self.tokens.chosen.clone() + prompts.tokens.clone(),
            ),
            None => (self.policy.chosen.clone(), self.tokens.chosen.clone()),
        };
        policy.neg().mul_scalar(n) / tokens.sum()
    }

    /// What each pair's loss is weighted by for how far its responses are what the policy would write, without
    /// a gradient (WPO, arXiv 2406.11827, eq. 2).
    fn own_weights(&self) -> Option<Tensor<1>> {
        let Ranked { chosen, rejected } = self.alignment.clone()?;
        Some((chosen + rejected).detach().exp())
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
    /// The loss, or several that are added.
    pub objective: Mixture,
    /// What each of several is multiplied by; empty for 1 each.
    pub loss_weights: Vec<f64>,
    /// β, the strength of the pull towards the reference.
    pub beta: f64,
    /// The distance from the reference.
    pub divergence: Divergence,
    /// The α of the α-divergence.
    pub divergence_alpha: f64,
    /// What a margin of 1 demands of the logit; 0 for nothing.
    pub offset: f64,
    /// Whether losses are weighted by how far responses are what the policy would write.
    pub use_weighting: bool,
    /// How much tokens past the shorter response of a pair count.
    pub ld_alpha: Option<f64>,
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
        let objective = Choice::<dyn Objective>::named(name)?.into();
        Ok(Self { objective, beta, ..Self::default() })
    }

    /// The loss of each pair, `[N]`, in f32.
    pub fn losses(&self, pairs: &PairLogProbs) -> Tensor<1> {
        let weight = |i: usize| self.loss_weights.get(i).copied().unwrap_or(1.0);
        let parts = self.objective.parts().iter().enumerate().map(|(i, objective)| {
            let losses = objective.losses(pairs, self);
            if weight(i) == 1.0 { losses } else { losses.mul_scalar(weight(i)) }
        });
        let losses = parts.reduce(|all, more| all + more);
        let losses = losses.unwrap_or_else(|| pairs.tokens.chosen.zeros_like());
        match pairs.own_weights().filter(|_| self.use_weighting) {
            Some(weights) => losses * weights,
            None => losses,
        }
    }

    /// How far the policy is led away from its start before its labels are doubted; 0 for an objective that
    /// doubts none.
    pub fn extrapolation(&self) -> f64 {
        let doubts = self.objective.needs().recent;
        if doubts { self.constants.get(spa::LAMBDA.field.name) } else { 0.0 }
    }

    /// What the objective takes a response to be worth.
    pub fn reward(&self, response: &ResponseLogProb) -> f64 {
        self.objective.lead().reward(response, self)
    }
}
