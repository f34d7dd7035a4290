//! What an annotator says of the pairs of a split, before a threshold: calibrated, and what an expression makes
//! of it.

use std::collections::{BTreeMap, BTreeSet};

use super::expression::{Expression, Fault, OWN};
use super::{Calibrator, Weight, Weighting, confidence};
use crate::legible::quoted;

/// The column of what multiplies the weight that its confidence gives a pair, where an annotator says so.
pub const TRUST: &str = "trust";

/// What an annotator says of a pair: its margin d ≥ 0, and more numbers by name.
pub type Said<'a> = (f64, &'a BTreeMap<String, f64>);

/// What an annotator says of the pairs of a split, calibrated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// d ≥ 0 of each pair.
    pub margins: Vec<f64>,
    /// z ≥ 0 of each pair.
    pub log_odds: Vec<f64>,
    /// What an expression and the annotator's trust in itself give each pair, which multiplies what the threshold
    /// leaves of it; empty for 1 each.
    pub given: Vec<f64>,
    /// How many of these were below 0, and are taken for 0: a negative weight would teach the other label.
    pub negative: usize,
}

impl Judged {
    /// The same of the pair of this place.
    pub fn given(&self, pair: usize) -> f64 {
        self.given.get(pair).copied().unwrap_or(1.0)
    }
}

impl Weighting {
    /// Calibrate what is said of the pairs of a split, and compute an expression of it.
    ///
    /// # Errors
    ///
    /// The expression has no finite value for a pair, or reads a column that the pair has not.
    pub fn judge(&self, calibrator: &Calibrator, said: &[Said<'_>]) -> Result<Judged, String> {
        let margins: Vec<f64> = said.iter().map(|(margin, _)| *margin).collect();
        let log_odds: Vec<f64> = margins.iter().map(|&d| calibrator.log_odds(d)).collect();
        let trust = |columns: &BTreeMap<String, f64>| columns.get(TRUST).copied();
        let Weight::Expression(expression) = &self.weight else {
            let any = said.iter().any(|(_, columns)| trust(columns).is_some());
            let given =
                said.iter().filter(|_| any).map(|(_, columns)| trust(columns).unwrap_or(1.0));
            return Ok(Judged { given: given.collect(), margins, log_odds, negative: 0 });
        };
        let pairs = said.iter().zip(&log_odds);
        let values = pairs.map(|(&pair, &z)| self.value(expression, pair, z, said));
        let mut given = values.collect::<Result<Vec<f64>, String>>()?;
        let negative = given.iter().filter(|weight| **weight < 0.0).count();
        for (weight, (_, columns)) in given.iter_mut().zip(said) {
            *weight = weight.max(0.0) * trust(columns).unwrap_or(1.0);
        }
        Ok(Judged { margins, log_odds, given, negative })
    }

    /// The weight of each pair of a whole split, in its order.
    pub fn weigh(&self, judged: &Judged) -> Vec<f64> {
        let mut weights = self.weights_of_selected(&judged.log_odds);
        weights.iter_mut().zip(&judged.given).for_each(|(weight, given)| *weight *= given);
        self.leave_out(&mut weights, &judged.margins);
        weights
    }

    /// Whether its expression can be computed of annotations that may have these columns.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self, columns: &[&str]) -> Result<(), String> {
        match &self.weight {
            Weight::Scheme(_) => Ok(()),
            Weight::Expression(expression) => {
                expression.check(columns).map_err(|e| format!("{}: {e}", self.key_and_value()))
            }
        }
    }

    /// What an expression gives one pair of all that were said something of.
    fn value(
        &self,
        expression: &Expression,
        (margin, columns): Said<'_>,
        log_odds: f64,
        all: &[Said<'_>],
    ) -> Result<f64, String> {
        let own = [1.0 / (1.0 + (-log_odds).exp()), margin, confidence(log_odds)];
        let column = |name: &str| match OWN.iter().position(|known| *known == name) {
            Some(place) => Some(own[place]),
            None => columns.get(name).copied(),
        };
        match expression.at(column) {
            Ok(value) if value.is_finite() => Ok(value),
            Ok(value) => {
                let own = OWN.into_iter().zip(&own);
                let all = own.chain(columns.iter().map(|(name, value)| (name.as_str(), value)));
                let all: Vec<String> =
                    all.map(|(name, value)| format!("{name} = {value}")).collect();
                let (at, key) = (all.join(", "), self.key_and_value());
                Err(format!("{key}: it is {value} where {at}; expected a finite number"))
            }
            Err(fault) => {
                Err(format!("{}: {fault}{}", self.key_and_value(), there_are(&fault, all)))
            }
        }
    }

    fn key_and_value(&self) -> String {
        format!("confidence.weight = \"{}\"", quoted(self.weight.text()))
    }
}

/// What can be read in place of a column that is missing, and how many pairs lack it.
fn there_are(fault: &Fault, all: &[Said<'_>]) -> String {
    let Fault::Missing(missing) = fault else { return String::new() };
    let without = all.iter().filter(|(_, columns)| !columns.contains_key(missing)).count();
    let columns: BTreeSet<&str> =
        all.iter().flat_map(|(_, columns)| columns.keys()).map(String::as_str).collect();
    let names: Vec<&str> = OWN.into_iter().chain(columns).collect();
    format!(" for {without} of {} annotated pairs; there are {}", all.len(), names.join(", "))
}
