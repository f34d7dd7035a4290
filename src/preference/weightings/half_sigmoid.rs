//! The probability that the label is right.

use super::Scheme;
use crate::preference::confidence;
use crate::registry::About;

pub(super) struct HalfSigmoid;

static ABOUT: About = About {
    name: "half-sigmoid",
    aliases: &[],
    title: "half-sigmoid",
    summary: "The probability that the label is right: a toss-up counts half.",
    formula: "σ(d/T)",
    paper: "arXiv 2603.04968",
    constants: &[],
};

impl Scheme for HalfSigmoid {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn weight(&self, log_odds: f64) -> f64 {
        0.5 + 0.5 * confidence(log_odds)
    }
}
