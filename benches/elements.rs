//! What elementwise operations cost, plain and fused: `cargo bench --bench elements -- [--device
//! cpu]`. Prints nanoseconds per element, the median of some rounds; a minimal reproduction of what
//! the fused operations of `src/kernels` are for. On a GPU attention alone has a fused form.
#![allow(clippy::print_stdout, clippy::expect_used)]

use std::time::Instant;

use burn::tensor::{Device, Distribution, Int, Tensor, activation};
use confide::kernels::check::{self, Shape};
use confide::model::Activation;

#[path = "shared.rs"]
mod shared;

const ROWS: usize = 1024;
const COLUMNS: usize = 3072;
const ROUNDS: usize = 9;

/// Where calls are timed.
struct Bench(Device);

impl Bench {
    /// Median time of a call until the device has done it, in nanoseconds.
    fn median(&self, call: &dyn Fn()) -> f64 {
        let timed = || {
            let begun = Instant::now();
            call();
            self.0.sync().expect("the device works");
            begun.elapsed().as_secs_f64() * 1e9
        };
        timed();
        let mut times: Vec<f64> = (0..ROUNDS).map(|_| timed()).collect();
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    }

    fn tell(&self, what: &str, elements: usize, plain: &dyn Fn(), fused: Option<&dyn Fn()>) {
        let plain = self.median(plain) / elements as f64;
        match fused.map(|fused| self.median(fused) / elements as f64) {
            Some(fused) => println!("{what:<44} {plain:8.3} ns plain {fused:8.3} ns fused"),
            None => println!("{what:<44} {plain:8.3} ns plain"),
        }
    }
}

/// Forward and back.
fn trained(x: &Tensor<2>, f: &dyn Fn(Tensor<2>) -> Tensor<2>) {
    let x = x.clone().autodiff().require_grad();
    let gradients = f(x.clone()).sum().backward();
    std::hint::black_box(x.grad(&gradients));
}

#[allow(dead_code)]
fn main() {
    confide::allocator::keep_freed_memory();
    run(&shared::words());
}

/// The benchmark with these words behind its name.
pub(crate) fn run(words: &[String]) {
    let device = shared::device(&shared::option(words, "--device", "cpu".to_owned()));
    let bench = Bench(device.clone());
    let x = Tensor::<2>::random([ROWS, COLUMNS], Distribution::Normal(0.0, 1.0), &device);
    let n = ROWS * COLUMNS;
    let keep = |y: Tensor<2>| drop(std::hint::black_box(y));
    bench.tell("exp", n, &|| keep(x.clone().exp()), None);
    bench.tell("softmax", n, &|| keep(activation::softmax(x.clone(), 1)), None);
    bench.tell("log-softmax", n, &|| keep(activation::log_softmax(x.clone(), 1)), None);
    for (name, kind) in [("GELU", Activation::Gelu), ("SiLU", Activation::Silu)] {
        let plain = move |x: Tensor<2>| match kind {
            Activation::Silu => activation::silu(x),
            _ => activation::gelu(x),
        };
        let fused = move |x: Tensor<2>| check::activate(kind, x, None);
        bench.tell(name, n, &|| keep(plain(x.clone())), Some(&|| keep(fused(x.clone()))));
        let both = format!("{name}, forward and back");
        bench.tell(&both, n, &|| trained(&x, &plain), Some(&|| trained(&x, &fused)));
    }
    attention(&bench);
}

/// Eight sequences of 128 tokens in a row, 12 heads of 64: by score that a token needs.
fn attention(bench: &Bench) {
    let device = &bench.0;
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
    bench.tell(what, scores, &|| run(false), Some(&|| run(true)));
}
