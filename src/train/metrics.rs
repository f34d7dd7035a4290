//! Named numbers of one optimiser step.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// Named numbers of one optimiser step; a number that is not finite is kept as NaN.
///
/// JSON has no NaN, so it is written as `null` and read back as NaN.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Metrics(pub BTreeMap<String, f64>);

impl Metrics {
    /// Add one number.
    pub fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), value);
    }

    /// One number by name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
        let numbers = raw.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN)));
        Ok(Self(numbers.collect()))
    }
}
