//! What elementwise operations cost on the CPU backend, plain and fused: `cargo bench --bench
//! elements`. Prints nanoseconds per element, the median of some rounds; a minimal reproduction of
//! what the fused operations of `src/kernels` are for.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::{Device, Distribution, Int, Tensor, activation};
use confide::kernels::check::{self, Shape};
use confide::model::Activation;

const ROWS: usize = 1024;
const COLUMNS: usize = 3072;
const ROUNDS: usize = 9;

/// Median time of a call, in nanoseconds.
fn median(call: &dyn Fn()) -> f64 {
    call();
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            call();
            begun.elapsed().as_secs_f64() * 1e9
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn tell(what: &str, elements: usize, plain: &dyn Fn(), fused: Option<&dyn Fn()>) {
    let plain = median(plain) / elements as f64;
    match fused.map(|fused| median(fused) / elements as f64) {
        Some(fused) => println!("{what:<44} {plain:7.2} ns plain {fused:7.2} ns fused"),
        None => println!("{what:<44} {plain:7.2} ns plain"),
    }
}

/// Forward and back.
fn trained(x: &Tensor<2>, f: &dyn Fn(Tensor<2>) -> Tensor<2>) {
    let x = x.clone().autodiff().require_grad();
    let gradients = f(x.clone()).sum().backward();
    std::hint::black_box(x.grad(&gradients));
}

fn main() {
    confide::allocator::keep_freed_memory();
    let device = Device::flex();
    let x = Tensor::<2>::random([ROWS, COLUMNS], Distribution::Normal(0.0, 1.0), &device);
    let n = ROWS * COLUMNS;
    let keep = |y: Tensor<2>| drop(std::hint::black_box(y));
    tell("exp", n, &|| keep(x.clone().exp()), None);
    tell("softmax", n, &|| keep(activation::softmax(x.clone(), 1)), None);
    tell("log-softmax", n, &|| keep(activation::log_softmax(x.clone(), 1)), None);
    for (name, kind) in [("GELU", Activation::Gelu), ("SiLU", Activation::Silu)] {
        let plain = move |x: Tensor<2>| match kind {
            Activation::Silu => activation::silu(x),
            _ => activation::gelu(x),
        };
        let fused = move |x: Tensor<2>| check::activate(kind, x, None);
        tell(name, n, &|| keep(plain(x.clone())), Some(&|| keep(fused(x.clone()))));
        let both = format!("{name}, forward and back");
        tell(&both, n, &|| trained(&x, &plain), Some(&|| trained(&x, &fused)));
    }
    attention(&device);
}

/// Eight sequences of 128 tokens in a row, 12 heads of 64: by score that a token needs.
fn attention(device: &Device) {
    let (sequences, length, shape) =
        (8, 128, Shape { heads: 12, kv_heads: 12, head_dim: 64, window: None });
    let tokens = sequences * length;
    let spans: Vec<[i32; 4]> = (0..tokens)
        .map(|i| (i / length * length) as i32)
        .map(|start| [start, start, start, start + length as i32])
        .collect();
    let spans = Tensor::<1, Int>::from_ints(spans.as_flattened(), device).reshape([tokens, 4]);
    let random = || Tensor::<2>::random([tokens, 768], Distribution::Normal(0.0, 1.0), device);
    let qkv = [random(), random(), random()];
    let run = |fused: bool| {
        let qkv = qkv.clone().map(|x| x.autodiff().require_grad());
        let mixed = check::attention(qkv.clone(), spans.clone(), shape, fused);
        std::hint::black_box(qkv[0].grad(&mixed.sum().backward()));
    };
    let scores = shape.heads * sequences * length * (length + 1) / 2;
    let what = "attention, forward and back, by score";
    tell(what, scores, &|| run(false), Some(&|| run(true)));
}
