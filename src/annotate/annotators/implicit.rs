//! The implicit reward of a weak model: how much likelier DPO on the human labels has made a response (WS-DPO).

use super::{Annotating, Annotation, Annotator, FineTuning, Lessons, Reads, Seen};
use crate::preference::Preference;
use crate::registry::{About, Constant};
use crate::settings::{Field, Limits};
use crate::train::{PolicyPair, PreferenceTask, Task, WeightedMean};

pub(super) struct Implicit;

pub(super) const BETA: Constant = Constant {
    field: Field {
        name: "beta",
        doc: " For implicit and trained-judge: β of its DPO; of implicit also what log-ratios are multiplied by to give scores.",
        title: "β",
        limits: Limits::POSITIVE,
        ..Field::BASIC
    },
    default: 0.1,
};

pub(super) const SFT_EPOCHS: Constant = Constant {
    field: Field {
        name: "sft_epochs",
        doc: " For implicit and trained-judge: passes over the chosen responses of the labelled split, or over the verdicts that are right in both orders, before DPO; what the model is then is the reference. 0 takes the model as it is for the reference.",
        title: "Fine-tune before",
        unit: "epochs",
        zero: "not at all",
        limits: Limits::NOT_NEGATIVE,
        ..Field::BASIC
    },
    default: 1.0,
};

pub(super) const SFT_LEARNING_RATE: Constant = Constant {
    field: Field {
        name: "sft_learning_rate",
        doc: " For implicit and trained-judge: highest learning rate of that fine-tuning; its other settings are those of annotator.",
        title: "Its learning rate",
        limits: Limits::POSITIVE,
        ..Field::BASIC
    },
    default: 1e-5,
};

static ABOUT: About = About {
    name: "implicit",
    aliases: &["ws-dpo", "dpo-reward"],
    title: "a weak model's DPO reward",
    summary: "A weak language model learns the labelled split by DPO; how much likelier it then finds a response than before is the response's score.",
    formula: "s(x, y) = β (log π_w(y|x) − log π_ref(y|x))",
    paper: "arXiv 2409.08813",
    constants: &[BETA, SFT_EPOCHS, SFT_LEARNING_RATE],
};

impl Annotator for Implicit {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn reads(&self) -> Reads {
        Reads::LogRatios
    }

    fn annotate(&self, seen: &Seen<'_>, settings: &Annotating) -> Option<Annotation> {
        let beta = settings.get(BETA.field.name);
        seen.scores.map(|ratios| Annotation::Scores(ratios.map(|ratio| beta * ratio)))
    }

    fn fine_tuning(&self, settings: &Annotating) -> Option<FineTuning> {
        fine_tuning(settings)
    }

    fn task(&self, lessons: Lessons, settings: &Annotating) -> Option<Box<dyn Task>> {
        dpo(lessons, settings)
    }
}

/// What is fine-tuned before DPO.
pub(super) fn fine_tuning(settings: &Annotating) -> Option<FineTuning> {
    let epochs = settings.get(SFT_EPOCHS.field.name);
    let learning_rate = settings.get(SFT_LEARNING_RATE.field.name);
    (epochs > 0.0).then_some(FineTuning { epochs, learning_rate })
}

/// DPO, which is the first of the objectives.
pub(super) fn dpo(lessons: Lessons, settings: &Annotating) -> Option<Box<dyn Task>> {
    let Lessons { pairs, reference, pad, .. } = lessons;
    let beta = settings.get(BETA.field.name);
    let preference = Preference { beta, ..Preference::default() };
    let pair =
        |sides| PolicyPair { sides, reference: Default::default(), margin: 0.0, mismatched: None };
    let pairs = pairs.into_iter().map(pair).collect();
    let mut task = PreferenceTask::new(pairs, pad?, preference, WeightedMean::Pairs, None);
    task.set_reference(reference.into_iter().map(|log_probs| log_probs.map(f64::from)).collect());
    Some(Box::new(task))
}
