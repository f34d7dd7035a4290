//! Real pairs through a real shape, as users train and score: `cargo bench --bench pairs -- TASK
//! MODEL FILE [--limit N] [--batch N] [--max-length N] [--recompute]`.
//!
//! TASK is `dpo` (full fine-tuning in f32, one epoch in file order), `score` (a scalar head over all
//! sequences) or `positions` (no computation). Prints one line of JSON: pairs per second, seconds of
//! the median step and of the reference, token positions computed over the least possible, peak
//! memory. Pairs that the limit drops are not counted.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use confide::annotate::{all_log_probs, score_sequences};
use confide::data::read_files;
use confide::model::{Decoder, ModelError, ModelFiles, load};
use confide::preference::{Objective, Preference};
use confide::text::{Batch, Encoder, Fit, Sequence, Tokenizer, encode_pairs};
use confide::train::{
    AdamW, Flow, Metrics, Observer, Order, Plan, PolicyPair, PreferenceTask, Schedule, Start,
    TrainError, Training, WeightedMean, train,
};

#[path = "shared.rs"]
mod shared;
use shared::status;

struct Settings {
    task: String,
    model: String,
    file: PathBuf,
    limit: usize,
    batch: usize,
    max_length: usize,
    recompute: bool,
}

fn settings() -> Settings {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let option = |name: &str, default: usize| {
        let place = words.iter().position(|word| word == name);
        place.map_or(default, |i| words[i + 1].parse().expect("a number"))
    };
    assert!(
        words.len() >= 3,
        "give a task (dpo, score, positions), a model folder, a file of pairs"
    );
    Settings {
        task: words[0].clone(),
        model: words[1].clone(),
        file: PathBuf::from(&words[2]),
        limit: option("--limit", usize::MAX),
        batch: option("--batch", 4),
        max_length: option("--max-length", 512),
        recompute: words.iter().any(|word| word == "--recompute"),
    }
}

fn main() {
    confide::allocator::keep_freed_memory();
    let settings = settings();
    let files = ModelFiles::folder(settings.model.as_ref()).expect("a model folder");
    let tokenizer = Tokenizer::load(&files).expect("a tokenizer");
    let pad = tokenizer.pad;
    let pool =
        read_files(std::slice::from_ref(&settings.file), &confide::data::ReadSettings::default())
            .expect("readable pairs");
    let indexes: Vec<usize> = (0..pool.pairs.len().min(settings.limit)).collect();
    let encoded = encode_pairs(&Encoder::plain(tokenizer), &pool.pairs, &indexes).expect("tokens");
    let pairs: Vec<[Sequence; 2]> =
        encoded.pairs.iter().filter_map(|p| p.fit(Fit::Start, settings.max_length)).collect();
    let device = Device::flex();
    let decoder = || load(&files, &device).expect("a model").decoder;
    let numbers = match settings.task.as_str() {
        "dpo" => dpo(decoder(), &pairs, pad, &settings),
        "score" => score(decoder(), &pairs, pad, &settings),
        _ => String::new(),
    };
    println!(
        "{{\"task\": \"{}\", \"pairs\": {}, \"batch\": {}{numbers}, \"positions\": {:.4}, \"peak_mib\": {:.0}}}",
        settings.task,
        pairs.len(),
        settings.batch,
        positions(&pairs, settings.batch, pad),
        status("VmHWM:").unwrap_or(0.0)
    );
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

fn score(decoder: Decoder, pairs: &[[Sequence; 2]], pad: u32, settings: &Settings) -> String {
    let width = decoder.config().embedding;
    let head =
        Tensor::from_data(TensorData::new(vec![0.01f32; width], [width, 1]), &decoder.device());
    let decoder = decoder.with_score(head);
    let rows: Vec<&Sequence> = pairs.iter().flatten().collect();
    let batch = 2 * settings.batch;
    let score = |rows: &[&Sequence]| {
        score_sequences(&decoder, rows, pad, batch, &mut |_| Ok::<(), ModelError>(()))
            .expect("scores")
    };
    // The first batch also pays for threads and pages, and is left out.
    let (first, rest) = rows.split_at(batch.min(rows.len()));
    let warm = score(first);
    let timed = if rest.is_empty() { first } else { rest };
    let begun = Instant::now();
    let scores = score(timed);
    let rate = scores.len() as f64 / begun.elapsed().as_secs_f64() / 2.0;
    assert!(scores.iter().chain(&warm).all(|score| score.is_finite()));
    format!(", \"pairs_per_second\": {rate:.3}")
}

/// Notes when steps end.
#[derive(Default)]
struct Clock {
    begun: Option<Instant>,
    seconds: Vec<f64>,
    losses: Vec<f64>,
}

impl Observer for Clock {
    fn before_step(&mut self) -> Flow {
        self.begun = Some(Instant::now());
        Flow::Go(None)
    }
    fn after_step(&mut self, _: u64, _: u64, metrics: &Metrics) {
        self.seconds.extend(self.begun.map(|begun| begun.elapsed().as_secs_f64()));
        self.losses.extend(metrics.get("loss"));
    }
    fn wants_checkpoint(&mut self, _: u64, _: u64) -> bool {
        false
    }
    fn checkpoint(&mut self, _: u64, _: &Decoder, _: &AdamW) -> Result<(), TrainError> {
        Ok(())
    }
    fn warn(&mut self, _: String) {}
}

fn dpo(decoder: Decoder, pairs: &[[Sequence; 2]], pad: u32, settings: &Settings) -> String {
    let rows: Vec<&Sequence> = pairs.iter().flatten().collect();
    let begun = Instant::now();
    let log_probs =
        all_log_probs(&decoder, &rows, pad, 2 * settings.batch, &mut |_| Ok::<(), ModelError>(()))
            .expect("log-probabilities");
    let reference_seconds = begun.elapsed().as_secs_f64();
    let references = log_probs.as_chunks::<2>().0.iter().map(|both| both.map(f64::from));
    let pairs = pairs.iter().zip(references);
    let pairs: Vec<PolicyPair> = pairs
        .map(|(sides, reference)| PolicyPair { sides: sides.clone(), reference, margin: 1.0 })
        .collect();
    let training = Training {
        batch_size: settings.batch,
        accumulate: 1,
        warmup_steps: 0,
        learning_rate: 1e-5,
        schedule: Schedule::Constant,
        weight_decay: 0.0,
        max_grad_norm: 0.0,
        ..Training::default()
    };
    let preference = Preference { objective: Objective::Dpo, beta: 0.1, label_noise: 0.1 };
    let order = Order::new(pairs.len(), &training, false, 0, 0);
    let mut task = PreferenceTask::new(pairs, pad, preference, WeightedMean::Pairs, None);
    let plan = Plan { recompute: settings.recompute, ..Plan::default() };
    let start = Start { model: decoder, optimiser: AdamW::new(0.0), step: 0, tokens: 0, plan };
    let mut clock = Clock::default();
    train(start, &mut task, order, &training, &mut clock).expect("training");
    // As the reference script times: the first step is left out.
    let timed = if clock.seconds.len() > 1 { &clock.seconds[1..] } else { &clock.seconds[..] };
    let total: f64 = timed.iter().sum();
    let mut sorted = timed.to_vec();
    sorted.sort_by(f64::total_cmp);
    format!(
        ", \"pairs_per_second\": {:.3}, \"median_step_seconds\": {:.3}, \"reference_seconds\": {reference_seconds:.3}, \"first_loss\": {:.6}, \"last_loss\": {:.6}",
        (settings.batch * timed.len()) as f64 / total,
        sorted[sorted.len() / 2],
        clock.losses.first().unwrap(),
        clock.losses.last().unwrap(),
    )
}
