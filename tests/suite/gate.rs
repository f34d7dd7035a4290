//! The gate that learns when to trust an annotator.

use std::path::Path;

use confide::preference::{Gate, aurc};
use confide::run::{Control, Job, Report, execute};
use serde_json::Value;

use crate::common::{assert_close, fixture, numbers};

fn rows(case: &Value) -> (Vec<Vec<f64>>, Vec<bool>) {
    let rows = case["rows"].as_array().unwrap().iter().map(numbers).collect();
    let right = case["right"].as_array().unwrap().iter().map(|r| r.as_bool().unwrap()).collect();
    (rows, right)
}

#[test]
fn a_gate_is_the_logistic_regression_of_scikit_learn() {
    let names = ["a", "b", "c", "d", "e"];
    for case in fixture("gate.json").as_array().unwrap() {
        let (rows, right) = rows(case);
        let names = &names[..rows[0].len()];
        let gate = Gate::fit(names, &rows, &right).unwrap();
        let found: Vec<f64> = gate.features.iter().map(|feature| feature.coefficient).collect();
        assert_close(&found, &numbers(&case["coefficients"]), 1e-4, "coefficients");
        let intercept = case["intercept"].as_f64().unwrap();
        assert_close(&[gate.intercept], &[intercept], 1e-4, "intercept");
        let judged: Vec<f64> = rows[..5].iter().map(|row| gate.log_odds(row)).collect();
        assert_close(&judged, &numbers(&case["log_odds"]), 1e-3, "log-odds");
    }
}

#[test]
fn a_gate_has_an_end_where_all_labels_are_right_and_none_without_pairs() {
    let rows: Vec<Vec<f64>> = (0..20).map(|i| vec![f64::from(i)]).collect();
    let gate = Gate::fit(&["a"], &rows, &[true; 20]).unwrap();
    assert!(gate.log_odds(&rows[0]).is_finite() && gate.log_odds(&rows[0]) > 2.0);
    assert_eq!(Gate::fit(&["a"], &[], &[]), None);
}

/// What a fold is judged by has not seen it: noise alone is no better than chance across folds.
#[test]
fn cross_fitting_does_not_judge_what_it_learned_from() {
    let noise = |i: usize| ((i * 7919 + 13) % 1009) as f64 / 1009.0;
    let rows: Vec<Vec<f64>> =
        (0..60).map(|i| (0..12).map(|k| noise(i * 31 + k * 101)).collect()).collect();
    let right: Vec<bool> = (0..60).map(|i| noise(i * 577 + 5) < 0.5).collect();
    let names = ["n"; 12];
    let own = Gate::fit(&names, &rows, &right).unwrap();
    let right_side = |judged: &[f64]| {
        judged.iter().zip(&right).filter(|(z, right)| (**z > 0.0) == **right).count()
    };
    let seen: Vec<f64> = rows.iter().map(|row| own.log_odds(row)).collect();
    let crossed = Gate::cross_fitted(&names, &rows, &right, 5);
    assert!(right_side(&seen) > right_side(&crossed) + 5);
}

fn run(settings: &[(&str, &str)], folder: &Path) -> Report {
    let small = [
        ("data.limit", "400"),
        ("annotator.kind", "length"),
        ("policy.epochs", "0"),
        ("device", "cpu"),
        ("data.labelled", "0.6"),
        ("data.calibration", "0.5"),
    ];
    let set: Vec<(String, String)> = small
        .iter()
        .chain(settings)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let recipe = confide::demo::recipe().with(&set).unwrap();
    let job = Job::Fresh { recipe: Box::new(recipe), folder: folder.to_owned(), download: false };
    execute(job, Control::default(), &mut |_| ()).unwrap()
}

#[test]
fn a_gate_changes_confidence_and_no_label() {
    let folder = tempfile::tempdir().unwrap();
    let plain = run(&[], &folder.path().join("plain"));
    let gated = run(&[("confidence.gate", "true")], &folder.path().join("gated"));
    assert_eq!(plain.annotator.accuracy, gated.annotator.accuracy);
    assert_eq!(plain.confidence.gate, None);
    let gate = gated.confidence.gate.unwrap();
    let names: Vec<&str> = gate.gate.features.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["stated_margin", "length_gap", "prompt_rarity"]);
    assert!(gate.pairs > 30 && gate.cross_fitted.is_some());
    let read = |name: &str| {
        confide::data::read_annotations(&folder.path().join(name).join("annotations.parquet"))
            .unwrap()
    };
    let (before, after) = (read("plain"), read("gated"));
    let known: std::collections::HashMap<Option<u64>, _> =
        before.iter().map(|pair| (pair.pair, pair)).collect();
    let (mut compared, mut held_out) = (0, Vec::new());
    for pair in &after {
        assert!(pair.margin >= 0.0 && pair.columns["prompt_rarity"] <= 1.0);
        if let Some(plain) = known.get(&pair.pair) {
            compared += 1;
            assert_eq!((plain.label, plain.margin), (pair.label, pair.columns["stated_margin"]));
            let longer = pair.columns["length_gap"];
            assert!(
                (longer - pair.columns["stated_margin"]).abs() < 1e-5,
                "the longer one is chosen"
            );
        }
        if pair.split == "held_out" {
            held_out.extend(pair.signed_margin());
        }
    }
    assert!(compared > 100, "{compared}");
    assert_eq!(gated.annotator.aurc, aurc(&held_out));
}

#[test]
fn a_gate_and_a_calibration_are_not_fitted_on_the_same_pairs() {
    let with = |key: &str, value: &str| {
        let set = [("confidence.gate", "true"), (key, value)];
        let set = set.map(|(key, value)| (key.to_owned(), value.to_owned()));
        confide::demo::recipe().with(&set).unwrap_err().to_string()
    };
    for (key, value) in [("confidence.temperature", "fit"), ("confidence.calibration", "isotonic")]
    {
        assert!(with(key, value).contains("confidence.gate = false"), "{}", with(key, value));
    }
    let human = with("annotator.kind", "human");
    assert!(human.contains("repeats the labels"), "{human}");
}
