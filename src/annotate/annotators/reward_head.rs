//! A scalar head on a language model, trained as a Bradley–Terry model of the human labels (CW-PO,
//! equation 5), or a reward model as it is.

use super::{Annotating, Annotation, Annotator, Reads, Seen};
use crate::batch::{Ranked, Sequence};
use crate::registry::About;
use crate::train::{BradleyTerryTask, Task};

pub(super) struct RewardHead;

static ABOUT: About = About {
    name: "reward-head",
    aliases: &["reward_head", "reward-model"],
    title: "a weak model",
    summary: "A weak model's scalar head learns to score responses from the labelled split; with annotator.epochs = 0 a reward model scores as it is.",
    formula: "d = |s(x, y₁) − s(x, y₂)|",
    paper: "arXiv 2603.04968",
    constants: &[],
};

impl Annotator for RewardHead {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn reads(&self) -> Reads {
        Reads::Scores
    }

    fn annotate(&self, seen: &Seen<'_>, _: &Annotating) -> Option<Annotation> {
        seen.scores.map(Annotation::Scores)
    }

    fn task(&self, pairs: Vec<Ranked<Sequence>>, pad: Option<u32>) -> Option<Box<dyn Task>> {
        Some(Box::new(BradleyTerryTask::new(pairs, pad)))
    }
}
