//! Speed and memory of the main stages on the CPU: `cargo bench --bench throughput`.
//!
//! Uses HH harmless and stories260K from `../shared` where they are, else the built-in
//! demonstration. Prints pairs read, scored and trained per second, token positions computed
//! over the least possible, and peak memory.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use confide::annotate::score_sequences;
use confide::data::{Pair, read_files};
use confide::model::{ModelError, ModelFiles, load};
use confide::preference::{Objective, Preference};
use confide::text::{Batch, EncodedPair, Encoder, Fit, Sequence, Tokenizer, encode_pairs};
use confide::train::{
    AdamW, Order, Plan, PolicyPair, PreferenceTask, Start, Training, WeightedMean, train,
};

#[path = "shared.rs"]
mod shared;
use shared::{Silent, status};

const MAX_LENGTH: usize = 512;
const SCORED: usize = 64;
const TRAINED: usize = 32;
const BATCH: usize = 4;

fn main() {
    confide::allocator::keep_freed_memory();
    let (files, pairs, source) = material();
    let tokenizer = Tokenizer::load(&files).expect("a tokenizer");
    println!("data and model: {source}");
    let begun = Instant::now();
    let indexes: Vec<usize> = (0..pairs.len()).collect();
    let encoded =
        encode_pairs(&Encoder::plain(tokenizer.clone()), &pairs, &indexes).expect("tokens").pairs;
    rate("pairs tokenised per second", pairs.len(), begun);
    padding(&encoded, tokenizer.pad);
    let device = Device::flex();
    scoring(&files, &device, &encoded, tokenizer.pad);
    training(&files, &device, &encoded, tokenizer.pad);
    match status("VmHWM:") {
        Some(mib) => println!("{:<46} {mib:>10.0} MiB", "peak memory of this process"),
        None => println!("peak memory of this process: this system does not tell"),
    }
}

fn rate(what: &str, count: usize, begun: Instant) {
    println!("{what:<46} {:>10.2}", count as f64 / begun.elapsed().as_secs_f64());
}

fn material() -> (ModelFiles, Vec<Pair>, String) {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let model = shared.join("models/stories260K-hf");
    let file: PathBuf = shared.join("hh-harmless-base/test.jsonl.gz");
    if model.is_dir() && file.is_file() {
        let begun = Instant::now();
        let pool = read_files(&[file]).expect("readable pairs");
        rate("pairs read per second", pool.pairs.len(), begun);
        return (
            ModelFiles::folder(&model).unwrap(),
            pool.pairs,
            "HH harmless, stories260K".to_owned(),
        );
    }
    let (pairs, _) = confide::demo::pairs("demo", 0).expect("the demonstration's pairs");
    (confide::demo::model("strong").unwrap(), pairs, "built-in demonstration".to_owned())
}

/// Positions that batches of [`BATCH`] pairs compute, over those of one prompt and two
/// responses each.
fn padding(encoded: &[EncodedPair], pad: u32) {
    let fitting: Vec<[Sequence; 2]> =
        encoded.iter().filter_map(|p| p.fit(Fit::Start, MAX_LENGTH)).collect();
    let (mut computed, mut least) = (0, 0);
    for part in fitting.chunks(BATCH) {
        let rows: Vec<&Sequence> = part.iter().flatten().collect();
        computed += Batch::one_per_row(&rows, pad).computed_tokens();
        least += part.iter().map(|[a, b]| a.len() + b.response.len()).sum::<usize>();
    }
    println!(
        "{:<46} {:>10.2}",
        "token positions computed over the least",
        computed as f64 / least as f64
    );
}

fn scoring(files: &ModelFiles, device: &Device, encoded: &[EncodedPair], pad: u32) {
    let decoder = load(files, device).expect("a model").decoder;
    let width = decoder.config().embedding;
    let head = Tensor::from_data(TensorData::new(vec![0.01f32; width], [width, 1]), device);
    let decoder = decoder.with_score(head);
    let fitting: Vec<&EncodedPair> =
        encoded.iter().filter(|p| p.fit(Fit::Whole, MAX_LENGTH).is_some()).take(SCORED).collect();
    let rows: Vec<&Sequence> = fitting.iter().flat_map(|p| &p.sides).collect();
    let begun = Instant::now();
    let scores = score_sequences(&decoder, &rows, pad, 32, &mut |_| Ok::<(), ModelError>(()));
    scores.expect("scores");
    rate("pairs scored per second", fitting.len(), begun);
}

fn training(files: &ModelFiles, device: &Device, encoded: &[EncodedPair], pad: u32) {
    let model = load(files, device).expect("a model").decoder;
    let pairs: Vec<PolicyPair> = encoded
        .iter()
        .filter_map(|p| p.fit(Fit::Start, MAX_LENGTH))
        .take(TRAINED)
        .map(|sides| PolicyPair { sides, reference: [-100.0, -100.0], margin: 1.0 })
        .collect();
    let count = pairs.len();
    let training =
        Training { batch_size: BATCH, accumulate: 1, warmup_steps: 0, ..Training::default() };
    let preference = Preference { objective: Objective::Dpo, beta: 0.1, label_noise: 0.1 };
    let mut task = PreferenceTask::new(pairs, pad, preference, WeightedMean::Pairs, None);
    let order = Order::new(count, &training, false, 0, 0);
    let plan = Plan::default();
    let start = Start { model, optimiser: AdamW::new(0.0), step: 0, tokens: 0, plan };
    let begun = Instant::now();
    train(start, &mut task, order, &training, &mut Silent).expect("training");
    rate("DPO pairs trained per second (batch 4)", count, begun);
}
