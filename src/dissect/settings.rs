//! What a person may choose about it.

use crate::settings::{Limits, settings};

settings! {
    /// What people and the annotator reward, of what can be counted in a response.
    pub struct DissectSettings {
        /// Most pairs to compare, drawn by the seed from those that the annotator labelled; 0 leaves the comparison out. Nearly 40 properties of the responses are counted (length, formatting, hedging, apologies, overlap with the prompt, …) and a sparse logistic regression tells which of them the labels follow, people's and the annotator's side by side. Word lists are English; of other languages it counts length, formatting, repetition, overlap and the like.
        pub pairs: usize = 5000 => { title: "Compare at most", unit: "pairs", zero: "none" },
        /// Draws of the pairs, prompt by prompt and with replacement, that the 95 % intervals come from.
        pub resamples: usize = 200 => {
            limits: Limits::at_least(200.0, "at least 200"),
            advanced: true,
        },
        /// The b of the Laplace(0, b) prior on each coefficient, 0.1 as in the paper: the smaller, the more properties are left out. The same as scikit-learn's C for an L1 penalty.
        pub prior_scale: f64 = 0.1 => { limits: Limits::POSITIVE, advanced: true },
    }
}
