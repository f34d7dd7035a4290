//! The GPU path against the CPU path, with tiny shapes, so that a software adapter will do.
//!
//! Runs on the first adapter of the machine; without any, each test says that it is skipped. With
//! `CONFIDE_TEST_LIMITS=least` the adapter is given no more than WebGPU guarantees everywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attention;
#[path = "../suite/faults/broken.rs"]
mod broken;
#[path = "../suite/common.rs"]
#[allow(dead_code)]
mod common;
#[cfg(target_os = "linux")]
mod faults;
mod limits;
#[path = "../suite/packing/shared.rs"]
mod packing;
#[path = "../suite/adapters/shared.rs"]
#[allow(dead_code)]
mod shared;

use std::sync::{LazyLock, Mutex, MutexGuard};

use burn::tensor::{DType, Device, Tensor};
use common::{assert_close, repository, trace, vector};
use confide::batch::{Batch, Sequence};
use confide::device::{Class, list, open, open_with_least_limits};
use confide::model::{
    Decoder, ModelError, ModelFiles, Precision, Sampling, Storage, Targets, collect_tensors,
    generate, load, load_as, save, sequence_log_probs, sequence_scores,
};
use confide::run::{Control, Event, Job, Recipe, RunError, Stage, execute};
use confide::train::{AdamW, Gradients, OutputKind, Pass, PassSettings};
use serde_json::Value;

/// The device and a lock: kernels of several tests at once would only wait for each other.
static GPU: LazyLock<Option<Mutex<Device>>> = LazyLock::new(|| {
    // SAFETY: set once, before the runtime that reads it starts; nothing else sets variables.
    unsafe { std::env::set_var("CUBECL_AUTOTUNE_LEVEL", "minimal") };
    let adapter = list().into_iter().find(|candidate| candidate.class != Class::Cpu)?;
    let least = std::env::var("CONFIDE_TEST_LIMITS").is_ok_and(|wanted| wanted == "least");
    let limits = if least { "the least limits" } else { "its own limits" };
    eprintln!("adapter: {}, with {limits}", adapter.describe());
    let device = if least { open_with_least_limits(&adapter) } else { open(&adapter) };
    Some(Mutex::new(device.unwrap()))
});

/// The same adapter with the least limits, as a device of its own, so that its kernels are built beside the other's.
static LEAST: LazyLock<Option<Mutex<Device>>> = LazyLock::new(|| {
    GPU.as_ref()?;
    let adapter = list().into_iter().find(|candidate| candidate.class != Class::Cpu)?;
    Some(Mutex::new(open_with_least_limits(&adapter).unwrap()))
});

fn gpu() -> Option<MutexGuard<'static, Device>> {
    let device = GPU.as_ref();
    if device.is_none() {
        eprintln!("skipped: this machine has no graphics adapter, not even a software one");
    }
    device.map(|d| d.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn model(family: &str, device: &Device) -> Decoder {
    let folder = repository("tests/fixtures/models").join(family);
    load(&ModelFiles::folder(&folder).unwrap(), device).unwrap().decoder
}

fn batch() -> Batch {
    let sequence = |prompt: &[u32], response: &[u32]| Sequence {
        prompt: prompt.into(),
        response: response.to_vec(),
    };
    let rows = [sequence(&[5, 9, 11], &[3, 8, 60, 1]), sequence(&[7, 2], &[44, 13])];
    Batch::one_per_row(&rows.iter().collect::<Vec<_>>(), 0)
}

/// Two steps of training: log-probabilities before, after, and the gradient norms.
fn two_steps(mut model: Decoder) -> Vec<f64> {
    let mut numbers = Vec::new();
    let mut optimiser = AdamW::new(0.01);
    let device = model.device();
    for recompute in [false, true] {
        let settings = PassSettings { recompute, seed: 0 };
        let batch = batch();
        let pass = Pass::forward(&model, &batch, OutputKind::LogProbs, settings);
        numbers.extend(vector(pass.outputs()));
        let mut gradients = Gradients::default();
        pass.backward(&Tensor::full([2], -0.5, &device), &mut gradients);
        let norm = gradients.norm(&device);
        gradients.clip(&norm, 1.0);
        numbers.extend(vector(norm));
        model = optimiser.step(model, gradients, 1e-2);
    }
    numbers.extend(vector(sequence_log_probs(&model, &batch())));
    numbers
}

#[test]
fn training_steps_agree_with_the_cpu() {
    let Some(device) = gpu() else { return };
    for family in ["llama-tied", "gpt2", "opt-postln", "gemma3"] {
        let found = two_steps(model(family, &device));
        assert_close(&found, &two_steps(model(family, &Device::flex())), 1e-3, family);
    }
}

/// A model whose weights the precision can hold exactly, so that every device stores the same.
fn exact_in(precision: Precision) -> tempfile::TempDir {
    let (folder, rounded) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // 16 key and value outputs are half a block; everything else is whole blocks of 32.
    let files = shared::tiny_llama(folder.path(), [32, 64, 65]);
    let checkpoint = load_as(&files, &Device::flex(), precision).unwrap();
    save(rounded.path(), &checkpoint, None, Storage::F32).unwrap();
    rounded
}

fn narrow(folder: &std::path::Path, device: &Device, precision: Precision) -> Decoder {
    let files = ModelFiles::folder(folder).unwrap();
    let checkpoint = load_as(&files, device, precision).unwrap();
    let adapter = shared::plain(4, Targets::AllLinear);
    shared::shaken(shared::with_adapter(checkpoint, adapter)).decoder
}

#[test]
fn adapters_on_narrow_weights_agree_with_the_cpu() {
    let Some(device) = gpu() else { return };
    for precision in Precision::ALL {
        let name = precision.name();
        let folder = exact_in(precision);
        if let Err(error) = precision.check(&device) {
            let files = ModelFiles::folder(folder.path()).unwrap();
            let refused = load_as(&files, &device, precision).unwrap_err();
            assert!(matches!(refused, ModelError::Precision { .. }), "{refused}");
            for word in [name, "f32", "device = \"cpu\""] {
                assert!(error.to_string().contains(word), "{error}");
            }
            eprintln!("{error}");
            continue;
        }
        let begun = std::time::Instant::now();
        let (on_gpu, on_cpu) = (
            narrow(folder.path(), &device, precision),
            narrow(folder.path(), &Device::flex(), precision),
        );
        let output = &on_gpu.layers[0].attention.output.weight.val();
        let packed = matches!(output.dtype(), DType::QFloat(_));
        assert_eq!(packed, matches!(precision, Precision::Int8 | Precision::Int4), "{name}");
        let (stored, wanted) = (collect_tensors(&on_gpu), collect_tensors(&on_cpu));
        for (path, tensor) in &stored {
            let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            assert_close(
                &wide(&tensor.values),
                &wide(&wanted[path].values),
                1e-6,
                &format!("{path} as {name} stores it"),
            );
        }
        assert_close(&two_steps(on_gpu), &two_steps(on_cpu), 1e-3, name);
        eprintln!("{name} agrees after {:.1} s", begun.elapsed().as_secs_f64());
    }
}

#[test]
fn scores_and_samples_agree_with_the_cpu() {
    let Some(device) = gpu() else { return };
    let (on_gpu, on_cpu) = (model("llama-score", &device), model("llama-score", &Device::flex()));
    let scores = |m: &Decoder| vector(sequence_scores(m, &batch()));
    assert_close(&scores(&on_gpu), &scores(&on_cpu), 1e-3, "scores");
    let greedy = Sampling { max_new_tokens: 6, temperature: 0.0, ..Sampling::default() };
    let sample = |m: &Decoder| generate(m, &[vec![5, 9, 11], vec![2]], &[], &greedy).unwrap();
    for family in ["qwen2", "mistral-window"] {
        let (on_gpu, on_cpu) = (model(family, &device), model(family, &Device::flex()));
        for (found, wanted) in sample(&on_gpu).iter().zip(sample(&on_cpu)) {
            assert_eq!(found.tokens, wanted.tokens, "{family}");
            assert_close(&found.log_probs, &wanted.log_probs, 1e-3, family);
        }
    }
}

/// The device finds out by itself that a step is to be skipped.
#[test]
fn a_step_without_a_finite_loss_is_skipped() {
    let Some(device) = gpu() else { return };
    broken::skipping_leaves_everything(&model("llama-tied", &device));
}

/// The same hashes drop the same inputs, in both passes.
#[test]
fn dropped_inputs_are_those_of_the_cpu() {
    use confide::kernels::check::dropped_product;
    let Some(device) = gpu() else { return };
    // Wider than a group of threads.
    let (rows, inner, outer) = (37, 300, 5);
    let numbers = |count: usize| (0..count).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0);
    let run = |device: &Device| {
        let matrix = |rows: usize, columns: usize| {
            let data = burn::tensor::TensorData::new(
                numbers(rows * columns).collect::<Vec<f32>>(),
                [rows, columns],
            );
            Tensor::<2>::from_data(data, device).autodiff().require_grad()
        };
        let (x, w) = (matrix(rows, inner), matrix(inner, outer));
        let y = dropped_product(x.clone(), w.clone(), 0x0123_4567_89ab_cdef, 0.3, None);
        let mut gradients = y.clone().square().sum().backward();
        let mut of = |t: &Tensor<2>| vector(t.grad_remove(&mut gradients).unwrap());
        let (dx, dw) = (of(&x), of(&w));
        [vector(y.inner()), dx, dw]
    };
    let (found, wanted) = (run(&device), run(&Device::flex()));
    for (what, (found, wanted)) in ["y", "dx", "dw"].iter().zip(found.iter().zip(&wanted)) {
        assert_close(found, wanted, 1e-3, what);
    }
    // Nothing is left of what is dropped.
    let zeros = |numbers: &[f64]| numbers.iter().filter(|v| **v == 0.0).count();
    assert_eq!(zeros(&found[1]), zeros(&wanted[1]));
    assert!(zeros(&found[1]) > rows * inner / 5, "{}", zeros(&found[1]));
}

/// A small run with a checkpoint after every step.
fn recipe() -> Recipe {
    confide::demo::recipe()
        .with(
            &[
                ("device", "gpu"),
                ("data.limit", "24"),
                ("annotator.steps", "2"),
                ("annotator.batch_size", "2"),
                ("sft.steps", "1"),
                ("sft.batch_size", "2"),
                ("policy.steps", "4"),
                ("policy.batch_size", "2"),
                ("data.max_length", "64"),
                ("evaluate.samples", "0"),
                ("checkpoint_seconds", "0"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned())),
        )
        .unwrap()
}

/// Steps are told late and checkpoints read by another thread: neither may change what a run
/// that is stopped and resumed comes to.
#[test]
fn a_whole_run_ends_on_the_gpu_also_after_a_stop() {
    let Some(_device) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let fresh = |name: &str| Job::Fresh {
        recipe: Box::new(recipe()),
        folder: folder.path().join(name),
        download: false,
    };
    let mut last = None;
    execute(fresh("calm"), Control::default(), &mut |event| last = Some(event)).unwrap();
    assert!(matches!(last, Some(Event::Finished { .. })), "{last:?}");

    let control = Control::default();
    let stopped = execute(fresh("stopped"), control.clone(), &mut |event| {
        if matches!(event, Event::Step { stage: Stage::POLICY, step: 2, .. }) {
            control.stop();
        }
    });
    assert!(matches!(stopped, Err(RunError::Stopped)), "{stopped:?}");
    let resume = Job::Resume { folder: folder.path().join("stopped"), device: None };
    execute(resume, Control::default(), &mut |_| {}).unwrap();

    let [calm, stopped] = ["calm", "stopped"].map(|name| trace(&folder.path().join(name)));
    assert_eq!(calm.len(), stopped.len());
    for (calm, stopped) in calm.iter().zip(&stopped) {
        assert_eq!([&calm["stage"], &calm["step"]], [&stopped["stage"], &stopped["step"]]);
        let loss = |step: &Value| step["metrics"]["loss"].as_f64().unwrap();
        assert_close(&[loss(stopped)], &[loss(calm)], 1e-5, "loss");
    }
}
