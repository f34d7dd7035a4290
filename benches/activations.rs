//! What a pass holds at its peak, tensor by tensor: `cargo bench --bench activations [-- --dropout
//! SHARE]`.
//!
//! Runs decoders whose widths tell their tensors apart, and prints which tensors are alive when
//! most memory is taken, as counts of their sizes. `model::footprint` states these counts.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use burn::tensor::{Device, Tensor};
use confide::batch::{Batch, Sequence, bucket};
use confide::model::{
    Activation, BatchShape, Checkpoint, Decoder, DecoderConfig, Footprint, LoraSettings, NormKind,
    PassKind, Position, Precision, RotaryScaling, add_adapter, build, family_of,
    sequence_log_probs,
};
use confide::train::{AdamW, Gradients, OutputKind, Pass, PassSettings};

/// Smaller allocations are bookkeeping.
const SMALLEST: usize = 2048;

struct Counting;

#[derive(Default)]
struct Ledger {
    /// Address → size and section of everything that is allocated.
    live: HashMap<usize, (usize, usize)>,
    section: usize,
    total: usize,
    before: usize,
    peak: usize,
    /// Sizes of what was allocated in this section and alive at its peak.
    at_peak: Vec<usize>,
}

static LEDGER: Mutex<Option<Ledger>> = Mutex::new(None);

thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Change the ledger, unless the ledger itself is allocating.
fn note(change: impl FnOnce(&mut Ledger)) {
    let free = BUSY.try_with(|busy| !busy.replace(true)).unwrap_or(false);
    if free {
        if let Ok(mut ledger) = LEDGER.lock() {
            ledger.as_mut().map(change);
        }
        let _ = BUSY.try_with(|busy| busy.set(false));
    }
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let pointer = unsafe { System.alloc(layout) };
        if layout.size() >= SMALLEST {
            note(|ledger| {
                ledger.live.insert(pointer as usize, (layout.size(), ledger.section));
                ledger.total += layout.size();
                if ledger.total > ledger.peak {
                    ledger.peak = ledger.total;
                    let here = ledger.live.values().filter(|(_, s)| *s == ledger.section);
                    ledger.at_peak = here.map(|(size, _)| *size).collect();
                }
            });
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if layout.size() >= SMALLEST {
            note(|ledger| {
                if let Some((size, _)) = ledger.live.remove(&(pointer as usize)) {
                    ledger.total -= size;
                }
            });
        }
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sizes of a case.
#[derive(Clone, Copy)]
struct Shape {
    hidden: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    ffn: usize,
    layers: usize,
    rows: usize,
    length: usize,
}

fn config(kind: &str, s: Shape) -> DecoderConfig {
    let llama = kind == "llama";
    DecoderConfig {
        vocabulary: 64,
        hidden: s.hidden,
        embedding: s.hidden,
        layers: s.layers,
        heads: s.heads,
        kv_heads: s.kv_heads,
        head_dim: s.head_dim,
        ffn: s.ffn,
        positions: 4096,
        norm: if llama { NormKind::Rms } else { NormKind::Layer },
        norm_eps: 1e-5,
        norm_first: true,
        norm_after: false,
        embedding_scale: None,
        position: if llama {
            Position::Rotary { theta: 1e4, scaling: RotaryScaling::None }
        } else {
            Position::Learned { offset: 0 }
        },
        window: None,
        attention_scale: None,
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

/// The tensors at the peak of `work`, by size in bytes.
fn at_peak(work: impl FnOnce()) -> (usize, BTreeMap<usize, usize>) {
    note(|ledger| {
        ledger.section += 1;
        ledger.before = ledger.total;
        ledger.peak = ledger.total;
        ledger.at_peak.clear();
    });
    work();
    let (mut bytes, mut counts) = (0, BTreeMap::new());
    note(|ledger| {
        bytes = ledger.peak - ledger.before;
        for size in &ledger.at_peak {
            *counts.entry(*size).or_default() += 1;
        }
    });
    (bytes, counts)
}

fn batch(rows: usize, length: usize) -> Batch {
    let prompt = |row: usize| vec![1 + row as u32; length - 4].into();
    let sequence = |row: usize| Sequence { prompt: prompt(row), response: vec![2; 4] };
    let all: Vec<Sequence> = (0..rows).map(sequence).collect();
    Batch::packed(&all.iter().collect::<Vec<_>>(), 0)
}

fn pass(model: &Decoder, batch: &Batch, recompute: bool) -> Gradients {
    let settings = PassSettings { recompute, seed: 0 };
    let pass = Pass::forward(model, batch, OutputKind::LogProbs, settings);
    let mut gradients = Gradients::default();
    pass.backward(&Tensor::ones([batch.sequences], &model.device()), &mut gradients);
    gradients
}

/// Names of tensors by their sizes in bytes.
fn names(s: Shape) -> Vec<(usize, String)> {
    let tokens = s.rows * s.length;
    let widths = [
        ("hidden", s.hidden),
        ("queries", s.heads * s.head_dim),
        ("keys", s.kv_heads * s.head_dim),
        ("qkv", (s.heads + 2 * s.kv_heads) * s.head_dim),
        ("ffn", s.ffn),
        ("half-queries", s.heads * s.head_dim / 2),
        ("half-keys", s.kv_heads * s.head_dim / 2),
        ("half-head", s.head_dim / 2),
    ];
    let mut names: Vec<(usize, String)> =
        widths.iter().map(|(name, w)| (4 * tokens * w, (*name).to_owned())).collect();
    for (a, x) in &widths[..5] {
        for (b, y) in &widths[..5] {
            names.push((4 * x * y, format!("[{a}×{b}]")));
        }
    }
    names
}

fn main() {
    *LEDGER.lock().unwrap() = Some(Ledger::default());
    for kind in ["llama", "opt", "gpt2"] {
        for ffn in [4096, 208] {
            let length = if ffn == 208 { 512 } else { 128 };
            for layers in [1, 3] {
                let (heads, kv_heads, head_dim, hidden) =
                    if kind == "llama" { (6, 2, 24, 80) } else { (5, 5, 16, 80) };
                let rows = 2;
                measure(
                    kind,
                    Shape { hidden, heads, kv_heads, head_dim, ffn, layers, rows, length },
                );
            }
        }
    }
}

/// A decoder of which everything, an adapter on all linear layers, or one on the family's usual
/// ones is trained.
fn checkpoint(kind: &str, s: Shape, trained: &str) -> Checkpoint {
    let fill = |_: &str, shape: &[usize]| Ok(vec![0.01; shape.iter().product()]);
    let decoder = build(config(kind, s), &Device::flex(), &fill).expect("a model");
    let family = family_of(kind).expect("a family");
    let checkpoint = Checkpoint {
        decoder,
        family,
        json: serde_json::Value::Null,
        adapter: None,
        warnings: Vec::new(),
    };
    let targets = if trained == "all linear" { vec!["all-linear".to_owned()] } else { Vec::new() };
    let lora = LoraSettings { rank: 4, dropout: dropout(), targets, ..LoraSettings::default() };
    match lora.adapter("lora", "").expect("an adapter").filter(|_| trained != "everything") {
        Some(adapter) => add_adapter(checkpoint, adapter, 0, "lora".as_ref()).expect("targets"),
        None => checkpoint,
    }
}

/// The share of their inputs that adapters drop.
fn dropout() -> f64 {
    let mut words = std::env::args().skip_while(|word| word != "--dropout");
    words.nth(1).map_or(0.0, |share| share.parse().expect("a share"))
}

fn measure(kind: &str, s: Shape) {
    for trained in ["everything", "all linear", "usual"] {
        let checkpoint = checkpoint(kind, s, trained);
        let footprint = Footprint::of(&checkpoint, Precision::F32);
        let model = checkpoint.decoder;
        let batch = batch(s.rows, s.length);
        let shape = BatchShape { tokens: bucket(s.rows * s.length), targets: bucket(4 * s.rows) };
        for (mode, pass_kind) in [
            ("infer", PassKind::Infer),
            ("keep", PassKind::Keep),
            ("recompute", PassKind::Recompute),
        ] {
            let work = || match pass_kind {
                PassKind::Infer => drop(sequence_log_probs(&model, &batch).into_data()),
                other => drop(pass(&model, &batch, other == PassKind::Recompute)),
            };
            work();
            let (bytes, counts) = at_peak(work);
            let told = footprint.pass(&shape, false, pass_kind);
            tell(&format!("{kind}, {trained}, {mode}"), s, bytes, told, counts);
        }
        if trained == "everything" {
            update(kind, s, model, &batch, &footprint);
        }
    }
}

/// An update of the weights, moments in place.
fn update(kind: &str, s: Shape, model: Decoder, batch: &Batch, footprint: &Footprint) {
    let mut optimiser = AdamW::new(0.1);
    let first = pass(&model, batch, false);
    let model = optimiser.step(model, first, 1e-3);
    let mut gradients = pass(&model, batch, false);
    let (bytes, counts) = at_peak(|| {
        let norm = gradients.norm(&model.device());
        gradients.clip(&norm, 1e-3);
        drop(optimiser.step(model, gradients, 1e-3));
    });
    tell(&format!("{kind}, everything, update"), s, bytes, footprint.update(), counts);
}

fn tell(what: &str, s: Shape, bytes: usize, told: u64, counts: BTreeMap<usize, usize>) {
    println!(
        "{what}: rows {} length {} ffn {} layers {}: {bytes} bytes, footprint {told} ({:.3})",
        s.rows,
        s.length,
        s.ffn,
        s.layers,
        told as f64 / bytes as f64
    );
    let names = names(s);
    for (size, count) in counts.into_iter().rev() {
        let found: Vec<&str> =
            names.iter().filter(|(n, _)| *n == size).map(|(_, n)| n.as_str()).collect();
        println!("    {count:>3} × {size:>10}  {}", found.join(" or "));
    }
}
