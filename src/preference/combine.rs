//! What several annotators say of a pair, as one.

use serde::{Deserialize, Serialize};

/// How several annotators become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    /// Not at all: one labels.
    #[default]
    None,
    /// The mean of their log-odds: a logarithmic opinion pool.
    Mean,
    /// Dawid and Skene's model: each one's label counts by how often it is estimated to be right.
    DawidSkene,
    /// The sum of their log-odds: a product of experts (Hinton 2002).
    Product,
}

/// z = Σ z_k, the log-odds of a product of experts that know nothing of each other; 0 of none. In whatever order
/// they and the responses stand, it is the same to the last bit, but for its sign.
pub fn sum_log_odds(log_odds: &[f64]) -> f64 {
    let side = |sign: f64| {
        let mut those: Vec<f64> = log_odds.iter().map(|z| sign * z).filter(|z| *z > 0.0).collect();
        those.sort_by(f64::total_cmp);
        those.into_iter().sum::<f64>()
    };
    side(1.0) - side(-1.0)
}

/// z = (1/K) Σ z_k, whose probability is the geometric mean of theirs, made to sum to 1; 0 of none.
pub fn mean_log_odds(log_odds: &[f64]) -> f64 {
    sum_log_odds(log_odds) / log_odds.len().max(1) as f64
}

/// How far annotators disagree on a pair: the variance of p_k = σ(z_k), divided by their number, from 0 to ¼.
pub fn disagreement(log_odds: &[f64]) -> f64 {
    let mut p: Vec<f64> = log_odds.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect();
    p.sort_by(f64::total_cmp);
    let n = p.len().max(1) as f64;
    let middle = p.iter().sum::<f64>() / n;
    p.iter().map(|p| (p - middle).powi(2)).sum::<f64>() / n
}
