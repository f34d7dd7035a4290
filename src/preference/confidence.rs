//! Confidence of a weak label, and the weight that it gives the pair.

use super::weightings::Scheme;
use crate::registry::{self, Choice, Constants};
use crate::settings::{Limits, Words, settings};

settings! {
    /// How weak labels are weighted.
    pub struct Weighting {
        /// How a margin d becomes a weight.
        pub weight: Choice<dyn Scheme> = Choice::default() => {
            words: Words::Listed(registry::words::<dyn Scheme>),
        },
        /// Pairs whose confidence C = 2σ(d/T) − 1 is below this get weight 0; they still count in the mean.
        pub threshold: f64 = 0.0 => {
            limits: Limits::between(0.0, 1.0, "a number from 0 to 1"),
        },
        /// T, by which margins are divided before anything else; above 1 makes the annotator less sure.
        pub temperature: f64 = 1.0 => { title: "Temperature T", limits: Limits::POSITIVE },
        /// The constants of weightings.
        #[serde(flatten)]
        pub constants: Constants<dyn Scheme> = Constants::default(),
    }
}

/// C = 2σ(d/T) − 1 = tanh(d/2T), in [0, 1) for d ≥ 0 (CW-PO, eq. 5).
pub fn confidence(margin: f64, temperature: f64) -> f64 {
    (margin / (2.0 * temperature)).tanh()
}

impl Weighting {
    /// The weight of each pair, for margins d ≥ 0 of a whole split.
    ///
    /// The result has the length and order of `margins`; all are given at once, because a weighting
    /// may compare them.
    pub fn weights(&self, margins: &[f64]) -> Vec<f64> {
        let mut weights = self.weights_of_selected(margins);
        if let Some(kept) = self.selection(margins) {
            weights.iter_mut().zip(kept).filter(|(_, kept)| !kept).for_each(|(w, _)| *w = 0.0);
        }
        weights
    }

    /// The same for pairs that [`Weighting::selection`] has taken already.
    pub fn weights_of_selected(&self, margins: &[f64]) -> Vec<f64> {
        let weight = |&margin: &f64| {
            if self.keeps(margin) { self.weight.weight(margin, self.temperature) } else { 0.0 }
        };
        margins.iter().map(weight).collect()
    }

    /// Which pairs of a whole split the weighting takes, whatever the threshold; `None` for all.
    pub fn selection(&self, margins: &[f64]) -> Option<Vec<bool>> {
        self.weight.selection(margins, &self.constants)
    }

    /// Whether the threshold keeps a pair of this margin.
    pub fn keeps(&self, margin: f64) -> bool {
        confidence(margin, self.temperature) >= self.threshold
    }

    /// What it does, in half a sentence for a person.
    pub fn words(&self) -> String {
        self.weight.words(&self.constants)
    }
}

/// (Σw)² / Σw²: how many equally weighted pairs the weights are worth; 0 for no weight.
pub fn effective_sample_size(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|w| w * w).sum();
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}
