//! Real pairs through a real shape, as users train and score: `cargo bench --bench pairs -- TASK
//! MODEL FILE [--limit N] [--batch N,N,…] [--max-length N] [--recompute] [--lora RANK]
//! [--precision f32] [--epochs 1] [--device cpu]`.
//!
//! TASK is `dpo` (epochs in file order; everything is trained, or an adapter of RANK),
//! `score` (a scalar head over all sequences) or `positions` (no computation). Prints a line of
//! JSON for each batch size: pairs per second, seconds of the first and of the median step and of
//! the reference, token positions computed over the least possible, peak memory (of the device's
//! pools, or of the process on the CPU, where it is that of all lines so far). The first step is
//! not timed, on a GPU nor is the second. Pairs that the limit drops are not counted.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use confide::annotate::{all_log_probs, score_sequences};
use confide::batch::{Batch, Ranked, Sequence};
use confide::data::read_files;
use confide::model::{Decoder, ModelError, ModelFiles, Precision, load_as};
use confide::preference::Preference;
use confide::text::{EncodedPair, Encoder, Fit, Tokenizer, encode_pairs};
use confide::train::{
    AdamW, ExecutionPlan, Flow, Metrics, PolicyPair, PreferenceTask, Sampler, Schedule, Start,
    TrainerCallback, Training, WeightedMean, train,
};

#[path = "shared.rs"]
mod shared;
use shared::{option, peak, with_lora};

pub(crate) struct Settings {
    task: String,
    pub(crate) model: String,
    file: PathBuf,
    limit: usize,
    pub(crate) batches: Vec<usize>,
    max_length: usize,
    recompute: bool,
    lora: usize,
    precision: Precision,
    epochs: f64,
    pub(crate) device: Device,
}

pub(crate) fn settings(words: &[String]) -> Settings {
    assert!(
        words.len() >= 3,
        "give a task (dpo, score, positions), a model folder, a file of pairs"
    );
    let precision = option(words, "--precision", "f32".to_owned());
    let batches = option(words, "--batch", "4".to_owned());
    Settings {
        task: words[0].clone(),
        model: words[1].clone(),
        file: PathBuf::from(&words[2]),
        limit: option(words, "--limit", usize::MAX),
        batches: batches.split(',').map(|batch| batch.parse().expect("numbers")).collect(),
        max_length: option(words, "--max-length", 512),
        recompute: words.iter().any(|word| word == "--recompute"),
        lora: option(words, "--lora", 0),
        precision: Precision::ALL.into_iter().find(|p| p.name() == precision).expect("a type"),
        epochs: option(words, "--epochs", 1.0),
        device: shared::device(&option(words, "--device", "cpu".to_owned())),
    }
}

#[allow(dead_code)]
fn main() {
    confide::allocator::keep_freed_memory();
    run(&shared::words());
}

/// The benchmark with these words behind its name.
pub(crate) fn run(words: &[String]) {
    let settings = settings(words);
    if let Err(error) = settings.precision.check(&settings.device) {
        println!("{}", serde_json::json!({"task": settings.task, "refused": error.to_string()}));
        return;
    }
    let files = ModelFiles::folder(settings.model.as_ref()).expect("a model folder");
    let (pairs, pad) = pairs_of(&files, &settings);
    let device = &settings.device;
    let decoder = || {
        let checkpoint = load_as(&files, device, settings.precision).expect("a model");
        with_lora(checkpoint, settings.lora, &settings.model).decoder
    };
    for &batch in &settings.batches {
        let numbers = match settings.task.as_str() {
            "dpo" => dpo(decoder(), &pairs, pad, batch, &settings),
            "score" => score(decoder(), &pairs, pad, batch),
            _ => String::new(),
        };
        println!(
            "{{\"task\": \"{}\", \"pairs\": {}, \"batch\": {batch}, \"lora\": {}, \"precision\": \"{}\"{numbers}, \"positions\": {:.4}, \"peak_mib\": {:.0}}}",
            settings.task,
            pairs.len(),
            settings.lora,
            settings.precision.name(),
            positions(&pairs, batch, pad),
            peak(device)
        );
        device.memory_cleanup();
    }
}

/// The file's pairs in the model's tokens, and the padding token.
pub(crate) fn pairs_of(files: &ModelFiles, settings: &Settings) -> (Vec<[Sequence; 2]>, u32) {
    let tokenizer = Tokenizer::load(files).expect("a tokenizer");
    let pad = tokenizer.pad;
    let pool =
        read_files(std::slice::from_ref(&settings.file), &confide::data::ReadSettings::default())
            .expect("readable pairs");
    let indexes: Vec<usize> = (0..pool.pairs.len().min(settings.limit)).collect();
    let encoded = encode_pairs(&Encoder::plain(tokenizer), &pool.pairs, &indexes).expect("tokens");
    let fits = |pair: &EncodedPair| pair.fit(Fit::Start, settings.max_length);
    (encoded.pairs.iter().filter_map(fits).collect(), pad)
}

/// Positions computed over the least possible: each prompt once, both responses with EOS.
fn positions(pairs: &[[Sequence; 2]], batch: usize, pad: u32) -> f64 {
    let (mut computed, mut least) = (0, 0);
    for part in pairs.chunks(batch) {
        let rows: Vec<&Sequence> = part.iter().flatten().collect();
        computed += Batch::packed(&rows, pad).computed_tokens();
        least += part.iter().map(|[a, b]| a.len() + b.response.len()).sum::<usize>();
    }
    computed as f64 / least as f64
}

fn score(decoder: Decoder, pairs: &[[Sequence; 2]], pad: u32, batch: usize) -> String {
    let width = decoder.config().embedding;
    let head =
        Tensor::from_data(TensorData::new(vec![0.01f32; width], [width, 1]), &decoder.device());
    let decoder = decoder.with_score(head);
    let rows: Vec<&Sequence> = pairs.iter().flatten().collect();
    let score = |rows: &[&Sequence]| {
        score_sequences(&decoder, rows, pad, 2 * batch, &mut |_| Ok::<(), ModelError>(()))
            .expect("scores")
    };
    // The first batch also pays for threads, pages and kernels, and is left out.
    let (first, rest) = rows.split_at((2 * batch).min(rows.len()));
    let warm = score(first);
    let timed = if rest.is_empty() { first } else { rest };
    let begun = Instant::now();
    let scores = score(timed);
    let rate = scores.len() as f64 / begun.elapsed().as_secs_f64() / 2.0;
    assert!(scores.iter().chain(&warm).all(|score| score.is_finite()));
    format!(", \"pairs_per_second\": {rate:.3}")
}

/// Notes when steps are told. On a device with a queue that is when the next one is queued, so the
/// time between two is a step's.
struct Clock {
    told: Instant,
    seconds: Vec<f64>,
    losses: Vec<f64>,
}

impl TrainerCallback for Clock {
    fn before_step(&mut self) -> Flow {
        Flow::Go
    }
    fn after_step(&mut self, _: u64, _: u64, metrics: &Metrics) {
        let now = Instant::now();
        self.seconds.push((now - self.told).as_secs_f64());
        self.told = now;
        self.losses.extend(metrics.get("loss"));
    }
    fn wants_checkpoint(&mut self, _: u64, _: u64) -> bool {
        false
    }
    fn warn(&mut self, _: String) {}
}

fn dpo(
    decoder: Decoder,
    pairs: &[[Sequence; 2]],
    pad: u32,
    batch: usize,
    settings: &Settings,
) -> String {
    let rows: Vec<&Sequence> = pairs.iter().flatten().collect();
    let begun = Instant::now();
    let log_probs =
        all_log_probs(&decoder, &rows, pad, 2 * batch, &mut |_| Ok::<(), ModelError>(()))
            .expect("log-probabilities");
    let reference_seconds = begun.elapsed().as_secs_f64();
    let references =
        log_probs.as_chunks::<2>().0.iter().map(|both| Ranked::of(both.map(f64::from), false));
    let pairs = pairs.iter().zip(references);
    let pairs: Vec<PolicyPair> = pairs
        .map(|(sides, reference)| PolicyPair {
            sides: Ranked::of(sides.clone(), false),
            reference,
            margin: 1.0,
            mismatched: None,
        })
        .collect();
    let training = Training {
        epochs: settings.epochs,
        batch_size: batch,
        accumulate: 1,
        warmup_steps: 0,
        learning_rate: 1e-5,
        schedule: Schedule::Constant,
        weight_decay: 0.0,
        max_grad_norm: 0.0,
        ..Training::default()
    };
    let preference = Preference::named("dpo", 0.1).unwrap();
    let order = Sampler::new(pairs.len(), &training, false, 0, 0);
    let mut task = PreferenceTask::new(pairs, pad, preference, WeightedMean::Pairs, None);
    let plan = ExecutionPlan { recompute: settings.recompute, ..ExecutionPlan::default() };
    let start = Start::fresh(decoder, AdamW::new(0.0), plan);
    let mut clock = Clock { told: Instant::now(), seconds: Vec::new(), losses: Vec::new() };
    train(start, &mut task, order, &training, &mut clock).expect("training");
    // As the reference script times: the first step is left out. Where there is a queue the second
    // was put into it, kernels and all, before the first was told.
    let queue = settings.device != Device::flex();
    let left_out = if queue { 2 } else { 1 };
    let timed = clock.seconds.get(left_out..).filter(|timed| !timed.is_empty());
    let timed = timed.unwrap_or(&clock.seconds);
    let total: f64 = timed.iter().sum();
    let mut sorted = timed.to_vec();
    sorted.sort_by(f64::total_cmp);
    format!(
        ", \"pairs_per_second\": {:.3}, \"first_step_seconds\": {:.3}, \"median_step_seconds\": {:.4}, \"reference_seconds\": {reference_seconds:.3}, \"first_loss\": {:.6}, \"last_loss\": {:.6}",
        (batch * timed.len()) as f64 / total,
        clock.seconds[0],
        sorted[sorted.len() / 2],
        clock.losses.first().unwrap(),
        clock.losses.last().unwrap(),
    )
}
