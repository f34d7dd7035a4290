//! Peak memory and time of preference steps on a model folder:
//! `cargo bench --bench memory -- MODEL [--pairs 4] [--length 512] [--lora 8] [--precision f32]
//! [--recompute always] [--micro 0] [--steps 2] [--device cpu]`.
//!
//! Pairs are random tokens of exactly that length, a quarter of it prompt. Prints seconds a step
//! and, at each stage, the memory of the process (CPU) or of the device's pools (GPU).
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::time::Instant;

use burn::tensor::Device;
use confide::annotate::response_log_probs;
use confide::batch::Sequence;
use confide::model::{Checkpoint, Precision, Reading, load_as};
use confide::preference::Preference;
use confide::run::find_model;
use confide::train::{
    AdamW, Ended, ExecutionPlan, PolicyPair, PreferenceTask, Sampler, Start, Training,
    WeightedMean, train,
};

#[path = "shared.rs"]
mod shared;
use shared::{Silent, memory, pair, with_lora};

struct Options {
    model: String,
    pairs: usize,
    length: usize,
    lora: usize,
    precision: Precision,
    plan: ExecutionPlan,
    steps: usize,
    device: String,
}

fn options() -> Options {
    let mut options = Options {
        model: "builtin:strong".to_owned(),
        pairs: 4,
        length: 512,
        lora: 8,
        precision: Precision::F32,
        plan: ExecutionPlan { recompute: true, ..ExecutionPlan::default() },
        steps: 2,
        device: "cpu".to_owned(),
    };
    let mut words = shared::words().into_iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().expect("a value");
        match word.as_str() {
            "--pairs" => options.pairs = value().parse().expect("a number"),
            "--length" => options.length = value().parse().expect("a number"),
            "--lora" => options.lora = value().parse().expect("a number"),
            "--steps" => options.steps = value().parse().expect("a number"),
            "--micro" => options.plan.micro_batch = value().parse().expect("a number"),
            "--recompute" => options.plan.recompute = value() == "always",
            "--device" => options.device = value(),
            "--precision" => {
                let wanted = value();
                let all = Precision::ALL.into_iter();
                options.precision = all.into_iter().find(|p| p.name() == wanted).expect("a type");
            }
            model => model.clone_into(&mut options.model),
        }
    }
    options
}

fn main() {
    confide::allocator::keep_freed_memory();
    let options = options();
    let device = shared::device(&options.device);
    tell("before loading", &device);
    let checkpoint = open(&options, &device);
    tell("after loading", &device);
    let vocabulary = checkpoint.decoder.config().vocabulary.min(50_000);
    let count = options.pairs * options.steps;
    let pairs: Vec<PolicyPair> = (0..count).map(|i| pair(i, options.length, vocabulary)).collect();
    let sides: Vec<&Sequence> =
        pairs.iter().take(options.pairs).flat_map(|p| p.sides.each()).collect();
    let begun = Instant::now();
    response_log_probs(&checkpoint.decoder, &sides, 0, &Reading::default())
        .expect("log-probabilities");
    println!("{:<28} {:>10.2} s", "reference pass", begun.elapsed().as_secs_f64());
    tell("after the reference pass", &device);
    steps(&options, checkpoint, pairs);
    tell("after training", &device);
}

fn open(options: &Options, device: &Device) -> Checkpoint {
    let begun = Instant::now();
    let files = find_model(&options.model).expect("a model");
    let checkpoint = load_as(&files, device, options.precision).expect("weights");
    println!("{:<28} {:>10.2} s", "loading", begun.elapsed().as_secs_f64());
    with_lora(checkpoint, options.lora, &options.model)
}

fn steps(options: &Options, checkpoint: Checkpoint, pairs: Vec<PolicyPair>) {
    let training = Training {
        batch_size: options.pairs,
        accumulate: 1,
        warmup_steps: 0,
        ..Training::default()
    };
    let preference = Preference::named("dpo", 0.1).unwrap();
    let order = Sampler::new(pairs.len(), &training, false, 0, 0);
    let mut task = PreferenceTask::new(pairs, 0, preference, WeightedMean::Pairs, None);
    let start = Start::fresh(checkpoint.decoder, AdamW::new(0.0), options.plan);
    let begun = Instant::now();
    let ended = train(start, &mut task, order, &training, &mut Silent).expect("training");
    assert!(matches!(ended, Ended::Done(_)), "all steps are taken");
    let seconds = begun.elapsed().as_secs_f64() / options.steps as f64;
    println!("{:<28} {seconds:>10.2} s", "a step");
}

fn tell(when: &str, device: &Device) {
    println!("{when:<28} {}", memory(device));
}
