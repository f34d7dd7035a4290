//! From an annotator's margins to the log-odds that its labels are right: by a temperature, or by isotonic
//! regression on labels that people gave.

use serde::{Deserialize, Serialize};

/// Fewer pairs than these say little: the standard error of an accuracy of 65 % is then above 8 points.
pub const FEW: usize = 30;

/// T is looked for between the mean margin over this and the mean margin times this.
const FARTHEST: f64 = 100.0;

/// How a margin d ≥ 0 becomes the log-odds z that the label is right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calibrator {
    /// z = d/T (arXiv 1706.04599).
    Temperature(f64),
    /// z = logit p(d), where p only rises.
    Isotonic(Isotonic),
}

impl Calibrator {
    /// Margins taken as log-odds as they are.
    pub const NONE: Self = Self::Temperature(1.0);

    /// The log-odds z ≥ 0 of a margin d ≥ 0.
    pub fn log_odds(&self, margin: f64) -> f64 {
        match self {
            Self::Temperature(temperature) => margin / temperature,
            Self::Isotonic(fitted) => {
                let p = fitted.probability(margin);
                (p / (1.0 - p)).ln()
            }
        }
    }

    /// The log-odds of a margin that has a sign.
    pub fn signed(&self, margin: f64) -> f64 {
        self.log_odds(margin.abs()).copysign(margin)
    }

    /// T, where there is one.
    pub fn temperature(&self) -> Option<f64> {
        match self {
            Self::Temperature(temperature) => Some(*temperature),
            Self::Isotonic(_) => None,
        }
    }
}

/// A probability of being right that rises with the margin: linear between its knots, constant beyond them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Isotonic {
    /// Margins d, ascending, and the probabilities there, from 0.5 to below 1, never falling; at least one.
    pub knots: Vec<[f64; 2]>,
}

impl Isotonic {
    /// The probability that a label of margin d ≥ 0 is right; that of a tie, which a coin decides, is 0.5.
    pub fn probability(&self, margin: f64) -> f64 {
        if margin <= 0.0 {
            return 0.5;
        }
        let (below, above) = self.knots.split_at(self.knots.partition_point(|[d, _]| *d <= margin));
        match (below.last(), above.first()) {
            (None, None) => 0.5,
            (Some([_, p]), None) | (None, Some([_, p])) => *p,
            (Some([d, p]), Some([next, higher])) => p + (margin - d) / (next - d) * (higher - p),
        }
    }

    /// The probabilities that fit best among those that never fall with |d|, by the pool-adjacent-violators
    /// algorithm (Ayer et al. 1955), on margins that are positive where the label is right.
    ///
    /// It is the same for both responses: exchanging them changes the sign of a margin and of its label, and
    /// so P(first is better | d) = 1 − P(first is better | −d). A tie is half right. No probability is below
    /// 0.5, where the label would be the other one, or above (n + 1)/(n + 2), which is what n labels that are
    /// all right let one expect (Laplace's rule of succession); `None` for no pairs.
    pub fn fit(signed_margins: &[f64]) -> Option<Self> {
        let most = 1.0 - 1.0 / (signed_margins.len() as f64 + 2.0);
        let mut blocks: Vec<Block> = Vec::new();
        for block in by_margin(signed_margins) {
            blocks.push(block);
            while let [.., before, last] = &blocks[..]
                && before.mean >= last.mean
            {
                let joined = before.join(last);
                blocks.truncate(blocks.len() - 2);
                blocks.push(joined);
            }
        }
        let ends = |Block { first, last, mean, .. }: Block| {
            let p = mean.clamp(0.5, most);
            let end = (last > first).then_some([last, p]);
            std::iter::once([first, p]).chain(end)
        };
        let knots: Vec<[f64; 2]> = blocks.into_iter().flat_map(ends).collect();
        (!knots.is_empty()).then_some(Self { knots })
    }
}

/// Neighbouring margins that share a probability.
struct Block {
    first: f64,
    last: f64,
    count: f64,
    /// The share of right labels.
    mean: f64,
}

impl Block {
    fn join(&self, next: &Self) -> Self {
        let count = self.count + next.count;
        let mean = (self.count * self.mean + next.count * next.mean) / count;
        Self { first: self.first, last: next.last, count, mean }
    }
}

/// A block for each |d|, ascending.
fn by_margin(signed_margins: &[f64]) -> Vec<Block> {
    let right = |margin: f64| match margin {
        m if m > 0.0 => 1.0,
        m if m < 0.0 => 0.0,
        _ => 0.5,
    };
    let mut sorted: Vec<f64> = signed_margins.to_vec();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let mut blocks: Vec<Block> = Vec::new();
    for margin in sorted {
        let d = margin.abs();
        let one = Block { first: d, last: d, count: 1.0, mean: right(margin) };
        match blocks.last_mut() {
            Some(same) if same.last == d => *same = same.join(&one),
            _ => blocks.push(one),
        }
    }
    blocks
}

/// A calibrator that was fitted, and whether to believe it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// What was found.
    pub calibrator: Calibrator,
    /// Pairs that it was fitted on.
    pub pairs: usize,
    /// What speaks against it.
    pub doubts: Vec<Doubt>,
}

/// What speaks against a fitted calibrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// There are fewer than [`FEW`] pairs.
    Few,
    /// All labels are right: the smaller T, the better, without end.
    Separable,
    /// Margins do not tell right labels from wrong ones: the larger T, the better.
    Useless,
}

impl Fitted {
    /// T of the lowest negative log-likelihood of the human labels under σ(d/T), on margins that are positive
    /// where the label is right (arXiv 1706.04599); `None` for no pairs.
    ///
    /// The likelihood is concave in 1/T, so that its slope changes its sign once; where it does not change it
    /// within reason, T is the nearer end of what was looked at.
    pub fn temperature(signed_margins: &[f64]) -> Option<Self> {
        let n = signed_margins.len() as f64;
        let mean = signed_margins.iter().map(|m| m.abs()).sum::<f64>() / n;
        if signed_margins.is_empty() {
            return None;
        }
        if mean <= 0.0 {
            return Some(Self::of(signed_margins, Calibrator::NONE, Some(Doubt::Useless)));
        }
        // The slope by T, but for a positive factor: of m σ(−m/T), the sum.
        let slope = |log_t: f64| -> f64 {
            let t = log_t.exp();
            signed_margins.iter().map(|m| m / (1.0 + (m / t).exp())).sum()
        };
        let (mut low, mut high) = ((mean / FARTHEST).ln(), (mean * FARTHEST).ln());
        let at = |log_t: f64| Calibrator::Temperature(log_t.exp());
        if slope(low) >= 0.0 {
            return Some(Self::of(signed_margins, at(low), Some(Doubt::Separable)));
        }
        if slope(high) <= 0.0 {
            return Some(Self::of(signed_margins, at(high), Some(Doubt::Useless)));
        }
        loop {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                return Some(Self::of(signed_margins, at(middle), None));
            }
            if slope(middle) < 0.0 { low = middle } else { high = middle }
        }
    }

    /// [`Isotonic::fit`]; `None` for no pairs.
    pub fn isotonic(signed_margins: &[f64]) -> Option<Self> {
        let found = Isotonic::fit(signed_margins)?;
        let useless = found.knots.iter().all(|[_, p]| *p <= 0.5).then_some(Doubt::Useless);
        Some(Self::of(signed_margins, Calibrator::Isotonic(found), useless))
    }

    fn of(signed_margins: &[f64], calibrator: Calibrator, doubt: Option<Doubt>) -> Self {
        let pairs = signed_margins.len();
        let few = (pairs < FEW).then_some(Doubt::Few);
        Self { calibrator, pairs, doubts: few.into_iter().chain(doubt).collect() }
    }

    /// What speaks against it, and what to try, each in a sentence.
    pub fn warnings(&self) -> Vec<String> {
        self.doubts.iter().map(|doubt| self.words(*doubt)).collect()
    }

    fn words(&self, doubt: Doubt) -> String {
        let pairs = self.pairs;
        match doubt {
            Doubt::Few => format!(
                "confidence is calibrated on {pairs} pairs, which is too few to believe it (expected {FEW} or more); raise data.calibration or data.labelled"
            ),
            Doubt::Separable => format!(
                "the annotator is right on all {pairs} calibration pairs, so that no temperature is the best; the lowest that was looked at stands, and nearly every label counts as certain; raise data.calibration, or set confidence.calibration = \"isotonic\", which knows an end"
            ),
            Doubt::Useless => format!(
                "on the {pairs} calibration pairs the annotator's margins do not tell right labels from wrong ones: calibrated, next to no label counts; let it learn more (annotator.epochs, data.labelled), or take another annotator"
            ),
        }
    }
}
