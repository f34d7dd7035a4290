//! How far stated confidence and measured correctness agree.

use serde::{Deserialize, Serialize};

use super::Calibrator;

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
    /// Mean negative log-likelihood of the human label under σ(z).
    #[serde(with = "crate::finite")]
    pub nll: f64,
    /// Mean squared error of σ(z) against the human label.
    #[serde(with = "crate::finite")]
    pub brier: f64,
    /// The reliability diagram.
    pub bins: Vec<Bin>,
}

/// Compare signed margins score(human chosen) − score(human rejected) with the humans.
///
/// The stated probability of the predicted side is σ(|z|), z being the calibrated log-odds. Returns `None`
/// for no pairs.
pub fn calibration(signed_margins: &[f64], calibrator: &Calibrator) -> Option<Calibration> {
    if signed_margins.is_empty() {
        return None;
    }
    let n = signed_margins.len() as f64;
    let mut bins = vec![Bin::default(); BINS];
    let (mut right, mut nll, mut brier) = (0.0, 0.0, 0.0);
    for &margin in signed_margins {
        let z = calibrator.signed(margin);
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
