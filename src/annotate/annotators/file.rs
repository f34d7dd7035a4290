//! The labels of the files, as sure as these say.

use super::{Annotating, Annotation, Annotator, Pool, Reads, Seen};
use crate::registry::About;

pub(super) struct File;

static ABOUT: About = About {
    name: "file",
    aliases: &[],
    title: "the files (with their confidence)",
    summary: "The files' own labels are used, each with the margin or the probability that comes with it (see data.columns.margin); no annotator is trained.",
    formula: "",
    paper: "",
    constants: &[],
};

impl Annotator for File {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn reads(&self) -> Reads {
        Reads::Label
    }

    fn compares(&self, _: &Annotating) -> bool {
        true
    }

    /// By margins, or by probabilities where no pair has a margin.
    fn annotate(&self, seen: &Seen<'_>, _: &Annotating) -> Option<Annotation> {
        let label = seen.pair.label?;
        if !seen.pool.margins {
            return Some(Annotation::Probability(label.preferred, f64::from(label.agreement)));
        }
        label.margin.map(|margin| Annotation::Margin(label.preferred, f64::from(margin)))
    }

    fn check(&self, pool: &Pool) -> Result<(), String> {
        if pool.margins || pool.probabilities {
            return Ok(());
        }
        Err("annotator.kind = \"file\", but the files do not say how sure their labels are; expected a column margin, agreement, confidence or probability, ratings, or one that data.columns.margin names; annotator.kind = \"human\" takes all labels alike".to_owned())
    }
}
