//! A fifth of the margin, cut off at 1.

use super::Scheme;
use crate::registry::About;

pub(super) struct Scaled;

static ABOUT: About = About {
    name: "scaled",
    aliases: &[],
    title: "scaled",
    summary: "A fifth of the margin, at most 1.",
    formula: "min(0.2 d/T, 1)",
    paper: "arXiv 2603.04968",
    constants: &[],
};

impl Scheme for Scaled {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn weight(&self, log_odds: f64) -> f64 {
        (0.2 * log_odds).min(1.0)
    }
}
