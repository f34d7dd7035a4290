//! How often each of several annotators is right, where nobody knows what is: Dawid and Skene (1979), Maximum
//! likelihood estimation of observer error-rates using the EM algorithm.

use std::collections::HashMap;

use super::combine::sum_log_odds as sum;

/// What an annotator says of a pair: that its first response is better, that its second is, or nothing.
pub type Vote = Option<bool>;

/// EM stops where no accuracy moves by more than this.
const CLOSE: f64 = 1e-12;
/// Steps after which it stops in any case.
const STEPS: usize = 5000;

/// Annotators as coins that are right with probability a_k, each by itself, whichever response is better.
///
/// Which response stands first means nothing, so that both are as likely the better one, and an annotator errs
/// as often on either: the symmetric form of the model. a_k has the prior Beta(2, 2), which keeps an annotator
/// that always agrees with the rest from being certain (Laplace's rule of succession).
#[derive(Clone, Debug, PartialEq)]
pub struct DawidSkene {
    /// a_k of each annotator.
    pub accuracies: Vec<f64>,
    /// The logarithm of the posterior density, up to a constant, after each step; it never falls.
    pub course: Vec<f64>,
    /// Whether the last step moved no accuracy.
    pub converged: bool,
}

impl DawidSkene {
    /// The likeliest accuracies, by EM from the labels of the majority; one row of votes for each pair, all of
    /// the same length. `None` where nobody says anything.
    ///
    /// With all accuracies turned into 1 − a_k the votes are as likely: that most annotators are right more often
    /// than wrong is what the beginning supposes. Of two annotators only how often they agree is known, which
    /// fixes no accuracies; three are needed.
    pub fn fit(votes: &[Vec<Vote>]) -> Option<Self> {
        let patterns = patterns(votes);
        let annotators = patterns.iter().map(|(votes, _)| votes.len()).max()?;
        if patterns.iter().all(|(votes, _)| votes.iter().all(Option::is_none)) {
            return None;
        }
        let mut first: Vec<f64> = patterns.iter().map(|(votes, _)| majority(votes)).collect();
        let mut found = Self { accuracies: Vec::new(), course: Vec::new(), converged: false };
        while found.course.len() < STEPS && !found.converged {
            let before = std::mem::replace(
                &mut found.accuracies,
                (0..annotators).map(|k| accuracy(&patterns, &first, k)).collect(),
            );
            found.course.push(found.log_posterior(&patterns));
            let still = |(a, b): (&f64, &f64)| (a - b).abs() <= CLOSE;
            found.converged = !before.is_empty() && before.iter().zip(&found.accuracies).all(still);
            first = patterns.iter().map(|(votes, _)| sigmoid(found.log_odds(votes))).collect();
        }
        Some(found)
    }

    /// The log-odds that the first response of a pair is better, as these votes have it.
    pub fn log_odds(&self, votes: &[Vote]) -> f64 {
        let one = |(a, vote): (&f64, &Vote)| {
            let weight = (a / (1.0 - a)).ln();
            vote.map(|first| if first { weight } else { -weight })
        };
        let parts: Vec<f64> = self.accuracies.iter().zip(votes).filter_map(one).collect();
        sum(&parts)
    }

    fn log_posterior(&self, patterns: &[Pattern]) -> f64 {
        let likelihood = patterns.iter().map(|(votes, count)| {
            let chance = |first: bool| {
                let parts: Vec<f64> = self
                    .accuracies
                    .iter()
                    .zip(votes)
                    .filter_map(|(a, vote)| Some(if (*vote)? == first { *a } else { 1.0 - a }.ln()))
                    .collect();
                sum(&parts)
            };
            let (one, other) = (chance(true), chance(false));
            let (least, most) = (one.min(other), one.max(other));
            count * (most + (least - most).exp().ln_1p() - 2f64.ln())
        });
        let prior: Vec<f64> = self.accuracies.iter().map(|a| (a * (1.0 - a)).ln()).collect();
        likelihood.sum::<f64>() + sum(&prior)
    }
}

/// What is said of a pair, and of how many.
type Pattern = (Vec<Vote>, f64);

/// What is said, in the order in which it is said first, which no order of annotators changes.
fn patterns(votes: &[Vec<Vote>]) -> Vec<Pattern> {
    let mut places: HashMap<&[Vote], usize> = HashMap::new();
    let mut found: Vec<Pattern> = Vec::new();
    for row in votes {
        let place = *places.entry(row).or_insert_with(|| {
            found.push((row.clone(), 0.0));
            found.len() - 1
        });
        found[place].1 += 1.0;
    }
    found
}

/// The share of votes for the first response; ½ of none.
fn majority(votes: &[Vote]) -> f64 {
    let said = votes.iter().flatten().count();
    let first = votes.iter().flatten().filter(|first| **first).count();
    if said == 0 { 0.5 } else { first as f64 / said as f64 }
}

/// The likeliest a_k, where the first response of each pattern is better with these probabilities.
fn accuracy(patterns: &[Pattern], first: &[f64], annotator: usize) -> f64 {
    let (mut right, mut all) = (1.0, 2.0);
    for ((votes, count), p) in patterns.iter().zip(first) {
        if let Some(Some(vote)) = votes.get(annotator) {
            right += count * if *vote { *p } else { 1.0 - p };
            all += count;
        }
    }
    right / all
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}
