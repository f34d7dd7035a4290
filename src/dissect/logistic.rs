//! Logistic regression without intercept, with few coefficients other than 0.

/// Pairs as rows: by how much the first response of each has more of every property, `[N, P]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    values: Vec<f64>,
    width: usize,
}

impl Rows {
    /// Of rows as wide as the first; shorter ones are filled with zeros, of longer ones the rest is not seen.
    pub fn new(mut rows: Vec<Vec<f64>>) -> Self {
        let width = rows.first().map_or(0, Vec::len);
        rows.iter_mut().for_each(|row| row.resize(width, 0.0));
        Self { values: rows.concat(), width }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// P.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// The root mean square of each column, `[P]`: what a typical pair differs by, whichever response a label
    /// prefers.
    pub fn scales(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.width];
        for row in self.iter() {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * value);
        }
        sums.iter().map(|sum| (sum / self.len().max(1) as f64).sqrt()).collect()
    }

    /// Share of the rows in which each column is not 0, `[P]`.
    pub fn differing(&self) -> Vec<f64> {
        let mut counts = vec![0.0; self.width];
        for row in self.iter() {
            counts.iter_mut().zip(row).for_each(|(n, x)| *n += f64::from(u8::from(*x != 0.0)));
        }
        counts.iter().map(|count| count / self.len().max(1) as f64).collect()
    }

    /// Each column divided by its scale; columns of zeros stay so. Nothing is subtracted: which of the two
    /// responses is the first says nothing, so that 0 has to stay 0.
    #[must_use]
    pub fn standardised(mut self, scales: &[f64]) -> Self {
        for row in self.values.chunks_exact_mut(self.width.max(1)) {
            let pairs = row.iter_mut().zip(scales).filter(|(_, scale)| **scale > 0.0);
            pairs.for_each(|(value, scale)| *value /= scale);
        }
        self
    }
}

/// The minimum of Σ mᵢ log(1 + exp(−sᵢ xᵢ·w)) + λ Σ |wⱼ|.
///
/// It is the likeliest w under independent priors Laplace(0, b) with b = 1/λ, whose negative logarithm is
/// |wⱼ|/b; scikit-learn's `LogisticRegression(penalty="l1", fit_intercept=False)` divides the same sum by λ
/// and calls b its `C`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// w, `[P]`.
    pub weights: Vec<f64>,
    /// By how much the conditions of a minimum are missed at most: |gradient + λ sign w| where w is not 0,
    /// and what |gradient| exceeds λ by where it is. A convex function whose residual is 0 is at its minimum.
    pub residual: f64,
    /// Whether the residual is at most 1e-9 (λ + Σ mᵢ), which is what the slopes can amount to.
    pub converged: bool,
}

/// Newton steps at most; five are usual.
const STEPS: usize = 100;
/// Walks over the coefficients for one Newton step at most.
const WALKS: usize = 1000;
/// Halvings of a Newton step at most.
const HALVINGS: usize = 50;

/// Fit labels `signs` (1: the first response is preferred, −1: the second) of rows that count `times` each.
/// Newton's method, each of whose quadratic problems is solved coordinate by coordinate (Friedman, Hastie and
/// Tibshirani 2010; line search of Tseng and Yun 2009), from `start`.
///
/// Rows, signs and times have one length, and `start` has the rows' width; what exceeds another is not seen.
pub fn fit(rows: &Rows, signs: &[f64], times: &[f64], lambda: f64, start: &[f64]) -> Fit {
    let problem = Problem { rows, signs, times, lambda };
    let mut weights = start.to_vec();
    let tolerance = 1e-9 * (lambda + times.iter().sum::<f64>());
    for _ in 0..STEPS {
        let local = problem.at(&weights);
        if local.residual(&weights, lambda) <= tolerance {
            break;
        }
        let target = local.newton(&weights, lambda, 0.1 * tolerance);
        let Some(better) = problem.descend(&weights, target, &local) else { break };
        weights = better;
    }
    let residual = problem.at(&weights).residual(&weights, lambda);
    Fit { weights, residual, converged: residual <= tolerance }
}

struct Problem<'a> {
    rows: &'a Rows,
    signs: &'a [f64],
    times: &'a [f64],
    lambda: f64,
}

impl Problem<'_> {
    /// Rows that count, with sign and number.
    fn counted(&self) -> impl Iterator<Item = (&[f64], f64, f64)> {
        let all = self.rows.iter().zip(self.signs).zip(self.times);
        all.filter(|(_, times)| **times > 0.0).map(|((row, sign), times)| (row, *sign, *times))
    }

    fn value(&self, weights: &[f64]) -> f64 {
        let losses = self.counted().map(|(row, sign, times)| {
            let z = sign * dot(row, weights);
            times * ((-z).max(0.0) + (-z.abs()).exp().ln_1p())
        });
        losses.sum::<f64>() + self.lambda * norm(weights)
    }

    fn at(&self, weights: &[f64]) -> Local {
        let width = self.rows.width();
        let mut local = Local { gradient: vec![0.0; width], hessian: vec![0.0; width * width] };
        for (row, sign, times) in self.counted() {
            let wrong = 1.0 / (1.0 + (sign * dot(row, weights)).exp());
            let (slope, curve) = (-times * sign * wrong, times * wrong * (1.0 - wrong));
            local.gradient.iter_mut().zip(row).for_each(|(sum, x)| *sum += slope * x);
            for (i, line) in local.hessian.chunks_exact_mut(width).enumerate() {
                let factor = curve * row[i];
                if factor != 0.0 {
                    line[..=i].iter_mut().zip(row).for_each(|(sum, x)| *sum += factor * x);
                }
            }
        }
        for i in 0..width {
            for j in 0..i {
                local.hessian[j * width + i] = local.hessian[i * width + j];
            }
        }
        local
    }

    /// The first of the whole way to the target, half of it, a quarter, … that lowers the value by enough; `None`
    /// where rounding alone is left.
    fn descend(&self, weights: &[f64], target: Vec<f64>, local: &Local) -> Option<Vec<f64>> {
        let step: Vec<f64> = target.iter().zip(weights).map(|(to, from)| to - from).collect();
        let before = self.value(weights);
        let slope = dot(&local.gradient, &step) + self.lambda * (norm(&target) - norm(weights));
        let mut share = 1.0;
        // The target itself, and not what rounding makes of it: its zeros are zeros.
        let mut next = target.clone();
        for _ in 0..HALVINGS {
            let value = self.value(&next);
            if value <= before + 1e-4 * share * slope && value < before {
                return Some(next);
            }
            share /= 2.0;
            next = weights.iter().zip(&step).map(|(from, by)| from + share * by).collect();
        }
        // So near to the minimum that the value does not tell any more; the gradient still does.
        let residual = |at: &[f64]| self.at(at).residual(at, self.lambda);
        (residual(&target) < local.residual(weights, self.lambda)).then_some(target)
    }
}

/// First and second derivatives of the losses at a point.
struct Local {
    gradient: Vec<f64>,
    /// `[P, P]`, row by row.
    hessian: Vec<f64>,
}

impl Local {
    fn residual(&self, weights: &[f64], lambda: f64) -> f64 {
        let missed = self.gradient.iter().zip(weights).map(|(gradient, &weight)| {
            if weight == 0.0 {
                (gradient.abs() - lambda).max(0.0)
            } else {
                (gradient + lambda * weight.signum()).abs()
            }
        });
        missed.fold(0.0, f64::max)
    }

    /// The minimum of the quadratic approximation with the penalty.
    fn newton(&self, weights: &[f64], lambda: f64, tolerance: f64) -> Vec<f64> {
        let width = weights.len();
        let mut target = weights.to_vec();
        // The gradient of the approximation at the target.
        let mut gradient = self.gradient.clone();
        for _ in 0..WALKS {
            let mut farthest = 0.0_f64;
            for j in 0..width {
                let line = &self.hessian[j * width..][..width];
                let now = target[j];
                // What no pair differs in is nothing but its penalty.
                let next = if line[j] > 0.0 {
                    shrunk(line[j] * now - gradient[j], lambda) / line[j]
                } else {
                    0.0
                };
                let change = next - now;
                if change != 0.0 {
                    target[j] = next;
                    gradient.iter_mut().zip(line).for_each(|(g, h)| *g += change * h);
                    farthest = farthest.max(change.abs() * line[j]);
                }
            }
            if farthest <= tolerance {
                break;
            }
        }
        target
    }
}

/// Nearer to 0 by so much, and not beyond.
fn shrunk(value: f64, by: f64) -> f64 {
    let left = value.abs() - by;
    if left > 0.0 { left.copysign(value) } else { 0.0 }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(weights: &[f64]) -> f64 {
    weights.iter().map(|w| w.abs()).sum()
}
