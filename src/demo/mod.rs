//! The built-in demonstration: a small world made by code, with a gold reward that is known
//! exactly, and two tiny decoders pretrained on its text.

mod gold;
mod lexicon;
mod pretrain;
mod topics_home;
mod topics_life;
pub mod world;

use std::path::PathBuf;

pub use pretrain::{PRETRAIN_STEPS, pretrain};
pub use world::gold_reward;

use serde_json::Value;

use crate::data::{FileReport, Label, Pair, Prompt, Side, Source};
use crate::model::ModelFiles;
use crate::run::{
    AnnotatorSettings, DataSettings, EvaluateSettings, PolicySettings, Recipe, SftSettings,
};
use crate::train::{Schedule, Training};

/// Pairs of the demonstration.
const PAIRS: usize = 3000;

macro_rules! model_files {
    ($folder:literal) => {
        &[
            ("config.json", include_bytes!(concat!("../../assets/", $folder, "/config.json"))),
            (
                "model.safetensors",
                include_bytes!(concat!("../../assets/", $folder, "/model.safetensors")),
            ),
            (
                "tokenizer.json",
                include_bytes!(concat!("../../assets/", $folder, "/tokenizer.json")),
            ),
            (
                "tokenizer_config.json",
                include_bytes!(concat!("../../assets/", $folder, "/tokenizer_config.json")),
            ),
        ]
    };
}

static WEAK: &[(&str, &[u8])] = model_files!("weak");
static STRONG: &[(&str, &[u8])] = model_files!("strong");

/// A model that is compiled in: `weak` or `strong`.
pub fn model(name: &str) -> Option<ModelFiles> {
    match name {
        "weak" => Some(ModelFiles::built_in("builtin:weak", WEAK)),
        "strong" => Some(ModelFiles::built_in("builtin:strong", STRONG)),
        _ => None,
    }
}

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

/// Pairs that are built in: `demo`, with human labels drawn from the gold reward with noise.
pub fn pairs(name: &str, seed: u64) -> Option<(Vec<Pair>, FileReport)> {
    if name != "demo" {
        return None;
    }
    let world = world::pairs(PAIRS, seed, world::DEFAULT_NOISE);
    let pairs: Vec<Pair> = world
        .into_iter()
        .enumerate()
        .map(|(i, pair)| Pair {
            prompt: Prompt::Text(pair.prompt),
            responses: pair.responses,
            label: Some(Label::certain(if pair.human_prefers_second {
                Side::Second
            } else {
                Side::First
            })),
            weight: 1.0,
            source: Source { file: 0, line: i as u64 + 1 },
        })
        .collect();
    let report = FileReport {
        path: PathBuf::from("builtin:demo"),
        format: "built-in demonstration, two candidates with a noisy human label".to_owned(),
        pairs: pairs.len(),
        ..FileReport::default()
    };
    Some((pairs, report))
}

/// Prompts that no pair of the demonstration is made from on purpose, for sampling.
pub fn held_out_prompts(count: usize, seed: u64) -> Vec<String> {
    world::prompts(count, seed.wrapping_add(0x5eed))
}
