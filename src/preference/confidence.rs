//! Confidence of a weak label, and the weight that it gives the pair.

use serde::{Deserialize, Serialize};

use crate::settings::settings;

/// How a margin becomes a weight (CW-PO, section "weight function").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// 2σ(d/T) − 1: the paper's confidence C.
    #[default]
    Sigmoid,
    /// σ(d/T).
    HalfSigmoid,
    /// min(d/T, 1).
    Clipped,
    /// min(0.2·d/T, 1).
    Scaled,
    /// 1 for every pair: weak labels taken at face value.
    Uniform,
    /// 1 for the `top` share with the largest margins, 0 for the rest.
    Top,
}

impl Scheme {
    /// All schemes, in the order in which a person would try them.
    pub const ALL: [Self; 6] =
        [Self::Sigmoid, Self::HalfSigmoid, Self::Clipped, Self::Scaled, Self::Uniform, Self::Top];

    /// The name, as a recipe spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sigmoid => "sigmoid",
            Self::HalfSigmoid => "half-sigmoid",
            Self::Clipped => "clipped",
            Self::Scaled => "scaled",
            Self::Uniform => "uniform",
            Self::Top => "top",
        }
    }

    /// The formula, for a person to read.
    pub fn formula(self) -> &'static str {
        match self {
            Self::Sigmoid => "2σ(d/T) − 1",
            Self::HalfSigmoid => "σ(d/T)",
            Self::Clipped => "min(d/T, 1)",
            Self::Scaled => "min(0.2 d/T, 1)",
            Self::Uniform => "1",
            Self::Top => "1 for the largest margins",
        }
    }
}

settings! {
    /// How weak labels are weighted.
    pub struct Weighting {
        /// How a margin d becomes a weight: sigmoid, half-sigmoid, clipped, scaled, uniform or top.
        pub weight: Scheme = Scheme::Sigmoid,
        /// Pairs whose confidence C = 2σ(d/T) − 1 is below this get weight 0; they still count in the mean.
        pub threshold: f64 = 0.0,
        /// T, by which margins are divided before anything else; above 1 makes the annotator less sure.
        pub temperature: f64 = 1.0,
        /// The share of pairs that `weight = "top"` keeps, those with the largest margins.
        pub top: f64 = 0.3,
    }
}

/// C = 2σ(d/T) − 1 = tanh(d/2T), in [0, 1) for d ≥ 0 (CW-PO, eq. 5).
pub fn confidence(margin: f64, temperature: f64) -> f64 {
    (margin / (2.0 * temperature)).tanh()
}

impl Weighting {
    /// The weight of each pair, for margins d ≥ 0 of a whole split.
    ///
    /// The result has the length and order of `margins`. `top` needs all margins
    /// at once; ties at its border are resolved by order.
    pub fn weights(&self, margins: &[f64]) -> Vec<f64> {
        let kept = (self.weight == Scheme::Top).then(|| self.top_mask(margins));
        margins
            .iter()
            .enumerate()
            .map(|(i, &d)| {
                let chosen = kept.as_ref().is_none_or(|kept| kept[i]);
                if chosen { self.weight_of(d) } else { 0.0 }
            })
            .collect()
    }

    /// Whether the threshold keeps a pair of this margin.
    pub fn keeps(&self, margin: f64) -> bool {
        confidence(margin, self.temperature) >= self.threshold
    }

    fn weight_of(&self, margin: f64) -> f64 {
        if !self.keeps(margin) {
            return 0.0;
        }
        let scaled = margin / self.temperature;
        match self.weight {
            Scheme::Sigmoid => confidence(margin, self.temperature),
            Scheme::HalfSigmoid => 0.5 + 0.5 * confidence(margin, self.temperature),
            Scheme::Clipped => scaled.min(1.0),
            Scheme::Scaled => (0.2 * scaled).min(1.0),
            Scheme::Uniform | Scheme::Top => 1.0,
        }
    }

    fn top_mask(&self, margins: &[f64]) -> Vec<bool> {
        let count = (self.top.clamp(0.0, 1.0) * margins.len() as f64).round() as usize;
        let mut order: Vec<usize> = (0..margins.len()).collect();
        order.sort_by(|&a, &b| margins[b].total_cmp(&margins[a]).then(a.cmp(&b)));
        let mut mask = vec![false; margins.len()];
        for &i in &order[..count] {
            mask[i] = true;
        }
        mask
    }
}

/// (Σw)² / Σw²: how many equally weighted pairs the weights are worth; 0 for no weight.
pub fn effective_sample_size(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|w| w * w).sum();
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}
