//! Confidence of a weak label, and the weight that it gives the pair.

use serde::{Deserialize, Serialize};

use super::weightings::Scheme;
use super::{Calibrator, Fitted, Weight, weight};
use crate::registry::Constants;
use crate::settings::{Limits, Words, settings};

/// T: a number, or what fits human labels best.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Temperature {
    /// One that is fitted on the calibration split.
    Fit,
    /// This number.
    #[serde(untagged)]
    Stated(f64),
}

impl Temperature {
    /// The number that is stated; 1 where T is fitted.
    pub fn stated(self) -> f64 {
        match self {
            Self::Stated(temperature) => temperature,
            Self::Fit => 1.0,
        }
    }
}

/// What makes log-odds of margins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CalibrationMethod {
    /// Division by a temperature.
    #[default]
    Temperature,
    /// Isotonic regression.
    Isotonic,
}

settings! {
    /// How weak labels are weighted.
    pub struct Weighting {
        /// How a margin d becomes a weight. expr: and a formula in Python's words, which is a number of 0 or more, of p (the calibrated probability that the label is right), d (the margin), C (the confidence) and columns that the annotator leaves in its table, with min, max, clamp, pow, exp, ln, sqrt, tanh, abs and … if … else …; for example "expr: clamp(2*p - 1, 0, 1) if d > 0.1 else 0". A weight below 0 is taken for 0, and told.
        pub weight: Weight = Weight::default() => {
            words: Words::Listed(weight::words),
        },
        /// Pairs whose confidence C = 2σ(d/T) − 1, calibrated, is below this get weight 0; they still count in the mean.
        pub threshold: f64 = 0.0 => {
            limits: Limits::between(0.0, 1.0, "a number from 0 to 1"),
        },
        /// T, by which margins are divided before anything else; above 1 makes the annotator less sure. fit: the T under which the human labels of a calibration split (data.calibration), from which the annotator does not learn, are likeliest (arXiv 1706.04599).
        pub temperature: Temperature = Temperature::Stated(1.0) => {
            title: "Temperature T",
            limits: Limits::POSITIVE,
            words: Words::Of(&[("fit", "fitted on human labels")]),
        },
        /// What makes calibrated log-odds of margins, from which C, weights and threshold follow. temperature: d/T. isotonic: the logit of the share of right labels at such a margin, which may take any course that never falls, fitted on a calibration split (data.calibration); it takes the place of T, and needs more pairs.
        pub calibration: CalibrationMethod = CalibrationMethod::Temperature => {
            title: "Calibrate by",
            words: Words::Of(&[
                ("temperature", "the temperature T"),
                ("isotonic", "isotonic regression"),
            ]),
            advanced: true,
        },
        /// Whether a gate learns when the annotator is to be trusted (arXiv 2512.21526): a logistic regression of whether its labels are right on their margins, how much longer the label's response is, how rare the prompt's words are among the labelled ones, how far members differ, and how far combined annotators disagree. It is fitted on a calibration split (data.calibration), from which the annotator does not learn; its log-odds take the place of margins.
        pub gate: bool = false => { title: "Learn when to trust", advanced: true },
        /// The constants of weightings.
        #[serde(flatten)]
        pub constants: Constants<dyn Scheme> = Constants::default(),
    }
}

/// C = 2σ(z) − 1 = tanh(z/2), in [0, 1) for calibrated log-odds z ≥ 0, d/T with a temperature
/// (CW-PO, eq. 5).
pub fn confidence(log_odds: f64) -> f64 {
    (log_odds / 2.0).tanh()
}

impl Weighting {
    /// Whether anything is fitted on human labels.
    pub fn fits(&self) -> bool {
        self.gate || self.calibrates()
    }

    /// Whether what makes log-odds of margins is fitted.
    pub fn calibrates(&self) -> bool {
        self.calibration == CalibrationMethod::Isotonic || self.temperature == Temperature::Fit
    }

    /// How margins become log-odds: as stated, or as fitted on margins of the calibration split, which are
    /// positive where a human agrees; infinite ones fit nothing, and are not counted. `None` where something is
    /// to be fitted, and there is nothing to fit it on.
    pub fn calibrator(&self, signed_margins: &[f64]) -> Option<Fitted> {
        let finite =
            || signed_margins.iter().copied().filter(|m| m.is_finite()).collect::<Vec<_>>();
        match (self.calibration, self.temperature) {
            (CalibrationMethod::Isotonic, _) => Fitted::isotonic(&finite()),
            (_, Temperature::Fit) => Fitted::temperature(&finite()),
            (_, Temperature::Stated(temperature)) => {
                let calibrator = Calibrator::Temperature(temperature);
                Some(Fitted { calibrator, pairs: 0, doubts: Vec::new() })
            }
        }
    }

    /// The weight of each pair of a whole split whose margins are calibrated log-odds z ≥ 0; what an
    /// expression gives is not in it, for it needs more than these ([`Weighting::weigh`]).
    ///
    /// The result has the length and order of `log_odds`; all are given at once, because a weighting
    /// may compare them.
    pub fn weights(&self, log_odds: &[f64]) -> Vec<f64> {
        let mut weights = self.weights_of_selected(log_odds);
        self.leave_out(&mut weights, log_odds);
        weights
    }

    /// The same for pairs that [`Weighting::selection`] has taken already.
    pub fn weights_of_selected(&self, log_odds: &[f64]) -> Vec<f64> {
        let weight = |z: f64| match &self.weight {
            Weight::Scheme(scheme) => scheme.weight(z),
            Weight::Expression(_) => 1.0,
        };
        log_odds.iter().map(|&z| if self.keeps(z) { weight(z) } else { 0.0 }).collect()
    }

    /// Let pairs that the weighting does not take weigh nothing.
    pub(super) fn leave_out(&self, weights: &mut [f64], margins: &[f64]) {
        if let Some(kept) = self.selection(margins) {
            weights.iter_mut().zip(kept).filter(|(_, kept)| !kept).for_each(|(w, _)| *w = 0.0);
        }
    }

    /// Which pairs of a whole split the weighting takes by their margins, whatever the threshold; `None` for
    /// all.
    pub fn selection(&self, margins: &[f64]) -> Option<Vec<bool>> {
        match &self.weight {
            Weight::Scheme(scheme) => scheme.selection(margins, &self.constants),
            Weight::Expression(_) => None,
        }
    }

    /// Whether the threshold keeps a pair of these calibrated log-odds.
    pub fn keeps(&self, log_odds: f64) -> bool {
        confidence(log_odds) >= self.threshold
    }

    /// What it does, in half a sentence for a person.
    pub fn words(&self) -> String {
        self.weight.words(&self.constants)
    }

    /// What makes log-odds of margins, in half a sentence for a person.
    pub fn calibration_words(&self) -> String {
        match (self.calibration, self.temperature) {
            _ if self.gate => "a gate that learns when to trust the annotator".to_owned(),
            (CalibrationMethod::Isotonic, _) => "isotonic regression on human labels".to_owned(),
            (_, Temperature::Fit) => "a temperature fitted on human labels".to_owned(),
            (_, Temperature::Stated(temperature)) => format!("T = {temperature}"),
        }
    }
}

/// (Σw)² / Σw²: how many equally weighted pairs the weights are worth; 0 for no weight.
pub fn effective_sample_size(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|w| w * w).sum();
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}
