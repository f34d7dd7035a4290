//! Confidence as a weight against confidence as a chance of being drawn: steps and seconds to the
//! same held-out margin.
//!
//!     cargo bench --bench sampling -- RUN [--seeds N] [--epochs N] [--every N] [--device cpu]
//!
//! RUN is a finished run's folder: its annotations and its reference are trained on again, with the
//! settings of its recipe, once for each seed and each way. The held-out margin is the mean of
//! β(Δw − Δl) over the run's held-out pairs by their human labels. The margin to be reached is the
//! smaller one of the two ways' best means over the seeds; ways are compared by the first look at
//! which a seed is there.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;
use confide::annotate::all_log_probs;
use confide::batch::{Ranked, Sequence};
use confide::data::{AnnotatedPair, Prompt, read_annotations};
use confide::model::{Decoder, ModelError, load, load_named, take_tensors};
use confide::run::{Recipe, find_model};
use confide::text::{Encoder, Tokenizer};
use confide::train::{
    AdamW, ExecutionPlan, Flow, Metrics, PairSampling, PolicyPair, PreferenceTask, Sampler, Start,
    Task, TrainError, TrainerCallback, Training, WeightedMean, train,
};

#[path = "shared.rs"]
mod shared;

struct Material {
    recipe: Recipe,
    reference: Decoder,
    pad: u32,
    trained: Vec<PolicyPair>,
    held_out: Vec<PolicyPair>,
}

/// Chosen and rejected in the policy's tokens, if both fit.
fn sides(
    encoder: &Encoder,
    pair: &AnnotatedPair,
    second: bool,
    max_length: usize,
) -> Option<Ranked<Sequence>> {
    let prompt = Prompt::Text(pair.prompt.clone());
    let side = |i: usize| encoder.sequence(&prompt, &pair.responses[i]).ok();
    let (chosen, rejected) = (side(usize::from(second))?, side(usize::from(!second))?);
    let fits = chosen.len() <= max_length && rejected.len() <= max_length;
    (fits && chosen != rejected).then_some(Ranked { chosen, rejected })
}

fn material(run: &Path, device: &Device) -> Material {
    let recipe = Recipe::load(&run.join("recipe.toml"), &[]).expect("the run's recipe");
    let files = find_model(&recipe.policy.model).expect("the policy's model");
    let mut reference = load(&files, device).expect("a model").decoder;
    let tuned = run.join("checkpoints/reference.safetensors");
    if tuned.exists() {
        reference = take_tensors(reference, load_named(&tuned).expect("the reference"));
    }
    let tokenizer = Tokenizer::load(&files).expect("a tokenizer");
    let pad = tokenizer.pad;
    let encoder = Encoder::plain(tokenizer);
    let annotated = read_annotations(&run.join("annotations.parquet")).expect("annotations");
    let (mut trained, mut held_out) = (Vec::new(), Vec::new());
    for pair in &annotated {
        let of = |second, margin| {
            let sides = sides(&encoder, pair, second, recipe.data.max_length)?;
            Some(PolicyPair { sides, reference: Ranked::default(), margin, mismatched: None })
        };
        if pair.split == "held_out" {
            held_out.extend(pair.human.and_then(|side| of(side.index() == 1, 0.0)));
        } else {
            trained.extend(of(pair.label.index() == 1, pair.margin));
        }
    }
    for pairs in [&mut trained, &mut held_out] {
        let found = log_probs(&reference, pairs, pad);
        pairs.iter_mut().zip(found).for_each(|(pair, found)| pair.reference = found);
    }
    Material { recipe, reference, pad, trained, held_out }
}

fn log_probs(model: &Decoder, pairs: &[PolicyPair], pad: u32) -> Vec<Ranked<f64>> {
    let all: Vec<&Sequence> = pairs.iter().flat_map(|pair| pair.sides.each()).collect();
    let found = all_log_probs(model, &all, pad, 64, &mut |_| Ok::<(), ModelError>(()));
    let found = found.expect("numbers");
    let pairs = found.as_chunks::<2>().0.iter();
    pairs.map(|both| Ranked::of(both.map(f64::from), false)).collect()
}

/// Looks at the held-out margin now and then; its own time is not counted.
struct Look<'a> {
    material: &'a Material,
    every: u64,
    begun: Instant,
    looking: f64,
    /// (steps, seconds, margin)
    seen: Vec<(u64, f64, f64)>,
}

impl TrainerCallback for Look<'_> {
    fn before_step(&mut self) -> Flow {
        Flow::Go
    }
    fn after_step(&mut self, _: u64, _: u64, _: &Metrics) {}
    fn wants_checkpoint(&mut self, step: u64, total: u64) -> bool {
        step.is_multiple_of(self.every) || step == total
    }
    fn checkpoint(
        &mut self,
        step: u64,
        model: &Decoder,
        _: &AdamW,
        _: &dyn Task,
    ) -> Result<(), TrainError> {
        let seconds = self.begun.elapsed().as_secs_f64() - self.looking;
        let Material { recipe, pad, held_out, .. } = self.material;
        let found = log_probs(model, held_out, *pad);
        let margins = held_out.iter().zip(found).map(|(pair, found)| {
            let chosen = found.chosen - pair.reference.chosen;
            recipe.policy.beta * (chosen - (found.rejected - pair.reference.rejected))
        });
        self.seen.push((step, seconds, margins.sum::<f64>() / held_out.len() as f64));
        self.looking = self.begun.elapsed().as_secs_f64() - seconds;
        Ok(())
    }
    fn warn(&mut self, _: String) {}
}

fn learn(
    material: &Material,
    sampling: PairSampling,
    seed: u64,
    epochs: f64,
    every: u64,
) -> Vec<(u64, f64, f64)> {
    let recipe = &material.recipe;
    let p = &recipe.policy;
    let training = Training { epochs, steps: 0, ..p.training.clone() };
    let preference = p.preference();
    let weighting = Some(recipe.confidence.clone());
    let pairs = material.trained.clone();
    let order = Sampler::new(pairs.len(), &training, true, seed, 3);
    let mut task =
        PreferenceTask::new(pairs, material.pad, preference, WeightedMean::Pairs, weighting)
            .with_sampling(sampling);
    let optimiser = AdamW::new(training.weight_decay);
    let start = Start::fresh(material.reference.clone(), optimiser, ExecutionPlan::default());
    let mut look = Look { material, every, begun: Instant::now(), looking: 0.0, seen: Vec::new() };
    train(start, &mut task, order, &training, &mut look).expect("training");
    look.seen
}

fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, variance.sqrt())
}

fn main() {
    confide::allocator::keep_freed_memory();
    let words = shared::words();
    let option = |name: &str, default: u64| shared::option(&words, name, default);
    let run = PathBuf::from(words.first().expect("the folder of a run"));
    let (seeds, every) = (option("--seeds", 5), option("--every", 5));
    let device = shared::device(&shared::option(&words, "--device", "cpu".to_owned()));
    let material = material(&run, &device);
    let epochs = option("--epochs", 2) as f64;
    println!(
        "{} pairs to train on, {} held out, {seeds} seeds, {epochs} epochs",
        material.trained.len(),
        material.held_out.len()
    );
    let ways = [("weight", PairSampling::Every), ("proportional", PairSampling::Proportional)];
    let found = ways.map(|(_, sampling)| -> Vec<_> {
        (0..seeds).map(|seed| learn(&material, sampling, seed, epochs, every)).collect()
    });
    let best = |runs: &Vec<Vec<(u64, f64, f64)>>| {
        let best_of =
            |seen: &Vec<(u64, f64, f64)>| seen.iter().map(|s| s.2).fold(f64::MIN, f64::max);
        mean(&runs.iter().map(best_of).collect::<Vec<_>>()).0
    };
    for share in [0.5, 0.9] {
        let aim = share * best(&found[0]).min(best(&found[1]));
        for ((name, _), runs) in ways.iter().zip(&found) {
            let reached: Vec<(u64, f64)> = runs
                .iter()
                .filter_map(|seen| seen.iter().find(|s| s.2 >= aim).map(|s| (s.0, s.1)))
                .collect();
            let steps = mean(&reached.iter().map(|r| r.0 as f64).collect::<Vec<_>>());
            let seconds = mean(&reached.iter().map(|r| r.1).collect::<Vec<_>>());
            println!(
                "held-out margin {aim:.4}, {name:<12}: {} of {seeds} seeds there, {:.1} ± {:.1} steps, {:.1} ± {:.1} s",
                reached.len(),
                steps.0,
                steps.1,
                seconds.0,
                seconds.1
            );
        }
    }
    for ((name, _), runs) in ways.iter().zip(&found) {
        let last: Vec<f64> = runs.iter().filter_map(|seen| seen.last().map(|s| s.2)).collect();
        let (margin, deviation) = mean(&last);
        println!("at the end, {name:<12}: held-out margin {margin:.4} ± {deviation:.4}");
    }
}
