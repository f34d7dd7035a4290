//! One training loop and its users: the annotator, SFT, preference optimisation.

mod bradley_terry;
mod metrics;
mod optimiser;
mod order;
mod preference;
mod settings;
mod sft;
mod trainer;

pub use bradley_terry::BradleyTerryTask;
pub use metrics::Metrics;
pub use optimiser::{AdamW, Gradients};
pub use order::Order;
pub use preference::{PolicyPair, PreferenceTask, WeightedMean};
pub use settings::{Schedule, Training};
pub use sft::SftTask;
pub use trainer::{Ended, Flow, Observer, Start, Task, TrainError, train};
