//! Long curves, made short: about one point per pixel, extremes and NaN kept.

/// A curve ready to be drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawn {
    /// Unbroken parts; between two of them lies at least one value that is not finite.
    pub parts: Vec<Vec<[f64; 2]>>,
    /// Where values are not finite, at most one per bucket.
    pub gaps: Vec<f64>,
    /// All values that are not finite, within the range.
    pub not_finite: usize,
    /// Points within the range.
    pub points: usize,
}

/// Reduce points, sorted by x, that lie in `range` to at most two per bucket: its least and
/// its greatest value, in the order in which they occur.
///
/// One neighbour on either side of the range is kept, so that lines leave the picture
/// instead of ending inside it.
pub fn aggregate(points: &[[f64; 2]], range: (f64, f64), buckets: usize) -> Drawn {
    let from = points.partition_point(|p| p[0] < range.0).saturating_sub(1);
    let to = (points.partition_point(|p| p[0] <= range.1) + 1).min(points.len());
    let visible = points.get(from..to).unwrap_or(&[]);
    let per_bucket = visible.len().div_ceil(buckets.max(1)).max(1);
    let mut drawn = Drawn { points: visible.len(), ..Drawn::default() };
    let mut part = Vec::new();
    for bucket in visible.chunks(per_bucket) {
        fold_bucket(bucket, &mut part, &mut drawn);
    }
    if !part.is_empty() {
        drawn.parts.push(part);
    }
    drawn
}

fn fold_bucket(bucket: &[[f64; 2]], part: &mut Vec<[f64; 2]>, drawn: &mut Drawn) {
    let mut marked = false;
    // Within a bucket, a value that is not finite separates what comes before from what comes after.
    for run in bucket.split_inclusive(|p| !p[1].is_finite()) {
        let finite = run.iter().filter(|p| p[1].is_finite());
        let low = finite.clone().min_by(|a, b| a[1].total_cmp(&b[1]));
        let high = finite.max_by(|a, b| a[1].total_cmp(&b[1]));
        if let (Some(&low), Some(&high)) = (low, high) {
            let (first, second) = if low[0] <= high[0] { (low, high) } else { (high, low) };
            part.push(first);
            if second != first {
                part.push(second);
            }
        }
        if let Some(last) = run.last().filter(|p| !p[1].is_finite()) {
            drawn.not_finite += 1;
            if !part.is_empty() {
                drawn.parts.push(std::mem::take(part));
            }
            if !marked {
                drawn.gaps.push(last[0]);
                marked = true;
            }
        }
    }
}

/// An exponential moving average that remembers `memory` steps; NaN passes through and is not remembered.
pub fn smooth(points: &[[f64; 2]], memory: f64) -> Vec<[f64; 2]> {
    let keep = memory / (memory + 1.0);
    let (mut sum, mut mass) = (0.0, 0.0);
    points
        .iter()
        .map(|&[x, y]| {
            if !y.is_finite() {
                return [x, y];
            }
            sum = keep * sum + (1.0 - keep) * y;
            mass = keep * mass + (1.0 - keep);
            [x, sum / mass]
        })
        .collect()
}
