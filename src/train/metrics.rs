//! Named numbers of one optimiser step.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::finite::Json;

/// Named numbers of one optimiser step; in JSON those that are not finite are `"NaN"`,
/// `"Infinity"` and `"-Infinity"`.
#[derive(Clone, Debug, Default, PartialEq)]
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

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Json(*value))))
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = BTreeMap::<String, Json>::deserialize(deserializer)?;
        Ok(Self(found.into_iter().map(|(name, Json(value))| (name, value)).collect()))
    }
}

/// Adds to metrics what follows from numbers.
pub type Finish = Box<dyn FnOnce(&[f64], &mut Metrics)>;

/// What a step tells: what is known already, and what is to be made of numbers that are still on
/// the device. To read them at once would make the device wait for the next step's operations.
pub struct PendingMetrics {
    /// Known already.
    pub metrics: Metrics,
    /// On the device, `[n]` each.
    pub numbers: Vec<Tensor<1>>,
    /// Adds what follows from all numbers, in their order.
    pub finish: Finish,
}

impl PendingMetrics {
    /// Nothing is on the device.
    pub fn known(metrics: Metrics) -> Self {
        Self { metrics, numbers: Vec::new(), finish: Box::new(|_, _| {}) }
    }
}
