//! The human labels themselves: what a weak annotator is compared with.

use super::{Annotating, Annotation, Annotator, Reads, Seen};
use crate::registry::About;

pub(super) struct Human;

static ABOUT: About = About {
    name: "human",
    aliases: &[],
    title: "humans (baseline)",
    summary: "The human labels are used as they are, each with weight 1; no annotator is trained.",
    formula: "",
    paper: "arXiv 2603.04968",
    constants: &[],
};

impl Annotator for Human {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn reads(&self) -> Reads {
        Reads::Truth
    }

    fn annotate(&self, seen: &Seen<'_>, _: &Annotating) -> Option<Annotation> {
        seen.pair.label.map(|label| Annotation::Probability(label.preferred, 1.0))
    }
}
