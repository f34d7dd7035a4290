//! Whether memory stays flat: `cargo bench --bench soak -- [MODEL] [--steps 1000] [--warmup 100]
//! [--longest 256] [--device cpu]`.
//!
//! Preference steps on pairs of varied lengths, told and folded as a run's are; prints the peak of memory
//! after the warm-up and at the end, of the process (CPU) or of the device's pools (GPU), the open files of
//! the process and the bytes that the events would take in their file, and exits with 1 if memory moved by
//! 2 % or more, or if files stayed open. The last line is JSON.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::time::Instant;

use burn::tensor::Device;
use confide::model::load;
use confide::preference::Preference;
use confide::run::{Event, RunView, Stage, find_model};
use confide::train::{
    AdamW, ExecutionPlan, Flow, Metrics, PreferenceTask, Sampler, Start, TrainerCallback, Training,
    WeightedMean, train,
};
use rand::{RngExt, SeedableRng};

#[path = "shared.rs"]
mod shared;
use shared::{pair, peak};

const BATCH: usize = 2;
const SHORTEST: usize = 16;
const MOST: f64 = 0.02;

struct Options {
    model: String,
    steps: usize,
    warmup: usize,
    longest: usize,
    device: String,
}

fn options(words: Vec<String>) -> Options {
    let mut options = Options {
        model: "builtin:weak".to_owned(),
        steps: 1000,
        warmup: 100,
        longest: 256,
        device: "cpu".to_owned(),
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().expect("a value");
        match word.as_str() {
            "--steps" => options.steps = value().parse().expect("a number"),
            "--warmup" => options.warmup = value().parse().expect("a number"),
            "--longest" => options.longest = value().parse().expect("a number"),
            "--device" => options.device = value(),
            model => model.clone_into(&mut options.model),
        }
    }
    options
}

/// The most memory so far, in MiB.
struct Peak {
    device: Device,
    highest: f64,
}

impl Peak {
    fn now(&mut self) -> f64 {
        // A pool's reserved bytes shrink again, so the highest look counts.
        self.highest = self.highest.max(peak(&self.device));
        self.highest
    }
}

/// Files, sockets and devices that the process holds open, where the system tells.
fn open_files() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count())
}

/// Notes the peak every so many steps, and folds what a window would.
struct Watch {
    peak: Peak,
    warmup: u64,
    warm: f64,
    warm_files: Option<usize>,
    view: RunView,
    event_bytes: usize,
    begun: Instant,
}

impl TrainerCallback for Watch {
    fn before_step(&mut self) -> Flow {
        Flow::Go
    }

    fn after_step(&mut self, step: u64, total: u64, metrics: &Metrics) {
        let stage = Stage::POLICY;
        let told = Event::Step { stage, step, metrics: metrics.clone() };
        for event in [told, Event::Progress { stage, done: step, total }] {
            self.event_bytes += serde_json::to_string(&event).expect("JSON").len() + 1;
            self.view.apply(event);
        }
        let peak = self.peak.now();
        if step == self.warmup {
            self.warm = peak;
            self.warm_files = open_files();
        }
        if step.is_multiple_of((total / 10).max(100)) || step == total || step == self.warmup {
            let seconds = self.begun.elapsed().as_secs_f64();
            println!("step {step:>6} of {total}: {peak:>10.1} MiB at peak, {seconds:>7.0} s");
        }
    }

    fn wants_checkpoint(&mut self, _: u64, _: u64) -> bool {
        false
    }

    fn warn(&mut self, _: String) {}
}

#[allow(dead_code)]
fn main() {
    confide::allocator::keep_freed_memory();
    run(shared::words());
}

/// The benchmark with these words behind its name.
pub(crate) fn run(words: Vec<String>) {
    let options = options(words);
    let choice = confide::device::find(&options.device).expect("a device");
    println!("{} on {}", options.model, choice.device.describe());
    let device = confide::device::open(&choice.device).expect("the device starts");
    let files = find_model(&options.model).expect("a model");
    let model = load(&files, &device).expect("weights").decoder;
    let vocabulary = model.config().vocabulary;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
    let steps = options.warmup + options.steps;
    // The warm-up meets every length once, the longest last, when the optimiser's moments are
    // there too; what follows is random.
    let lengths = |i: usize, rng: &mut rand_chacha::ChaCha8Rng| {
        let step = i / BATCH;
        if step < options.warmup {
            let longer = (options.longest - SHORTEST) * (step + 1) / options.warmup;
            return SHORTEST + longer;
        }
        rng.random_range(SHORTEST..=options.longest)
    };
    let pairs = (0..BATCH * steps).map(|i| pair(i, lengths(i, &mut rng), vocabulary)).collect();
    let training = Training {
        batch_size: BATCH,
        accumulate: 1,
        warmup_steps: 0,
        learning_rate: 1e-6,
        ..Training::default()
    };
    let preference = Preference::named("dpo", 0.1).unwrap();
    let order = Sampler::new(BATCH * steps, &training, false, 0, 0);
    let mut task = PreferenceTask::new(pairs, 0, preference, WeightedMean::Pairs, None);
    let plan = ExecutionPlan { recompute: true, ..ExecutionPlan::default() };
    let start = Start::fresh(model, AdamW::new(0.0), plan);
    let mut watch = Watch {
        peak: Peak { device, highest: 0.0 },
        warmup: options.warmup as u64,
        warm: f64::NAN,
        warm_files: None,
        view: RunView::default(),
        event_bytes: 0,
        begun: Instant::now(),
    };
    train(start, &mut task, order, &training, &mut watch).expect("training");
    let end = watch.peak.now();
    let moved = end / watch.warm - 1.0;
    println!("from {:.1} to {end:.1} MiB: {:+.2} %", watch.warm, 100.0 * moved);
    let (before, after) = (watch.warm_files, open_files());
    let points = watch.view.curves.values().flat_map(|curves| curves.values().map(Vec::len)).max();
    let summary = serde_json::json!({
        "task": "soak",
        "steps": options.steps,
        "warm_mib": watch.warm,
        "end_mib": end,
        "slope_mib_per_100_steps": 100.0 * (end - watch.warm) / options.steps as f64,
        "open_files": [before, after],
        "event_bytes_per_step": watch.event_bytes as f64 / steps as f64,
        "points_of_a_curve": points,
    });
    println!("{summary}");
    if moved >= MOST || after > before {
        std::process::exit(1);
    }
}
