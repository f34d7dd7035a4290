//! The longer response is the better one: what a weak annotator has to beat.

use super::{Annotating, Annotation, Annotator, Reads, Seen};
use crate::registry::About;

pub(super) struct Length;

static ABOUT: About = About {
    name: "length",
    aliases: &["longer"],
    title: "length (baseline)",
    summary: "The longer response is taken for the better one, the surer the more it is longer; no annotator is trained.",
    formula: "d = |ln(1 + |y₁|) − ln(1 + |y₂|)|, lengths in characters",
    paper: "arXiv 2310.03716",
    constants: &[],
};

/// ln(1 + characters) of a response.
pub fn log_length(text: &str) -> f64 {
    (1.0 + text.chars().count() as f64).ln()
}

impl Annotator for Length {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn reads(&self) -> Reads {
        Reads::Texts
    }

    fn annotate(&self, seen: &Seen<'_>, _: &Annotating) -> Option<Annotation> {
        let score = |text: &String| f64::from(log_length(text) as f32);
        Some(Annotation::Scores(seen.pair.responses.each_ref().map(score)))
    }
}
