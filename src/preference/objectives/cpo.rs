//! Contrastive preference optimisation (arXiv 2401.08417): DPO without a reference, held by a likelihood.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::{Admits, Needs, Objective, PairLogProbs, Preference, ResponseLogProb};
use crate::batch::Ranked;
use crate::registry::{About, Constant};
use crate::settings::{Field, Limits};

pub(super) struct Cpo;

const CPO_ALPHA: Constant = Constant {
    field: Field {
        name: "cpo_alpha",
        doc: " For cpo: how much the likelihood of the chosen response counts beside the preference.",
        title: "CPO α",
        limits: Limits::NOT_NEGATIVE,
        ..Field::BASIC
    },
    default: 1.0,
};

static ABOUT: About = About {
    name: "cpo",
    aliases: &[],
    title: "CPO",
    summary: "DPO whose reference is taken to be uniform, so that none is computed; the likelihood of chosen responses holds the policy, as a mean over the tokens of the batch.",
    formula: "−log σ(β(log π(w) − log π(l))) − α log π(w) · N / Σ n_w",
    paper: "arXiv 2401.08417",
    constants: &[CPO_ALPHA],
};

impl Objective for Cpo {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn admits(&self) -> Admits {
        Admits::NOTHING
    }

    fn needs(&self) -> Needs {
        Needs { reference: false, whole_batch: true, ..Needs::default() }
    }

    fn losses(&self, pairs: &PairLogProbs, settings: &Preference) -> Tensor<1> {
        let Ranked { chosen, rejected } = pairs.policy.clone();
        let alpha = settings.constants.get(CPO_ALPHA.field.name);
        let preference = log_sigmoid((chosen - rejected).mul_scalar(settings.beta)).neg();
        preference + pairs.nll(None).mul_scalar(alpha)
    }

    fn reward(&self, response: &ResponseLogProb, settings: &Preference) -> f64 {
        settings.beta * response.policy
    }
}
