//! Losses, gradients, weights and scores that are no numbers; ties.

use confide::data::{Side, read_annotations, weak_label};
use confide::model::{SavedTensor, Storage, load_named, save_tensors};
use confide::run::{Event, Stage};

use super::broken::skipping_leaves_everything;
use super::*;
use crate::common::program;

/// Steps at which the policy's loss and gradient are numbers, or not.
fn finite(outcome: &Outcome) -> Vec<bool> {
    let step = |event: &Event| match event {
        Event::Step { stage: Stage::POLICY, metrics, .. } => {
            let is = |name: &str| metrics.get(name).is_some_and(f64::is_finite);
            Some(is("loss") && is("grad_norm"))
        }
        _ => None,
    };
    outcome.events.iter().filter_map(step).collect()
}

fn all_finite(path: &Path) -> bool {
    let tensors = load_named(path).unwrap();
    tensors.values().all(|tensor| tensor.values.iter().all(|v| v.is_finite()))
}

const DIVERGES: [(&str, &str); 5] = [
    ("policy.epochs", "10"),
    ("policy.learning_rate", "1e30"),
    ("policy.warmup_steps", "0"),
    ("policy.max_grad_norm", "0"),
    ("policy.schedule", "constant"),
];

#[test]
fn a_training_that_diverges_ends_with_the_last_finite_weights() {
    let model = Model::llama();
    let pairs = some_pairs(model.path());
    for allowed in [0usize, 2, 5] {
        let skip = allowed.to_string();
        let settings = [&DIVERGES[..], &[("policy.skip_nonfinite", skip.as_str())]].concat();
        let outcome = run(model.path(), &pairs, &settings);
        let error = outcome.error();
        let steps = finite(&outcome);
        assert_eq!(steps.iter().filter(|finite| !**finite).count(), allowed + 1, "{steps:?}");
        assert_eq!(outcome.warnings().iter().filter(|w| w.contains("is skipped")).count(), allowed);
        if allowed > 0 {
            let word = format!("1 of the {allowed} that policy.skip_nonfinite allows");
            outcome.warned(&["policy: the", word.as_str()]);
        }
        let words = [
            "policy: the ",
            "no finite number",
            "policy.skip_nonfinite",
            "lower policy.learning_rate, which is 1e30",
            "policy.max_grad_norm",
            "checkpoints",
        ];
        assert_says(&error, &words);
        assert!(!outcome.folder.join("policy").exists(), "nothing is exported");
        let checkpoint = format!("checkpoints/policy-{}", steps.len());
        for file in ["model.safetensors", "optimizer.safetensors"] {
            assert!(all_finite(&outcome.folder.join(&checkpoint).join(file)), "{file}");
        }
    }
}

#[test]
fn a_run_that_diverges_exits_with_1() {
    let model = Model::llama();
    let pairs = some_pairs(model.path());
    let recipe = model.path().join("recipe.toml");
    let text = format!(
        "device = 'cpu'\ndata = {{ files = ['{}'], labelled = 1.0, held_out = 0.0 }}\n\
         annotator = {{ kind = 'human' }}\nsft = {{ epochs = 0 }}\nevaluate = {{ samples = 0 }}\n\
         policy = {{ model = '{}', batch_size = 4, accumulate = 1 }}",
        pairs.display(),
        model.path().display(),
    );
    std::fs::write(&recipe, text).unwrap();
    let mut command = program();
    command.arg("run").arg(&recipe).arg("--out").arg(model.path().join("run"));
    for (key, value) in DIVERGES {
        command.args(["--set", &format!("{key}={value}")]);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_says(&words, &["error: policy: ", "lower policy.learning_rate"]);
}

/// What is left after a step that is skipped is what the steps before it made.
#[test]
fn a_skipped_step_changes_nothing() {
    let model = Model::llama();
    let decoder = confide::model::load(&model.files(), &Device::flex()).unwrap().decoder;
    skipping_leaves_everything(&decoder);
}

/// Overwrite the first number of a tensor of a model's file.
fn spoil(model: &Model, name: &str, value: f32) {
    let path = model.path().join("model.safetensors");
    let mut tensors = load_named(&path).unwrap();
    tensors.get_mut(name).unwrap().values[0] = value;
    save_tensors(&path, &tensors, Storage::F32).unwrap();
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    let name = "model.layers.1.mlp.up_proj.weight";
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let model = Model::llama();
        spoil(&model, name, value);
        let pairs = some_pairs(model.path());
        let outcome = run(model.path(), &pairs, &[("annotator.kind", "reward-head")]);
        assert_says(&outcome.error(), &["model.safetensors", name, "1 numbers", "NaN or infinite"]);
    }
}

/// Finite weights whose product is none.
#[test]
fn scores_that_are_no_numbers_end_a_run() {
    let model = Model::llama();
    let path = model.path().join("model.safetensors");
    let mut tensors = load_named(&path).unwrap();
    tensors.get_mut("model.norm.weight").unwrap().values.fill(1e10);
    let head = SavedTensor { shape: vec![1, 16], values: vec![1e38; 16] };
    tensors.insert("score.weight".to_owned(), head);
    save_tensors(&path, &tensors, Storage::F32).unwrap();
    let pairs = some_pairs(model.path());
    let settings =
        [("annotator.kind", "reward-head"), ("annotator.epochs", "0"), ("data.labelled", "0.0")];
    let outcome = run(model.path(), &pairs, &settings);
    assert_says(&outcome.error(), &["gives a sequence", "expected a finite number"]);
    assert!(!outcome.folder.join("annotations.parquet").exists());
}

#[test]
fn a_coin_breaks_ties_and_ties_agree_with_nobody() {
    let model = Model::llama();
    // A head of zeros scores everything alike.
    let path = model.path().join("model.safetensors");
    let mut tensors = load_named(&path).unwrap();
    let head = SavedTensor { shape: vec![1, 16], values: vec![0.0; 16] };
    tensors.insert("score.weight".to_owned(), head);
    save_tensors(&path, &tensors, Storage::F32).unwrap();
    let texts: Vec<[String; 3]> = (0..200)
        .map(|i| [format!("Question {i}? "), format!("Yes {i}."), format!("No {i}.")])
        .collect();
    let pairs: Vec<[&str; 3]> = texts.iter().map(|t| t.each_ref().map(String::as_str)).collect();
    let pairs = data(model.path(), &pairs);
    let labels = |seed: &str| {
        let settings = [
            ("annotator.kind", "reward-head"),
            ("annotator.epochs", "0"),
            ("data.labelled", "0.0"),
            ("data.held_out", "0.2"),
            ("policy.epochs", "0"),
            ("seed", seed),
        ];
        let outcome = run(model.path(), &pairs, &settings);
        let report = outcome.report.as_ref().unwrap();
        assert_eq!(report.annotator.accuracy, Some(0.0));
        assert_eq!(report.confidence.agreement, Some(0.0));
        outcome.warned(&["scores both responses of 200 of 200 pairs alike", "a coin"]);
        let annotated = read_annotations(&outcome.folder.join("annotations.parquet")).unwrap();
        assert!(annotated.iter().all(|pair| pair.agrees() == Some(false)));
        annotated.iter().map(|pair| pair.label).collect::<Vec<Side>>()
    };
    let one = labels("1");
    let first = one.iter().filter(|side| **side == Side::First).count() as f64;
    // Four standard deviations of 200 coins.
    assert!((first - 100.0).abs() <= 4.0 * 50f64.sqrt(), "{first} of 200 fell on the first");
    assert_eq!(one, labels("1"));
}

#[test]
fn only_ties_need_a_coin() {
    let never = || panic!("no tie");
    assert_eq!(weak_label([0.5, 0.25], never), Side::First);
    assert_eq!(weak_label([-0.5, 0.25], never), Side::Second);
    for side in [Side::First, Side::Second] {
        assert_eq!(weak_label([0.5, 0.5], || side), side);
    }
}
