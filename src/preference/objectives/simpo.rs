//! Simple preference optimisation (arXiv 2405.14734): no reference, length-averaged log-probabilities, a margin.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::{Admits, Needs, Objective, PairLogProbs, Preference, ResponseLogProb};
use crate::batch::Ranked;
use crate::registry::{About, Constant};
use crate::settings::{Field, Limits};

pub(super) struct Simpo;

pub(super) const SIMPO_GAMMA: Constant = Constant {
    field: Field {
        name: "simpo_gamma",
        doc: " For simpo: the margin by which a pair has to be told apart.",
        title: "SimPO margin γ",
        limits: Limits::NOT_NEGATIVE,
        ..Field::BASIC
    },
    default: 0.5,
};

static ABOUT: About = About {
    name: "simpo",
    aliases: &[],
    title: "SimPO",
    summary: "No reference: the mean log-probability of a token is the reward, and a pair has to be told apart by a margin γ.",
    formula: "−log σ(β(log π(w)/n_w − log π(l)/n_l) − γ)",
    paper: "arXiv 2405.14734",
    constants: &[SIMPO_GAMMA],
};

impl Objective for Simpo {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits(&self) -> Admits {
        Admits::NOTHING
    }

    fn needs(&self) -> Needs {
        Needs { reference: false, ..Needs::default() }
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let Ranked { chosen, rejected } = pairs.per_token(pairs.policy.clone());
        let gamma = settings.constants.get(SIMPO_GAMMA.field.name);
        log_sigmoid((chosen - rejected).mul_scalar(settings.beta).sub_scalar(gamma)).neg()
    }

    fn reward(&self, response: &ResponseLogProb, settings: &Preference) -> f64 {
        settings.beta * response.policy / response.tokens
    }
}
