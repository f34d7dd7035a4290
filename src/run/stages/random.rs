//! Randomness of stages: a function of the seed and of a stream of its own.

use rand::RngExt;
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
}

/// A standard normal number (Box–Muller).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let u: f64 = 1.0 - rng.random::<f64>();
    let v: f64 = rng.random();
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
