//! What a label tells, in bits.

use super::Scheme;
use crate::registry::About;

pub(super) struct Entropy;

static ABOUT: About = About {
    name: "entropy",
    aliases: &[],
    title: "entropy",
    summary: "What the label tells in bits, one minus the entropy of its probability: pairs near a toss-up count next to nothing.",
    formula: "1 − H₂(σ(d/T))",
    paper: "",
    constants: &[],
};

impl Scheme for Entropy {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn weight(&self, log_odds: f64) -> f64 {
        let p = 1.0 / (1.0 + (-log_odds).exp());
        let bits = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
        (1.0 - bits(p) - bits(1.0 - p)).clamp(0.0, 1.0)
    }
}
