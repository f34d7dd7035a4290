//! What is built in: a small world made by code, with a gold reward that is known exactly, and two
//! tiny decoders pretrained on its text.

mod gold;
mod lexicon;
mod topic;
mod topics_home;
mod topics_life;
pub mod world;

use std::path::PathBuf;

pub use world::gold_reward;

use crate::data::{FileReport, Label, Pair, Prompt, Side, Source};
use crate::model::ModelFiles;

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
