//! What a pass holds at its peak, counted byte by byte: `cargo bench --bench activations`.
//!
//! Prints one line of numbers for each shape; `model::footprint` is fitted to them.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Device, Tensor};
use confide::model::{
    Activation, Decoder, DecoderConfig, NormKind, Position, RotaryScaling, build,
    sequence_log_probs,
};
use confide::text::{Batch, Sequence};
use confide::train::{Gradients, Pass, PassSettings, Readout};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn config(kind: &str, [d, heads, kv, head_dim, ffn, layers]: [usize; 6]) -> DecoderConfig {
    let llama = kind == "llama";
    DecoderConfig {
        vocabulary: 64,
        hidden: d,
        embedding: d,
        layers,
        heads,
        kv_heads: kv,
        head_dim,
        ffn,
        positions: 4096,
        norm: if llama { NormKind::Rms } else { NormKind::Layer },
        norm_eps: 1e-5,
        norm_first: true,
        position: if llama {
            Position::Rotary { theta: 1e4, scaling: RotaryScaling::None }
        } else {
            Position::Learned { offset: 0 }
        },
        activation: match kind {
            "llama" => Activation::Silu,
            "opt" => Activation::Relu,
            _ => Activation::GeluTanh,
        },
        gated: llama,
        fused_qkv: kind == "gpt2",
        head_norm: false,
        qkv_bias: !llama,
        output_bias: !llama,
        ffn_bias: !llama,
        tied: true,
    }
}

/// Bytes above the start at the peak of `work`.
fn peak(work: impl FnOnce()) -> usize {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work();
    PEAK.load(Ordering::Relaxed) - before
}

fn batch(rows: usize, length: usize) -> Batch {
    let sequence = Sequence { prompt: vec![1; length - 4].into(), response: vec![2; 4] };
    let all: Vec<&Sequence> = (0..rows).map(|_| &sequence).collect();
    Batch::one_per_row(&all, 0)
}

fn pass(model: &Decoder, batch: &Batch, recompute: bool) {
    let settings = PassSettings { recompute, seed: 0 };
    let pass = Pass::forward(model, batch, Readout::LogProbs, settings);
    let mut gradients = Gradients::default();
    pass.backward(&Tensor::ones([batch.sequences], &model.device()), &mut gradients);
}

fn main() {
    println!("kind trained mode rows length d heads kv head_dim ffn layers bytes");
    let shapes = [
        [128, 4, 4, 32, 256, 0],
        [128, 4, 4, 32, 512, 0],
        [256, 4, 4, 32, 256, 0],
        [128, 8, 4, 32, 256, 0],
        [128, 8, 8, 32, 256, 0],
        [128, 4, 2, 64, 384, 0],
    ];
    for kind in ["llama", "opt", "gpt2"] {
        for shape in shapes {
            let equal = shape[2] == shape[1] && shape[1] * shape[3] == shape[0];
            if kind != "llama" && !equal {
                continue;
            }
            for (rows, length) in [(2, 256), (8, 128), (4, 512)] {
                for layers in [1, 2, 3] {
                    measure(kind, [shape[0], shape[1], shape[2], shape[3], shape[4], layers], rows, length);
                }
            }
        }
    }
}

fn measure(kind: &str, shape: [usize; 6], rows: usize, length: usize) {
    let fill = |_: &str, shape: &[usize]| Ok(vec![0.01; shape.iter().product()]);
    let model = build(config(kind, shape), &Device::flex(), &fill).expect("a model");
    let batch = batch(rows, length);
    for trained in ["all", "adapter"] {
        let model = if trained == "all" { model.clone() } else { confide::model::frozen(model.clone()) };
        for mode in ["infer", "graph", "recompute"] {
            let work = || match mode {
                "infer" => drop(sequence_log_probs(&model, &batch).into_data()),
                other => pass(&model, &batch, other == "recompute"),
            };
            work();
            let bytes = peak(work);
            let words: Vec<String> = shape.iter().map(ToString::to_string).collect();
            println!("{kind} {trained} {mode} {rows} {length} {} {bytes}", words.join(" "));
        }
    }
}
