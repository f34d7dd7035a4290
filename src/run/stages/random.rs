//! Randomness of stages: a function of the seed and of a stream of its own.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Streams of randomness that belong to stages.
pub(super) mod stream {
    /// Order of the annotator's pairs.
    pub(crate) const ANNOTATOR: u64 = 1;
    /// Order of the SFT responses.
    pub(crate) const SFT: u64 = 2;
    /// Order of the policy's pairs.
    pub(crate) const POLICY: u64 = 3;
    /// Initial scalar head.
    pub(crate) const HEAD: u64 = 4;
    /// Labels of pairs that the annotator scores alike; 5 are the adapters.
    pub(crate) const TIES: u64 = 6;
    /// Pairs that a member of an ensemble learns from.
    pub(crate) const RESAMPLE: u64 = 7;
    /// Order of the responses that the annotator is fine-tuned on.
    pub(crate) const ANNOTATOR_SFT: u64 = 8;
    /// Pairs that are dissected, and their draws.
    pub(crate) const DISSECT: u64 = 9;
    /// Prompts of a round.
    pub(crate) const PROMPTS: u64 = 10;

    /// Pairs that a fairer question is looked for on, and what paraphrases are drawn by.
    pub(crate) const QUESTION: u64 = 20;

    /// The stream of one member of an ensemble, counted from 0.
    pub(crate) fn of_member(stream: u64, member: usize) -> u64 {
        stream + ((member as u64) << 8)
    }

    /// The stream of one round of a training, counted from 0.
    pub(crate) fn of_round(stream: u64, round: usize) -> u64 {
        of_member(stream, round)
    }
}

/// As many of `n` things as are `wanted`, or all of them, in their order.
pub(super) fn some(n: usize, wanted: usize, seed: u64, stream: u64) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    if wanted > 0 && wanted < n {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        all.shuffle(&mut rng);
        all.truncate(wanted);
        all.sort_unstable();
    }
    all
}

/// As many of `n` things, drawn with replacement (a bootstrap resample).
pub(super) fn resample(n: usize, seed: u64, stream: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    (0..n).map(|_| rng.random_range(0..n)).collect()
}

/// A standard normal number (Box–Muller).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let u: f64 = 1.0 - rng.random::<f64>();
    let v: f64 = rng.random();
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
