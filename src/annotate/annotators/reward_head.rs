//! A scalar head on a language model, trained as a Bradley–Terry model of the human labels (CW-PO,
//! equation 5), or a reward model as it is.

use super::{Annotating, Annotation, Annotator, Lessons, Reads, Seen};
use crate::annotate::ensemble::trust;
use crate::registry::{About, Constant};
use crate::settings::{Field, Limits};
use crate::train::{BradleyTerryTask, Task};

pub(super) struct RewardHead;

const CENTERING: Constant = Constant {
    field: Field {
        name: "center_rewards_coefficient",
        doc: " c of c·(s⁺ + s⁻)², which is added to the loss of each labelled pair, so that scores stay near 0 (TRL's name; 0.01 in arXiv 2312.09244); labels and margins hardly change. 0 adds nothing.",
        title: "Centre scores by",
        zero: "nothing",
        limits: Limits::NOT_NEGATIVE,
        advanced: true,
        ..Field::BASIC
    },
    default: 0.0,
};

const MARGIN: Constant = Constant {
    field: Field {
        name: "margin",
        doc: " How much of the margin m that a label comes with (see data.columns.margin) the difference of scores is to exceed, for −log σ(s⁺ − s⁻ − margin·m): 1 takes all of it, as TRL does, 0 nothing.",
        title: "Margin of labels",
        zero: "not learned",
        limits: Limits::NOT_NEGATIVE,
        advanced: true,
        ..Field::BASIC
    },
    default: 0.0,
};

const TAU: Constant = Constant {
    field: Field {
        name: "ensemble_tau",
        doc: " τ, for several members (annotator.ensemble): the weight of a pair is C·max(0, 1 − Var/τ²), Var the variance of the members' margins, so that labels on which they differ by τ or more count for nothing. 0 weighs by C alone.",
        title: "Distrust members from τ",
        zero: "off",
        limits: Limits::NOT_NEGATIVE,
        advanced: true,
        ..Field::BASIC
    },
    default: 0.0,
};

static ABOUT: About = About {
    name: "reward-head",
    aliases: &["reward_head", "reward-model"],
    title: "a weak model",
    summary: "A weak model's scalar head learns to score responses from the labelled split; with annotator.epochs = 0 a reward model scores as it is.",
    formula: "d = |s(x, y₁) − s(x, y₂)|",
    paper: "arXiv 2603.04968",
    constants: &[CENTERING, MARGIN, TAU],
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

    fn column_names(&self) -> &'static [&'static str] {
        &["spread", "trust"]
    }

    fn trust(&self, seen: &Seen<'_>, settings: &Annotating) -> f64 {
        trust(seen.spread, settings.get(TAU.field.name))
    }

    fn label_margins(&self, settings: &Annotating) -> f64 {
        settings.get(MARGIN.field.name)
    }

    fn task(&self, lessons: Lessons, settings: &Annotating) -> Option<Box<dyn Task>> {
        let Lessons { pairs, margins, pad, .. } = lessons;
        let centering = settings.get(CENTERING.field.name);
        let task = BradleyTerryTask::new(pairs, pad).with_margins(margins);
        Some(Box::new(task.with_centering(centering)))
    }
}
