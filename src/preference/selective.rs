//! Whether confidence tells right labels from wrong ones: accuracy and risk among the surest pairs.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

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

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2000;

/// The area under the curve of risk over coverage (AURC, arXiv 1805.08206): the share of wrong labels among
/// the k surest, mean over k = 1 … N. Of equally sure labels the mean over all their orders counts; `None`
/// for no pairs.
///
/// Margins are positive where the label is right, and their size says how sure it is.
pub fn aurc(signed_margins: &[f64]) -> Option<f64> {
    let once = vec![1; signed_margins.len()];
    (!signed_margins.is_empty()).then(|| BySurety::of(signed_margins).area(&once))
}

/// How much larger the area under one curve of risk is than that under another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AurcDifference {
    /// Below 0 the first is the better one.
    pub value: f64,
    /// The 95 % percentile interval of a paired bootstrap.
    pub interval: [f64; 2],
}

/// AURC of one confidence less that of another, on the same pairs in the same order; `None` for no pairs.
///
/// Pairs are resampled for both at once (a paired bootstrap), so that what makes some pairs hard for both
/// does not widen the interval. The same seed draws the same resamples.
pub fn aurc_difference(first: &[f64], second: &[f64], seed: u64) -> Option<AurcDifference> {
    let n = first.len();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let resample = move |_| (0..n).map(|_| rng.random_range(0..n)).collect();
    aurc_difference_over(first, second, (0..RESAMPLES).map(resample))
}

/// The same over given resamples: each is places of pairs.
pub fn aurc_difference_over(
    first: &[f64],
    second: &[f64],
    resamples: impl Iterator<Item = Vec<usize>>,
) -> Option<AurcDifference> {
    let value = aurc(first)? - aurc(second)?;
    let (first, second) = (BySurety::of(first), BySurety::of(second));
    let mut differences: Vec<f64> = resamples
        .map(|places| {
            let mut counts = vec![0; first.wrong.len()];
            places.into_iter().for_each(|place| counts[place] += 1);
            first.area(&counts) - second.area(&counts)
        })
        .collect();
    differences.sort_by(f64::total_cmp);
    let interval = [0.025, 0.975].map(|share| percentile(&differences, share).unwrap_or(value));
    Some(AurcDifference { value, interval })
}

/// Pairs by how sure their labels are, so that resamples need no sorting.
struct BySurety {
    /// Places of pairs, the surest first, those of equal surety together.
    groups: Vec<Vec<usize>>,
    /// Whether the label of the pair at a place is wrong; a tie is.
    wrong: Vec<bool>,
}

impl BySurety {
    fn of(signed_margins: &[f64]) -> Self {
        let sure = |place: usize| signed_margins[place].abs();
        let mut order: Vec<usize> = (0..signed_margins.len()).collect();
        order.sort_by(|&a, &b| sure(b).total_cmp(&sure(a)));
        Self {
            groups: order.chunk_by(|&a, &b| sure(a) == sure(b)).map(<[usize]>::to_vec).collect(),
            wrong: signed_margins.iter().map(|margin| *margin <= 0.0).collect(),
        }
    }

    /// The area where the pair at each place counts so many times.
    fn area(&self, counts: &[u32]) -> f64 {
        let (mut covered, mut wrong, mut sum) = (0.0, 0.0, 0.0);
        for group in &self.groups {
            let size: u32 = group.iter().map(|&place| counts[place]).sum();
            let of_wrong = group.iter().filter(|&&place| self.wrong[place]);
            let more = f64::from(of_wrong.map(|&place| counts[place]).sum::<u32>());
            for k in 1..=size {
                // The k first of the group hold their share of its wrong ones, on average over its orders.
                let k = f64::from(k);
                sum += (wrong + more * k / f64::from(size)) / (covered + k);
            }
            covered += f64::from(size);
            wrong += more;
        }
        sum / covered
    }
}

/// As `numpy.percentile` by default, of ascending numbers: linear between neighbours.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let below = sorted[place as usize];
    let above = sorted[(place.ceil() as usize).min(sorted.len() - 1)];
    Some(below + place.fract() * (above - below))
}
