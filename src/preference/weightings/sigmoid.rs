//! The paper's confidence C as the weight (CW-PO, eq. 5).

use super::Scheme;
use crate::preference::confidence;
use crate::registry::About;

pub(super) struct Sigmoid;

static ABOUT: About = About {
    name: "sigmoid",
    aliases: &[],
    title: "sigmoid",
    summary: "The paper's confidence itself: 0 for a toss-up, nearly 1 for a sure label.",
    formula: "2σ(d/T) − 1",
    paper: "arXiv 2603.04968",
    constants: &[],
};

impl Scheme for Sigmoid {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn weight(&self, log_odds: f64) -> f64 {
        confidence(log_odds)
    }
}
