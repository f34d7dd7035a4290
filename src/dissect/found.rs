//! What was found of labels.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A coefficient: the change of the log-odds of being preferred that goes with one typical difference, all other
/// properties being alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The coefficient.
    #[serde(with = "crate::finite")]
    pub value: f64,
    /// Its 95 % interval.
    #[serde(with = "crate::finite")]
    pub interval: [f64; 2],
}

impl Effect {
    /// Whether its interval is on one side of 0.
    pub fn is_sure(&self) -> bool {
        let [low, high] = self.interval;
        low > 0.0 || high < 0.0
    }
}

impl fmt::Display for Effect {
    /// As in `+0.41 [0, +0.60]`; 0 is exactly that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed = |x: f64| if x == 0.0 { "0".to_owned() } else { format!("{x:+.2}") };
        let [low, high] = self.interval.map(signed);
        write!(f, "{} [{low}, {high}]", signed(self.value))
    }
}

/// What was found of one property.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Its name.
    pub property: String,
    /// What a person calls it.
    pub title: String,
    /// What is counted.
    pub summary: String,
    /// A typical difference: the root mean square over the pairs, of ln(1 + n) where it is counted.
    #[serde(with = "crate::finite")]
    pub scale: f64,
    /// Share of the pairs whose responses differ in it.
    #[serde(with = "crate::finite")]
    pub differing: f64,
    /// What people's labels make of it.
    pub human: Option<Effect>,
    /// What the annotator's labels make of it.
    pub weak: Option<Effect>,
    /// The annotator's less people's: what it rewards that people do not.
    pub difference: Option<Effect>,
}

impl Found {
    /// What it is ranked by: the difference; where only one of them labelled, that one's coefficient.
    pub fn telling(&self) -> Effect {
        self.difference.or(self.weak).or(self.human).unwrap_or_default()
    }
}

/// What labels reward.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dissection {
    /// Pairs that were compared.
    pub pairs: usize,
    /// Share of people's labels that the properties tell rightly, on the pairs that they were fitted to.
    #[serde(default, with = "crate::finite")]
    pub human_explained: Option<f64>,
    /// The same share of the annotator's labels.
    #[serde(default, with = "crate::finite")]
    pub weak_explained: Option<f64>,
    /// Draws that the intervals come from.
    pub resamples: usize,
    /// The b of the prior.
    #[serde(with = "crate::finite")]
    pub prior_scale: f64,
    /// Fits that did not come near enough to their minimum, of all.
    pub inexact: usize,
    /// Property by property.
    pub properties: Vec<Found>,
}

impl Dissection {
    /// Its properties: those first of which it is sure that annotator and people differ, by how much they do.
    pub fn ranked(&self) -> Vec<&Found> {
        let mut all: Vec<&Found> = self.properties.iter().collect();
        all.sort_by(|a, b| {
            let (a, b) = (a.telling(), b.telling());
            let sure = b.is_sure().cmp(&a.is_sure());
            let size = || b.value.abs().partial_cmp(&a.value.abs()).unwrap_or(Ordering::Equal);
            sure.then_with(size)
        });
        all
    }
}
