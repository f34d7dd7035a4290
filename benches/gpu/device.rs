//! What a device tells of itself, and the rates that it reaches.

use std::time::Instant;

use burn::tensor::{
    Device, Distribution, FloatDType, MemoryAccess, Tensor, ThroughputKey, ThroughputMode,
};
use burn_cubecl::cubecl::ir::{ElemType, FloatKind};
use confide::model::Precision;
use serde_json::json;

use super::shared::option;

const ROUNDS: usize = 15;

pub(crate) fn run(words: &[String]) {
    let request = option(words, "--device", "gpu".to_owned());
    let quick = words.iter().any(|word| word == "--quick");
    let choice = confide::device::find(&request).expect("a device");
    let device = confide::device::open(&choice.device).expect("the device starts");
    let types = [("f16", FloatDType::F16), ("bf16", FloatDType::BF16)];
    let computes = types.into_iter().filter(|(_, dtype)| device.supports_dtype(*dtype));
    let holds = Precision::ALL.into_iter().filter(|precision| precision.check(&device).is_ok());
    println!(
        "{}",
        json!({
            "task": "device",
            "device": choice.device,
            "memory": choice.device.memory(),
            "limits": choice.device.limits(),
            "shaders": if cfg!(feature = "native-shaders") { "native" } else { "WGSL" },
            "computes": computes.map(|(name, _)| name).collect::<Vec<_>>(),
            "stores": holds.map(Precision::name).collect::<Vec<_>>(),
        })
    );
    reported(&device);
    products(&device, quick);
}

/// burn's own report of peaks.
fn reported(device: &Device) {
    let direct = |kind| ThroughputMode::ComputeDirect { dtype: ElemType::Float(kind) };
    let modes = [
        ("f32", direct(FloatKind::F32)),
        ("f16", direct(FloatKind::F16)),
        ("memory", ThroughputMode::memory(MemoryAccess::Copy)),
        ("launch", ThroughputMode::Launch),
    ];
    for (name, mode) in modes {
        // A mode at a time: one that a driver chokes on must not take the others along.
        for stat in device.performance_stats(&[ThroughputKey { mode }]) {
            println!("{}", json!({"task": "reported", "what": name, "value": stat.to_string()}));
        }
    }
}

/// Matrix products: a square one, and those that a step of qwen2.5-0.5b consists of.
fn products(device: &Device, quick: bool) {
    let shapes: &[[usize; 3]] = if quick {
        &[[128, 128, 128]]
    } else {
        &[[4096, 4096, 4096], [1024, 896, 4864], [1024, 4864, 896], [512, 896, 32768]]
    };
    for &[m, k, n] in shapes {
        for (name, dtype) in
            [("f32", FloatDType::F32), ("f16", FloatDType::F16), ("bf16", FloatDType::BF16)]
        {
            if !device.supports_dtype(dtype) {
                continue;
            }
            let random = |shape: [usize; 2]| {
                let values = Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device);
                values.cast(dtype)
            };
            let (a, b) = (random([m, k]), random([k, n]));
            let seconds = median(device, &|| drop(a.clone().matmul(b.clone())));
            let tflops = 2.0 * (m * k * n) as f64 / seconds / 1e12;
            println!(
                "{}",
                json!({"task": "product", "m": m, "k": k, "n": n, "dtype": name, "tflops": tflops})
            );
        }
    }
}

/// Median seconds of a call: so many in a row that waiting for the device does not count.
fn median(device: &Device, call: &dyn Fn()) -> f64 {
    const CALLS: usize = 10;
    let timed = || {
        let begun = Instant::now();
        (0..CALLS).for_each(|_| call());
        device.sync().expect("the device works");
        begun.elapsed().as_secs_f64() / CALLS as f64
    };
    timed();
    let mut times: Vec<f64> = (0..ROUNDS).map(|_| timed()).collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}
