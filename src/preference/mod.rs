//! The paper's formulas as pure functions: confidence, weighting, objectives and
//! calibration. No files, no threads, no state.

mod bradley_terry;
mod calibration;
mod confidence;
mod divergence;
mod objectives;
mod weightings;

pub use bradley_terry::bradley_terry;
pub use calibration::{BINS, Bin, Calibration, SelectivePoint, calibration, selective_curve};
pub use confidence::{Weighting, confidence, effective_sample_size};
pub use divergence::Divergence;
pub use objectives::{
    Admits, MismatchedLogProbs, Mixture, Needs, OBJECTIVES, Objective, PairLogProbs, Preference,
    PromptLogProbs, Recent, ResponseLogProb, joint_reference,
};
pub use weightings::{SCHEMES, Scheme};
