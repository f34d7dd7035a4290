//! The margin, cut off at 1.

use super::Scheme;
use crate::registry::About;

pub(super) struct Clipped;

static ABOUT: About = About {
    name: "clipped",
    aliases: &[],
    title: "clipped",
    summary: "Proportional to the margin, at most 1.",
    formula: "min(d/T, 1)",
    paper: "arXiv 2603.04968",
    constants: &[],
};

impl Scheme for Clipped {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn weight(&self, log_odds: f64) -> f64 {
        log_odds.min(1.0)
    }
}
