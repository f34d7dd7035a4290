//! What dropout costs a LoRA annotator: `cargo bench --bench dropout -- [--dropout 0.05] [--steps 5]
//! [--pairs 4] [--length 256] [--layers 30] [--targets q_proj,v_proj] [--recompute]`.
//!
//! Steps of Bradley–Terry training on the shape of smollm2-135m, without and with dropout in turns,
//! so that both meet the same machine. Prints one line of JSON: seconds of the median steps and the
//! ratio of the medians, by the clock and by the processors' time, which other programs disturb
//! less; peak memory.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use confide::batch::{Ranked, Sequence};
use confide::model::{
    Activation, Checkpoint, Decoder, DecoderConfig, LoraSettings, NormKind, Position,
    RotaryScaling, add_adapter, build, family_of,
};
use confide::train::{
    AdamW, BradleyTerryTask, Ended, ExecutionPlan, Sampler, Start, Training, train,
};

#[path = "shared.rs"]
mod shared;
use shared::{Silent, pair, status};

struct Options {
    dropout: f64,
    steps: usize,
    pairs: usize,
    length: usize,
    layers: usize,
    targets: Vec<String>,
    recompute: bool,
}

fn options() -> Options {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let value =
        |name: &str| words.iter().position(|word| word == name).map(|i| words[i + 1].clone());
    let number = |name: &str, default: usize| value(name).map_or(default, |n| n.parse().unwrap());
    let targets = value("--targets").unwrap_or_else(|| "q_proj,v_proj".to_owned());
    Options {
        dropout: value("--dropout").map_or(0.05, |n| n.parse().expect("a share")),
        steps: number("--steps", 5),
        pairs: number("--pairs", 4),
        length: number("--length", 256),
        layers: number("--layers", 30),
        targets: targets.split(',').map(str::to_owned).collect(),
        recompute: words.iter().any(|word| word == "--recompute"),
    }
}

fn config(layers: usize) -> DecoderConfig {
    DecoderConfig {
        vocabulary: 49_152,
        hidden: 576,
        embedding: 576,
        layers,
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
        ffn: 1536,
        positions: 8192,
        norm: NormKind::Rms,
        norm_eps: 1e-5,
        norm_first: true,
        norm_after: false,
        embedding_scale: None,
        position: Position::Rotary { theta: 1e5, scaling: RotaryScaling::None },
        window: None,
        attention_scale: None,
        activation: Activation::Silu,
        gated: true,
        fused_qkv: false,
        head_norm: false,
        qkv_bias: false,
        output_bias: false,
        ffn_bias: false,
        tied: true,
    }
}

/// The frozen model with a scalar head and an adapter that drops this share.
fn annotator(options: &Options, dropout: f64, base: &Decoder) -> Decoder {
    let family = family_of("llama").expect("a family");
    let width = base.config().embedding;
    let head = Tensor::from_data(TensorData::new(vec![0.01f32; width], [width, 1]), &base.device());
    let decoder = base.clone().with_score(head);
    let checkpoint = Checkpoint {
        decoder,
        family,
        json: serde_json::Value::Null,
        adapter: None,
        warnings: Vec::new(),
    };
    let targets = options.targets.clone();
    let lora = LoraSettings { rank: 8, dropout, targets, ..LoraSettings::default() };
    let adapter = lora.adapter("lora", "").expect("an adapter").expect("a rank");
    add_adapter(checkpoint, adapter, 0, Path::new("--targets")).expect("targets").decoder
}

/// Seconds of the processors that this process has used; 0 where the system does not tell so.
fn processors() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    // User and system, in hundredths of a second.
    let ticks = after.split_whitespace().skip(11).take(2);
    ticks.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Seconds of one step from these weights, by the clock and of the processors.
fn step(options: &Options, model: &Decoder, number: usize) -> [f64; 2] {
    let training =
        Training { batch_size: options.pairs, accumulate: 1, steps: 1, ..Training::default() };
    let first = number * options.pairs;
    let pairs: Vec<Ranked<Sequence>> = (first..first + options.pairs)
        .map(|seed| pair(seed, options.length, 49_152).sides)
        .collect();
    let order = Sampler::new(pairs.len(), &training, false, 0, 0);
    let mut task = BradleyTerryTask::new(pairs, 0);
    let plan = ExecutionPlan {
        recompute: options.recompute,
        seed: number as u64,
        ..ExecutionPlan::default()
    };
    let start = Start::fresh(model.clone(), AdamW::new(0.0), plan);
    let (begun, used) = (Instant::now(), processors());
    let ended = train(start, &mut task, order, &training, &mut Silent).expect("training");
    assert!(matches!(ended, Ended::Done(_)), "the step is taken");
    [begun.elapsed().as_secs_f64(), processors() - used]
}

fn main() {
    confide::allocator::keep_freed_memory();
    let options = options();
    let small = |i: usize| ((i * 7919) % 1013) as f32 / 1013.0 * 0.04 - 0.02;
    let fill = |path: &str, shape: &[usize]| {
        let norm = shape.len() == 1 && path.contains("norm");
        Ok((0..shape.iter().product()).map(|i| if norm { 1.0 } else { small(i) }).collect())
    };
    let base = build(config(options.layers), &Device::flex(), &fill).expect("a model");
    let models = [0.0, options.dropout].map(|dropout| annotator(&options, dropout, &base));
    let mut taken = [Vec::new(), Vec::new()];
    for number in 0..=options.steps {
        for (model, taken) in models.iter().zip(&mut taken) {
            let seconds = step(&options, model, number);
            // The first also pays for threads and pages.
            if number > 0 {
                taken.push(seconds);
            }
        }
    }
    let median = |which: usize, kind: usize| {
        let mut all: Vec<f64> = taken[which].iter().map(|seconds| seconds[kind]).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "{{\"dropout\": {}, \"without\": {:.3}, \"with\": {:.3}, \"ratio\": {:.4}, \"processors_without\": {:.3}, \"processors_with\": {:.3}, \"processors_ratio\": {:.4}, \"peak_mib\": {:.0}}}",
        options.dropout,
        median(0, 0),
        median(1, 0),
        median(1, 0) / median(0, 0),
        median(0, 1),
        median(1, 1),
        median(1, 1) / median(0, 1),
        status("VmHWM:").unwrap_or(0.0),
    );
}
