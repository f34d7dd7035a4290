//! A gate that learns when to trust an annotator (selective guidance, arXiv 2512.21526): a logistic regression of
//! whether its labels are right on what is known of a pair.

use serde::{Deserialize, Serialize};

/// What a gate makes of one number that is known of a pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateFeature {
    /// What the number is.
    pub name: String,
    /// Its mean over the pairs that the gate was fitted on.
    pub mean: f64,
    /// Its standard deviation there; 1 where it never differs.
    pub scale: f64,
    /// How much the log-odds rise with one standard deviation.
    pub coefficient: f64,
}

/// The log-odds that a label is right, as a linear function of what is known of its pair.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// What is known.
    pub features: Vec<GateFeature>,
    /// Log-odds of the average pair.
    pub intercept: f64,
}

/// The penalty ½ Σ coefficient² of standardised coefficients, as scikit-learn has it by default (`C = 1`); the
/// intercept is free.
const RIDGE: f64 = 1.0;
/// Newton steps, of which a convex function of a dozen variables needs few.
const STEPS: usize = 100;
/// A step smaller than this is none.
const CLOSE: f64 = 1e-10;

impl Gate {
    /// Fit it by maximum penalised likelihood (Newton's method) on rows of `names.len()` numbers and whether each
    /// row's label is right; `None` for no rows.
    pub fn fit(names: &[&str], rows: &[Vec<f64>], right: &[bool]) -> Option<Self> {
        if rows.is_empty() {
            return None;
        }
        let (count, width) = (rows.len() as f64, names.len());
        let column = |i: usize| rows.iter().map(move |row| row.get(i).copied().unwrap_or_default());
        let mut features: Vec<GateFeature> = Vec::with_capacity(width);
        for (i, name) in names.iter().enumerate() {
            let mean = column(i).sum::<f64>() / count;
            let variance = column(i).map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            let scale = if variance > 0.0 { variance.sqrt() } else { 1.0 };
            features.push(GateFeature { name: (*name).to_owned(), mean, scale, coefficient: 0.0 });
        }
        let standard: Vec<Vec<f64>> = rows
            .iter()
            .map(|row| {
                let one = |(feature, x): (&GateFeature, &f64)| (x - feature.mean) / feature.scale;
                std::iter::once(1.0).chain(features.iter().zip(row).map(one)).collect()
            })
            .collect();
        let found = newton(&standard, right, width + 1);
        let (intercept, coefficients) = found.split_first()?;
        features.iter_mut().zip(coefficients).for_each(|(f, c)| f.coefficient = *c);
        Some(Self { features, intercept: *intercept })
    }

    /// The log-odds that the label of a pair of which this is known is right.
    pub fn log_odds(&self, row: &[f64]) -> f64 {
        let parts = self.features.iter().zip(row);
        self.intercept + parts.map(|(f, x)| f.coefficient * (x - f.mean) / f.scale).sum::<f64>()
    }

    /// The log-odds of each row by a gate that was fitted on other rows: `folds` parts, each judged by the gate
    /// of the rest (cross-fitting).
    pub fn cross_fitted(
        names: &[&str],
        rows: &[Vec<f64>],
        right: &[bool],
        folds: usize,
    ) -> Vec<f64> {
        let folds = folds.max(2);
        let gate_without = |fold: usize| {
            let kept = |i: &usize| i % folds != fold;
            let (others, labels): (Vec<Vec<f64>>, Vec<bool>) =
                (0..rows.len()).filter(kept).map(|i| (rows[i].clone(), right[i])).unzip();
            Self::fit(names, &others, &labels).unwrap_or_default()
        };
        let gates: Vec<Self> = (0..folds).map(gate_without).collect();
        rows.iter().enumerate().map(|(i, row)| gates[i % folds].log_odds(row)).collect()
    }
}

/// The intercept and the coefficients that are likeliest; each row begins with a 1.
fn newton(rows: &[Vec<f64>], right: &[bool], width: usize) -> Vec<f64> {
    let mut w = vec![0.0; width];
    for _ in 0..STEPS {
        let mut gradient = vec![0.0; width];
        let mut hessian = vec![vec![0.0; width]; width];
        for (row, right) in rows.iter().zip(right) {
            let z: f64 = row.iter().zip(&w).map(|(x, w)| x * w).sum();
            let p = 1.0 / (1.0 + (-z).exp());
            let error = p - f64::from(u8::from(*right));
            // Where a label is all but certain the curvature vanishes, and a step would have no end.
            let curvature = (p * (1.0 - p)).max(1e-9);
            for (i, x) in row.iter().enumerate() {
                gradient[i] += error * x;
                for (h, y) in hessian[i].iter_mut().zip(row) {
                    *h += curvature * x * y;
                }
            }
        }
        for i in 1..width {
            gradient[i] += RIDGE * w[i];
            hessian[i][i] += RIDGE;
        }
        // The intercept has no penalty: labels that are all right would lead it away for ever.
        hessian[0][0] += 1e-6;
        gradient[0] += 1e-6 * w[0];
        let step = solve(hessian, gradient);
        w.iter_mut().zip(&step).for_each(|(w, step)| *w -= step);
        if step.iter().all(|step| step.abs() < CLOSE) {
            break;
        }
    }
    w
}

/// x of Ax = b for a symmetric, positive A (Gaussian elimination with the largest pivot).
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for column in 0..n {
        let larger = |i: &usize, j: &usize| a[*i][column].abs().total_cmp(&a[*j][column].abs());
        let pivot = (column..n).max_by(larger).unwrap_or(column);
        a.swap(column, pivot);
        b.swap(column, pivot);
        let own = a[column].clone();
        if own[column] == 0.0 {
            continue;
        }
        for row in column + 1..n {
            let factor = a[row][column] / own[column];
            a[row].iter_mut().zip(&own).for_each(|(x, own)| *x -= factor * own);
            b[row] -= factor * b[column];
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|i| a[row][i] * b[i]).sum();
        b[row] = if a[row][row] == 0.0 { 0.0 } else { (b[row] - known) / a[row][row] };
    }
    b
}
