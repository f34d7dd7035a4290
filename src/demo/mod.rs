//! The demonstration: its recipe, and how its models are made.

mod pretrain;

pub use pretrain::{PRETRAIN_STEPS, pretrain};

use serde_json::Value;

use crate::run::{
    AnnotatorSettings, DataSettings, EvaluateSettings, PolicySettings, Recipe, SftSettings,
};
use crate::train::{Schedule, Training};

/// The demonstration's recipe.
pub fn recipe() -> Recipe {
    let defaults = Recipe::default();
    Recipe {
        name: "demo".to_owned(),
        data: DataSettings {
            files: vec!["builtin:demo".to_owned()],
            labelled: 0.35,
            held_out: 0.1,
            max_length: 192,
            ..DataSettings::default()
        },
        annotator: AnnotatorSettings {
            model: "builtin:weak".to_owned(),
            training: Training {
                epochs: 3.0,
                learning_rate: 5e-4,
                batch_size: 16,
                schedule: Schedule::Cosine,
                warmup_steps: 5,
                weight_decay: 0.01,
                ..defaults.annotator.training
            },
            ..defaults.annotator
        },
        sft: SftSettings {
            training: Training {
                epochs: 0.5,
                learning_rate: 3e-4,
                batch_size: 16,
                accumulate: 1,
                warmup_steps: 4,
                ..defaults.sft.training
            },
            ..defaults.sft
        },
        policy: PolicySettings {
            model: "builtin:strong".to_owned(),
            beta: 0.5,
            training: Training {
                epochs: 1.0,
                learning_rate: 5e-5,
                batch_size: 16,
                accumulate: 1,
                warmup_steps: 10,
                ..defaults.policy.training
            },
            ..defaults.policy
        },
        evaluate: EvaluateSettings { samples: 192, ..EvaluateSettings::default() },
        ..defaults
    }
}

/// A recipe for data of one's own: what it still has of the demonstration, its tiny models and the
/// settings that suit them, goes back to the defaults.
pub fn without(changed: &Recipe) -> Recipe {
    /// Leaves of `changed` that are the demonstration's become the default's.
    fn lay(changed: Value, demo: &Value, default: &Value) -> Value {
        match changed {
            Value::Object(fields) => {
                let lay = |(key, value): (String, Value)| {
                    let value = lay(value, &demo[&key], &default[&key]);
                    (key, value)
                };
                Value::Object(fields.into_iter().map(lay).collect())
            }
            same if same == *demo => default.clone(),
            own => own,
        }
    }
    let as_value = |recipe: &Recipe| serde_json::to_value(recipe).unwrap_or_default();
    let [changed_value, demo, default] = [changed, &recipe(), &Recipe::default()].map(as_value);
    let laid = serde_json::from_value(lay(changed_value, &demo, &default));
    laid.unwrap_or_else(|_| changed.clone())
}
