//! Labels that the policy learns from, and the pairs that have them.

use super::super::Recipe;
use super::prepared::Prepared;
use crate::batch::Ranked;
use crate::data::{Pair, Side};

/// A pair with a label for the policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Labelled {
    /// Index of the pair.
    pub(super) pair: usize,
    /// The preferred response.
    pub(super) chosen: Side,
    /// The annotator's margin d; unused for labels that are believed, as are its log-odds.
    pub(super) margin: f64,
    /// The calibrated log-odds z that it is right.
    pub(super) log_odds: f64,
    /// What multiplies the pair's weight.
    pub(super) weight: f64,
}

/// The labels that pairs come with, believed: of the unlabelled split, or of all training pairs where
/// the labelled split takes everything.
pub(super) fn believed(recipe: &Recipe, prepared: &Prepared) -> Vec<Labelled> {
    let label = |pair: usize| {
        let Pair { label, weight, .. } = &prepared.pairs[pair];
        let (chosen, weight) = (label.as_ref()?.preferred, f64::from(*weight));
        Some(Labelled { pair, chosen, margin: 0.0, log_odds: 0.0, weight })
    };
    for_policy(recipe, prepared).into_iter().filter_map(label).collect()
}

/// The pairs that the policy trains on: the unlabelled split, or all training pairs where the
/// labelled split takes everything and trains no annotator.
pub(super) fn for_policy(recipe: &Recipe, prepared: &Prepared) -> Vec<usize> {
    let split = &prepared.split;
    let mut indexes = split.unlabelled.clone();
    if !recipe.annotator.kind.reads().learns() && recipe.data.labelled >= 1.0 {
        indexes.extend(&split.labelled);
        indexes.sort_unstable();
    }
    indexes
}

/// Told apart by the human label; a pair without one as if the first were preferred.
pub(super) fn by_human<T>(pair: &Pair, sides: [T; 2]) -> Ranked<T> {
    Ranked::of(sides, pair.label.is_some_and(|label| label.preferred == Side::Second))
}

/// The mean, if there is anything to average.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0usize, 0.0), |(n, sum), v| (n + 1, sum + v));
    (count > 0).then(|| sum / count as f64)
}
