//! Weightings: how a margin becomes a weight (CW-PO, section "weight function").
//!
//! One more weighting is a file here and a line in [`SCHEMES`].

mod clipped;
mod entropy;
mod half_sigmoid;
mod scaled;
mod sigmoid;
mod top;
mod uniform;

use crate::registry::{About, Constants, Registry};

/// All weightings, in the order in which a person would try them.
pub static SCHEMES: &[&dyn Scheme] = &[
    &sigmoid::Sigmoid,
    &half_sigmoid::HalfSigmoid,
    &clipped::Clipped,
    &scaled::Scaled,
    &entropy::Entropy,
    &uniform::Uniform,
    &top::Top,
];

/// A way from margins to weights.
pub trait Scheme: Sync + 'static {
    /// What it says of itself.
    fn about(&self) -> &'static About;

    /// The weight of a pair of calibrated log-odds z ≥ 0 (d/T with a temperature), in [0, 1].
    fn weight(&self, log_odds: f64) -> f64;

    /// Which pairs of a whole split it takes by their margins, where it compares them with each other; the others weigh
    /// nothing, and are not even computed.
    fn selection(&self, _margins: &[f64], _constants: &Constants<dyn Scheme>) -> Option<Vec<bool>> {
        None
    }

    /// What it does, in half a sentence for a person.
    fn words(&self, _constants: &Constants<dyn Scheme>) -> String {
        format!("a pair weighs {}", self.about().formula)
    }
}

impl Registry for dyn Scheme {
    const KIND: &'static str = "a weighting";

    fn all() -> &'static [&'static Self] {
        SCHEMES
    }

    fn about(&self) -> &'static About {
        Scheme::about(self)
    }
}
