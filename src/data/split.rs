//! Which pairs train the annotator, which the policy, and which measure.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::pair::Pair;

/// How to split a pool.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitSettings {
    /// Share of the pairs with a human label, less the held-out ones, that keep it and train
    /// the annotator, from 0 to 1. The labels of the rest are hidden.
    pub labelled: f64,
    /// Share of the pairs with a human label that are kept for evaluation, from 0 to 1.
    pub held_out: f64,
    /// Share of the labelled pairs that calibrate the annotator and do not train it, from 0 to 1.
    pub calibration: f64,
    /// Another seed draws other prompts.
    pub seed: u64,
}

/// The parts of a pool: indexes of pairs, each ascending. Every pair is in exactly one part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Pairs whose human labels train the annotator.
    pub labelled: Vec<usize>,
    /// Pairs whose human labels say how far the annotator's confidence is to be trusted.
    #[serde(default)]
    pub calibration: Vec<usize>,
    /// Pairs that the annotator labels for the policy.
    pub unlabelled: Vec<usize>,
    /// Pairs with human labels, kept for evaluation.
    pub held_out: Vec<usize>,
    /// Pairs without a human label whose prompts are held out: they can neither measure nor
    /// be trained on.
    pub left_out: Vec<usize>,
}

/// Split by prompt: all pairs of one prompt go to one part.
///
/// Shares count pairs with a human label, and are met as closely as whole prompts allow.
/// A pair without one is never labelled or held out: beside a labelled prompt it is
/// unlabelled, beside a held-out prompt left out. The same prompts with the same seed give
/// the same parts, in whatever order the pairs stand; the held-out part does not depend on
/// the labelled share, and neither it nor the unlabelled one on the calibration share.
pub fn split(pairs: &[Pair], settings: &SplitSettings) -> Split {
    let keys: Vec<_> = pairs.par_iter().map(|pair| pair.prompt.key()).collect();
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, key) in keys.into_iter().enumerate() {
        groups.entry(key).or_default().push(index);
    }
    let has_label = |index: &usize| pairs[*index].label.is_some();
    let (mut judged, unjudged): (Vec<_>, Vec<_>) =
        groups.into_values().partition(|group| group.iter().any(has_label));
    judged.shuffle(&mut ChaCha8Rng::seed_from_u64(settings.seed));

    let labels = |group: &Vec<usize>| group.iter().filter(|index| has_label(index)).count();
    let (held_out, rest) = take_share(judged, settings.held_out, labels);
    let (labelled, rest) = take_share(rest, settings.labelled, labels);
    let (calibration, labelled) = take_share(labelled, settings.calibration, labels);

    let part = |groups: Vec<Vec<usize>>| groups.into_iter().flatten().partition(has_label);
    let mut split = Split::default();
    (split.held_out, split.left_out) = part(held_out);
    (split.labelled, split.unlabelled) = part(labelled);
    let unlabelled: Vec<usize>;
    (split.calibration, unlabelled) = part(calibration);
    split.unlabelled.extend(unlabelled);
    split.unlabelled.extend(rest.into_iter().chain(unjudged).flatten());
    let Split { labelled, calibration, unlabelled, held_out, left_out } = &mut split;
    for part in [labelled, calibration, unlabelled, held_out, left_out] {
        part.sort_unstable();
    }
    split
}

type Groups = Vec<Vec<usize>>;

/// Take groups, in order, wherever one brings the size taken closer to its share.
fn take_share(groups: Groups, share: f64, size: impl Fn(&Vec<usize>) -> usize) -> (Groups, Groups) {
    let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
    let wanted = share * groups.iter().map(&size).sum::<usize>() as f64;
    let mut taken = 0;
    groups.into_iter().partition(|group| {
        let size = size(group);
        let closer = taken as f64 + size as f64 / 2.0 <= wanted;
        taken += if closer { size } else { 0 };
        closer
    })
}
