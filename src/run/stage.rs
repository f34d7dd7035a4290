//! The stages of a run.

use serde::{Deserialize, Serialize};

/// The stages of a run, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Read, split and tokenise.
    Data,
    /// Train the annotator on the labelled split.
    Annotator,
    /// Score the unlabelled and held-out splits.
    Confidence,
    /// Fine-tune the policy on the chosen responses.
    Sft,
    /// Log-probabilities of the frozen reference.
    Reference,
    /// Preference optimisation.
    Policy,
    /// Measure on the held-out split.
    Evaluate,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 7] = [
        Self::Data,
        Self::Annotator,
        Self::Confidence,
        Self::Sft,
        Self::Reference,
        Self::Policy,
        Self::Evaluate,
    ];

    /// The name, as events spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Annotator => "annotator",
            Self::Confidence => "confidence",
            Self::Sft => "sft",
            Self::Reference => "reference",
            Self::Policy => "policy",
            Self::Evaluate => "evaluate",
        }
    }
}
