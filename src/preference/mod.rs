//! The paper's formulas as pure functions: confidence, weighting, objectives and
//! calibration. No files, no threads, no state.

mod bradley_terry;
mod calibration;
mod calibrator;
mod combine;
mod confidence;
mod dawid_skene;
mod divergence;
mod expression;
mod gate;
mod judged;
mod objectives;
mod selective;
mod tournament;
mod weight;
mod weightings;

pub use bradley_terry::bradley_terry;
pub use calibration::{BINS, Bin, Calibration, calibration};
pub use calibrator::{Calibrator, Doubt, FEW, Fitted, Isotonic};
pub use combine::{Combine, disagreement, mean_log_odds, sum_log_odds};
pub use confidence::{
    CalibrationMethod, Temperature, Weighting, confidence, effective_sample_size,
};
pub use dawid_skene::{DawidSkene, Vote};
pub use divergence::Divergence;
pub use expression::Expression;
pub use gate::{Gate, GateFeature};
pub use judged::{Judged, Said, TRUST};
pub use objectives::{
    Admits, MismatchedLogProbs, Mixture, Needs, OBJECTIVES, Objective, PairLogProbs, Preference,
    PromptLogProbs, Recent, ResponseLogProb, joint_reference,
};
pub use selective::{
    AurcDifference, SelectivePoint, aurc, aurc_difference, aurc_difference_over, selective_curve,
};
pub use tournament::{Comparison, strengths};
pub use weight::Weight;
pub use weightings::{SCHEMES, Scheme};
