//! One training loop and its users: the annotator, SFT, preference optimisation.

mod bradley_terry;
mod callback;
mod gradients;
mod metrics;
mod optimiser;
mod pass;
mod pending;
mod plan;
mod preference;
mod sampler;
mod selection;
mod settings;
mod sft;
mod task;
mod trainer;

pub use bradley_terry::BradleyTerryTask;
pub use callback::{Flow, NonFinite, TrainError, TrainerCallback};
pub use gradients::Gradients;
pub use metrics::{Finish, Metrics, PendingMetrics};
pub use optimiser::AdamW;
pub use pass::{OutputKind, Pass, PassSettings};
pub use plan::ExecutionPlan;
pub use preference::{
    MovingReference, PairSampling, PolicyPair, PreferenceTask, Threshold, WeightedMean,
};
pub use sampler::Sampler;
pub use selection::{difficulty, hardest};
pub use settings::{GradientCheckpointing, Schedule, Training};
pub use sft::{Distillation, SftTask};
pub use task::Task;
pub use trainer::{Ended, Start, train};
