//! What the benchmarks share.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::str::FromStr;

use burn::tensor::Device;
use confide::batch::{Ranked, Sequence};
use confide::model::{Checkpoint, LoraSettings, add_adapter};
use confide::train::{Flow, Metrics, PolicyPair, TrainerCallback};
use rand::{RngExt, SeedableRng};

/// What stands behind a program's name, without what cargo adds.
pub(crate) fn words() -> Vec<String> {
    std::env::args().skip(1).filter(|word| word != "--bench").collect()
}

/// The value behind an option's name.
pub(crate) fn option<T: FromStr>(words: &[String], name: &str, default: T) -> T {
    let place = words.iter().position(|word| word == name);
    let value = |i: usize| words.get(i + 1).and_then(|word| word.parse().ok());
    place.map_or(default, |i| value(i).unwrap_or_else(|| panic!("{name} wants another value")))
}

/// A device as a recipe names it, started.
pub(crate) fn device(request: &str) -> Device {
    let choice = confide::device::find(request).expect("a device");
    confide::device::open(&choice.device).expect("the device starts")
}

/// The model with an adapter of this rank on its queries and values; rank 0 trains everything.
pub(crate) fn with_lora(checkpoint: Checkpoint, rank: usize, model: &str) -> Checkpoint {
    let lora = LoraSettings { rank, dropout: 0.0, ..LoraSettings::default() };
    match lora.adapter("lora", model).expect("an adapter") {
        Some(adapter) => add_adapter(checkpoint, adapter, 0, "--lora".as_ref()).expect("targets"),
        None => checkpoint,
    }
}

/// A callback of training who says nothing.
pub(crate) struct Silent;

impl TrainerCallback for Silent {
    fn before_step(&mut self) -> Flow {
        Flow::Go
    }
    fn after_step(&mut self, _: u64, _: u64, _: &Metrics) {}
    fn wants_checkpoint(&mut self, _: u64, _: u64) -> bool {
        false
    }
    fn warn(&mut self, _: String) {}
}

/// A pair of random tokens, each side of exactly this length, a quarter of it prompt.
pub(crate) fn pair(seed: usize, length: usize, vocabulary: usize) -> PolicyPair {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed as u64);
    let mut tokens =
        |n: usize| -> Vec<u32> { (0..n).map(|_| rng.random_range(3..vocabulary as u32)).collect() };
    let prompt: std::sync::Arc<[u32]> = tokens(length / 4).into();
    let side = |response| Sequence { prompt: prompt.clone(), response };
    let rest = length - length / 4;
    let sides = [side(tokens(rest)), side(tokens(rest))];
    let reference = Ranked { chosen: -4000.0, rejected: -4000.0 };
    PolicyPair { sides: Ranked::of(sides, false), reference, margin: 1.0, mismatched: None }
}

/// Peak of memory in MiB, of the device's pools where it has some, else of this process.
pub(crate) fn peak(device: &Device) -> f64 {
    confide::device::peak_memory(device).map_or(f64::NAN, |bytes| bytes as f64 / f64::from(1 << 20))
}

/// Peak and present memory of this process, and of the device's pools where it has some.
pub(crate) fn memory(device: &Device) -> String {
    let mut text = match (status("VmHWM:"), status("VmRSS:")) {
        (Some(peak), Some(now)) => format!("{peak:>10.0} MiB at peak, {now:>8.0} MiB now"),
        _ => "unknown on this system".to_owned(),
    };
    if let Some(pools) = device.memory_pool_usage() {
        text.push_str(&format!("; pools: {pools:?}"));
    }
    text
}

/// A line of `/proc/self/status`, in MiB.
pub(crate) fn status(key: &str) -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
