//! What is told of memory before a run, against what the run then takes.

use std::path::Path;
use std::process::Output;

use burn::tensor::Device;
use confide::batch::{Ranked, Sequence};
use confide::model::{
    BatchShape, Checkpoint, Footprint, ModelFiles, PassKind, Precision, Storage, build,
    read_config, save,
};
use confide::run::{Event, read_events};
use confide::train::{BradleyTerryTask, ExecutionPlan, GradientCheckpointing, Sampler, Training};
use serde_json::{Value, json};

use crate::common::{program, repository};

fn confide(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

/// A model of some size with random weights, and the tokenizer of the demonstration.
fn model(folder: &Path) {
    let strong = repository("assets/strong");
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(strong.join("config.json")).unwrap()).unwrap();
    for (key, value) in
        [("hidden_size", 384), ("intermediate_size", 1024), ("num_hidden_layers", 6)]
    {
        config[key] = json!(value);
    }
    config["num_attention_heads"] = json!(6);
    config["num_key_value_heads"] = json!(3);
    config["head_dim"] = json!(64);
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(strong.join(file), folder.join(file)).unwrap();
    }
    let files = ModelFiles::folder(folder).unwrap();
    let (family, shape, json) = read_config(&files).unwrap();
    let small = |i: usize| ((i * 7919) % 1013) as f32 / 1013.0 * 0.04 - 0.02;
    let fill = |_: &str, shape: &[usize]| Ok((0..shape.iter().product()).map(small).collect());
    let decoder = build(shape, &Device::flex(), &fill).unwrap();
    let checkpoint = Checkpoint { decoder, family, json, adapter: None, warnings: Vec::new() };
    save(folder, &checkpoint, None, Storage::F32).unwrap();
}

fn recipe(folder: &Path, policy: &str) -> String {
    let path = folder.join("recipe.toml");
    let text = format!(
        "name = 'm'\ndevice = 'cpu'\n[data]\nfiles = ['builtin:demo']\nlimit = 96\nlabelled = 0.0\n\
         [annotator]\nkind = 'human'\n[sft]\nepochs = 0\n[evaluate]\nsamples = 0\n\
         [policy]\nmodel = 'model'\nsteps = 2\nbatch_size = 16\naccumulate = 1\n{policy}\n"
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn estimate(args: &[&str]) -> (bool, Value) {
    let output = confide(&[&["estimate", "--json"], args].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&text).unwrap_or_else(|e| {
        panic!("{e}: {text}{}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.success(), value)
}

/// The estimate of a run within a tenth of the peak that the system counts for its process.
#[test]
fn a_run_takes_what_was_estimated() {
    for (name, policy) in [
        ("everything, layers kept", "recompute = 'never'"),
        ("an adapter, layers recomputed", "recompute = 'always'\nlora = { rank = 8 }"),
        ("an adapter on 8 bits", "recompute = 'never'\nprecision = 'int8'\nlora = { rank = 8 }"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("model")).unwrap();
        model(&folder.path().join("model"));
        let recipe = recipe(folder.path(), policy);
        let (fits, told) = estimate(&[&recipe]);
        assert!(fits, "{name}: {told}");
        let out = folder.path().join("run");
        let ran = confide(&["run", &recipe, "--out", out.to_str().unwrap()]);
        assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
        let peaks = read_events(&out).unwrap().into_iter().filter_map(|event| match event {
            Event::StageEnded { peak_memory, .. } => peak_memory,
            _ => None,
        });
        let (peak, told) = (peaks.max().unwrap() as f64, told["total"].as_f64().unwrap());
        let ratio = told / peak;
        eprintln!("{name}: {told} told, {peak} taken, ratio {ratio:.3}");
        assert!((0.9..=1.1).contains(&ratio), "{name}: {told} told, {peak} taken: {ratio:.3}");
    }
}

#[test]
fn what_does_not_fit_is_told_with_changes_that_make_it_fit() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("model")).unwrap();
    model(&folder.path().join("model"));
    let recipe = recipe(folder.path(), "recompute = 'never'\nmicro_batch = 16");
    let (_, whole) = estimate(&[&recipe]);
    // Less than the whole, more than what is left of it where layers are computed again.
    let again = ["policy.recompute=always", "policy.micro_batch=1"];
    let least = estimate(&[&recipe, "--set", again[0], "--set", again[1]]).1;
    let total = |told: &Value| told["total"].as_f64().unwrap();
    let gib = 0.5 * (total(&whole) + total(&least)) / f64::from(1 << 30);
    let memory = format!("device_memory={gib:.4}");
    let (fits, told) = estimate(&[&recipe, "--set", &memory]);
    assert!(!fits, "{told}");
    let advice = told["advice"].as_array().unwrap();
    assert!(!advice.is_empty(), "{told}");
    for way in advice {
        let mut args = vec![recipe.clone(), "--set".to_owned(), memory.clone()];
        for setting in way["settings"].as_array().unwrap() {
            let (key, value) = (setting[0].as_str().unwrap(), setting[1].as_str().unwrap());
            args.extend(["--set".to_owned(), format!("{key}={value}")]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        assert!(estimate(&args).0, "{way} does not make it fit");
    }
    // Left to itself, the run finds the first of these by itself.
    let auto = ["--set", "policy.recompute=auto", "--set", "policy.micro_batch=0"];
    assert!(estimate(&[&[recipe.as_str(), "--set", &memory][..], &auto].concat()).0);
    let nothing = estimate(&[&recipe, "--set", "device_memory=0.001"]).1;
    assert_eq!(nothing["fits"], false);
    assert_eq!(nothing["advice"].as_array().unwrap().len(), 0, "{nothing}");
}

fn footprint() -> Footprint {
    let files = ModelFiles::folder(&repository("assets/strong")).unwrap();
    let (family, config, _) = read_config(&files).unwrap();
    Footprint::new(&config, family, None, true, Precision::F32, &Device::flex())
}

/// The fastest plan that fits is taken; the settings are obeyed whatever fits.
#[test]
fn the_fastest_plan_that_fits_is_chosen() {
    let footprint = footprint();
    let side = |n: usize| Sequence { prompt: vec![1; n].into(), response: vec![2; n] };
    let pairs = (0..32).map(|i| Ranked::of([side(8 + i), side(9 + i)], false)).collect();
    let task = BradleyTerryTask::new(pairs, 0);
    let training = Training { batch_size: 8, accumulate: 2, ..Training::default() };
    let order = Sampler::new(32, &training, true, 0, 0);
    let choose = |training: &Training, limit| {
        let (plan, needs) = ExecutionPlan::choose(&footprint, &task, &order, training, limit);
        assert_eq!(needs, plan.needs(&footprint, &task, &order, training));
        (plan, needs)
    };
    let (free, most) = choose(&training, Some(u64::MAX));
    assert_eq!((free.recompute, free.micro_batch), (false, 8));
    let (tight, least) = choose(&training, Some(1));
    assert_eq!((tight.recompute, tight.micro_batch), (true, 1));
    assert!(least.total() < most.total());
    let mut before = most.total();
    while before > least.total() {
        let (_, needs) = choose(&training, Some(before - 1));
        assert!(needs.total() < before);
        before = needs.total();
    }
    let fixed = Training { recompute: GradientCheckpointing::Always, micro_batch: 3, ..training };
    let (plan, _) = choose(&fixed, Some(u64::MAX));
    assert_eq!((plan.recompute, plan.micro_batch), (true, 3));
}

/// More positions, more targets and kept layers never take less; a shared prompt takes nothing.
#[test]
fn a_footprint_grows_with_its_batch() {
    let footprint = footprint();
    let kinds = [PassKind::Infer, PassKind::Recompute, PassKind::Keep];
    for tokens in [16, 64, 256, 1024] {
        let batch = BatchShape { tokens, targets: tokens / 2 };
        let longer = BatchShape { tokens: tokens + 16, ..batch };
        let more = BatchShape { targets: tokens / 2 + 8, ..batch };
        let pass = |batch: &BatchShape, kind| footprint.pass(batch, false, kind);
        for kind in kinds {
            assert!(pass(&batch, kind) <= pass(&more, kind));
            assert!(pass(&batch, kind) <= pass(&longer, kind));
        }
        assert!(pass(&batch, PassKind::Infer) <= pass(&batch, PassKind::Recompute));
        assert!(pass(&batch, PassKind::Recompute) <= pass(&batch, PassKind::Keep));
    }
    let side = |n: u32| Sequence { prompt: (0..n).collect(), response: vec![2; 5] };
    let (a, b) = (side(40), side(41));
    assert_eq!(BatchShape::of(&[&a, &a.clone()]), BatchShape { tokens: 64, targets: 16 });
    assert_eq!(BatchShape::of(&[&a, &b]), BatchShape { tokens: 96, targets: 16 });
}
