//! What dropout costs a LoRA annotator: `cargo bench --bench dropout -- [--dropout 0.05] [--steps 5]
//! [--pairs 4] [--length 256] [--layers 30] [--targets q_proj,v_proj] [--recompute]`.
//!
//! Steps of Bradley–Terry training on the shape of smollm2-135m, without and with dropout in turns,
//! so that both meet the same machine. Prints one line of JSON: seconds of the median steps, the
//! ratio of the medians and that of the fastest ones, peak memory.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use confide::model::{
    Activation, Checkpoint, Decoder, DecoderConfig, LoraSettings, NormKind, Position,
    RotaryScaling, add_adapter, build, family_of,
};
use confide::text::Sequence;
use confide::train::{AdamW, BradleyTerryTask, Ended, Order, Plan, Start, Training, train};

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

/// Seconds of one step from these weights.
fn step(options: &Options, model: &Decoder, number: usize) -> f64 {
    let training =
        Training { batch_size: options.pairs, accumulate: 1, steps: 1, ..Training::default() };
    let first = number * options.pairs;
    let pairs: Vec<[Sequence; 2]> = (first..first + options.pairs)
        .map(|seed| pair(seed, options.length, 49_152).sides)
        .collect();
    let order = Order::new(pairs.len(), &training, false, 0, 0);
    let mut task = BradleyTerryTask::new(pairs, 0);
    let plan = Plan { recompute: options.recompute, seed: number as u64, ..Plan::default() };
    let start = Start::fresh(model.clone(), AdamW::new(0.0), plan);
    let begun = Instant::now();
    let ended = train(start, &mut task, order, &training, &mut Silent).expect("training");
    assert!(matches!(ended, Ended::Done(_)), "the step is taken");
    begun.elapsed().as_secs_f64()
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
    let mut seconds = [Vec::new(), Vec::new()];
    for number in 0..=options.steps {
        for (model, seconds) in models.iter().zip(&mut seconds) {
            let taken = step(&options, model, number);
            // The first also pays for threads and pages.
            if number > 0 {
                seconds.push(taken);
            }
        }
    }
    seconds.iter_mut().for_each(|all| all.sort_by(f64::total_cmp));
    let median = seconds.each_ref().map(|all| all[all.len() / 2]);
    let ratio = |k: usize| seconds[1][k] / seconds[0][k];
    println!(
        "{{\"dropout\": {}, \"without\": {:.3}, \"with\": {:.3}, \"ratio\": {:.4}, \"fastest_ratio\": {:.4}, \"peak_mib\": {:.0}}}",
        options.dropout,
        median[0],
        median[1],
        median[1] / median[0],
        ratio(0),
        status("VmHWM:").unwrap_or(0.0),
    );
}
