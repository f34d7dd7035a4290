//! Weak labels taken at face value.

use super::Scheme;
use crate::registry::{About, Constants};

pub(super) struct Uniform;

static ABOUT: About = About {
    name: "uniform",
    aliases: &[],
    title: "uniform",
    summary: "Every pair weighs the same: weak labels are taken at face value.",
    formula: "1",
    paper: "arXiv 2409.08813",
    constants: &[],
};

impl Scheme for Uniform {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn weight(&self, _log_odds: f64) -> f64 {
        1.0
    }

    fn words(&self, _constants: &Constants<dyn Scheme>) -> String {
        "every pair weighs 1".to_owned()
    }
}
