//! How far stated confidence and measured correctness agree.

use serde::{Deserialize, Serialize};

/// Number of equal-width bins on [0.5, 1] that the expected calibration error uses.
pub const BINS: usize = 15;

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Pairs in the bin.
    pub count: usize,
    /// Their mean stated probability of being right.
    #[serde(with = "crate::finite")]
    pub confidence: f64,
    /// The share of them that is right.
    #[serde(with = "crate::finite")]
    pub accuracy: f64,
}

/// Agreement of an annotator with human labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Pairs compared.
    pub count: usize,
    /// Share of pairs with score(chosen) > score(rejected); ties are misses.
    #[serde(with = "crate::finite")]
    pub accuracy: f64,
    /// Expected calibration error over [`BINS`] equal-width bins of [0.5, 1].
    #[serde(with = "crate::finite")]
    pub ece: f64,
    /// Mean negative log-likelihood of the human label under σ(margin/T).
    #[serde(with = "crate::finite")]
    pub nll: f64,
    /// Mean squared error of σ(margin/T) against the human label.
    #[serde(with = "crate::finite")]
    pub brier: f64,
    /// The reliability diagram.
    pub bins: Vec<Bin>,
}

/// Compare signed margins score(human chosen) − score(human rejected) with the humans.
///
/// The stated probability of the predicted side is σ(|m|/T). Returns `None` for no pairs.
pub fn calibration(signed_margins: &[f64], temperature: f64) -> Option<Calibration> {
    if signed_margins.is_empty() {
        return None;
    }
    let n = signed_margins.len() as f64;
    let mut bins = vec![Bin::default(); BINS];
    let (mut right, mut nll, mut brier) = (0.0, 0.0, 0.0);
    for &margin in signed_margins {
        let z = margin / temperature;
        let probability = 1.0 / (1.0 + (-z.abs()).exp());
        let correct = f64::from(u8::from(margin > 0.0));
        let bin = &mut bins[bin_of(probability)];
        bin.count += 1;
        bin.confidence += probability;
        bin.accuracy += correct;
        right += correct;
        nll += (-z).max(0.0) + (-z.abs()).exp().ln_1p();
        brier += (1.0 / (1.0 + (-z).exp()) - 1.0).powi(2);
    }
    let mut ece = 0.0;
    for bin in bins.iter_mut().filter(|bin| bin.count > 0) {
        let count = bin.count as f64;
        bin.confidence /= count;
        bin.accuracy /= count;
        ece += count / n * (bin.accuracy - bin.confidence).abs();
    }
    Some(Calibration {
        count: signed_margins.len(),
        accuracy: right / n,
        ece,
        nll: nll / n,
        brier: brier / n,
        bins,
    })
}

fn bin_of(probability: f64) -> usize {
    let position = (probability - 0.5) / 0.5 * BINS as f64;
    (position as usize).min(BINS - 1)
}

/// One point of the curve of accuracy over coverage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectivePoint {
    /// Share of pairs kept, those of largest |margin| first.
    pub coverage: f64,
    /// Share of the kept pairs that are right.
    pub accuracy: f64,
}

/// Accuracy of the surest pairs, for every coverage 1/n … 1.
pub fn selective_curve(signed_margins: &[f64]) -> Vec<SelectivePoint> {
    let mut sorted: Vec<f64> = signed_margins.to_vec();
    sorted.sort_by(|a, b| b.abs().total_cmp(&a.abs()));
    let mut right = 0usize;
    sorted
        .iter()
        .enumerate()
        .map(|(i, &margin)| {
            right += usize::from(margin > 0.0);
            SelectivePoint {
                coverage: (i + 1) as f64 / sorted.len() as f64,
                accuracy: right as f64 / (i + 1) as f64,
            }
        })
        .collect()
}
