//! The paper's formulas as pure functions: confidence, weighting, objectives and
//! calibration. No files, no threads, no state.

mod calibration;
mod confidence;
mod objective;

pub use calibration::{BINS, Bin, Calibration, SelectivePoint, calibration, selective_curve};
pub use confidence::{Scheme, Weighting, confidence, effective_sample_size};
pub use objective::{LogRatios, Objective, Preference, bradley_terry};
