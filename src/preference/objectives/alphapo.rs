//! Reward shape matters (AlphaPO, arXiv 2501.03884): SimPO with a reward that is bent by α.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::simpo::SIMPO_GAMMA;
use super::{Admits, Needs, Objective, PairLogProbs, Preference, ResponseLogProb};
use crate::batch::Ranked;
use crate::registry::{About, Constant};
use crate::settings::{Field, Limits};

pub(super) struct AlphaPo;

const ALPHA: Constant = Constant {
    field: Field {
        name: "alphapo_alpha",
        doc: " For alphapo: how the reward is bent; 0 is SimPO.",
        title: "AlphaPO α",
        limits: Limits::between(-10.0, 10.0, "a number from −10 to 10"),
        ..Field::BASIC
    },
    default: 0.25,
};

static ABOUT: About = About {
    name: "alphapo",
    aliases: &[],
    title: "AlphaPO",
    summary: "SimPO whose reward is a power of the mean probability of a token, which says how hard unlikely responses are pushed.",
    formula: "−log σ(β(r(w) − r(l)) − γ), r = (1 − p^−α)/α, p = π^(1/n)",
    paper: "arXiv 2501.03884",
    constants: &[ALPHA, SIMPO_GAMMA],
};

impl Objective for AlphaPo {
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
        let alpha = settings.constants.get(ALPHA.field.name);
        let reward = |mean: Tensor<1>| {
            if alpha == 0.0 {
                return mean;
            }
            mean.mul_scalar(-alpha).exp().neg().add_scalar(1.0).div_scalar(alpha)
        };
        let Ranked { chosen, rejected } = pairs.per_token(pairs.policy.clone()).map(reward);
        let gamma = settings.constants.get(SIMPO_GAMMA.field.name);
        log_sigmoid((chosen - rejected).mul_scalar(settings.beta).sub_scalar(gamma)).neg()
    }

    fn reward(&self, response: &ResponseLogProb, settings: &Preference) -> f64 {
        let alpha = settings.constants.get(ALPHA.field.name);
        let mean = response.policy / response.tokens;
        let bent = if alpha == 0.0 { mean } else { (1.0 - (-alpha * mean).exp()) / alpha };
        settings.beta * bent
    }
}
