//! One training loop and its users: the annotator, SFT, preference optimisation.

mod bradley_terry;
mod callback;
mod gradients;
mod metrics;
mod optimiser;
mod order;
mod pass;
mod plan;
mod preference;
mod settings;
mod sft;
mod task;
mod telling;
mod trainer;

pub use bradley_terry::BradleyTerryTask;
pub use callback::{Flow, NonFinite, Observer, TrainError};
pub use gradients::Gradients;
pub use metrics::{Finish, Metrics, Unread};
pub use optimiser::AdamW;
pub use order::Order;
pub use pass::{Pass, PassSettings, Readout};
pub use plan::Plan;
pub use preference::{PairSampling, PolicyPair, PreferenceTask, Threshold, WeightedMean};
pub use settings::{Recompute, Schedule, Training};
pub use sft::SftTask;
pub use task::Task;
pub use trainer::{Ended, Start, train};
