//! Annotators of several members, in whole runs.

use std::path::Path;

use confide::annotate::{Ensemble, trust};
use confide::data::{AnnotatedPair, read_annotations};
use confide::run::{
    Control, Estimate, Event, Job, Metrics, Recipe, Report, RunError, Stage, estimate, execute,
};

use crate::common::{assert_close, ran};

fn recipe(settings: &[(&str, &str)]) -> Recipe {
    let text = "device = 'cpu'\nname = 'ensemble'\n\
        data = { files = ['builtin:demo'], limit = 60, labelled = 0.4, held_out = 0.2 }\n\
        annotator = { model = 'builtin:weak', steps = 4, batch_size = 4, learning_rate = 1e-3 }\n\
        sft = { epochs = 0 }\n\
        policy = { model = 'builtin:strong', steps = 1, batch_size = 100, accumulate = 1 }\n\
        evaluate = { samples = 0 }";
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Recipe::parse(text, Path::new("ensemble.toml"), &set).unwrap()
}

/// Numbers of the steps of a stage.
fn steps(events: &[Event], wanted: Stage) -> Vec<(u64, Metrics)> {
    let step = |event: &Event| match event {
        Event::Step { stage, step, metrics } if *stage == wanted => Some((*step, metrics.clone())),
        _ => None,
    };
    events.iter().filter_map(step).collect()
}

fn run(folder: &Path, settings: &[(&str, &str)]) -> (Report, Vec<Event>, Vec<AnnotatedPair>) {
    let (report, events) = ran(recipe(settings), folder);
    let table = read_annotations(&folder.join("annotations.parquet")).unwrap();
    (report.unwrap(), events, table)
}

/// Each member's scores of a pair, by the columns of the table.
fn members(pair: &AnnotatedPair, count: usize) -> Vec<[f64; 2]> {
    let score = |side: usize, member: usize| pair.columns[&format!("score_{side}.member_{member}")];
    (1..=count).map(|member| [score(1, member), score(2, member)]).collect()
}

#[test]
fn the_spread_is_the_variance_of_margins() {
    // numpy.var([1.0, 3.0, -0.5]) and numpy.mean of it.
    let found = Ensemble::of(&[[1.5, 0.5], [2.0, -1.0], [0.25, 0.75]]);
    assert_close(&[found.spread], &[2.055_555_555_555_555_4], 1e-12, "spread");
    assert_close(&found.scores, &[1.25, 1.0 / 12.0], 1e-12, "scores");
    let alone = Ensemble::of(&[[0.1, -0.3]]);
    assert_eq!((alone.scores, alone.spread), ([0.1, -0.3], 0.0));
    assert_eq!([trust(0.5, 0.0), trust(0.5, 1.0), trust(0.5, 0.5)], [1.0, 0.5, 0.0]);
}

#[test]
fn members_learn_one_after_another_and_label_by_their_mean() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("annotator.ensemble", "3"), ("annotator.ensemble_tau", "0.8")];
    let (report, events, table) = run(&folder.path().join("run"), &settings);
    assert_eq!(report.annotator.steps, 12);
    let found = steps(&events, Stage::ANNOTATOR);
    assert_eq!(
        found.iter().map(|(step, _)| *step).collect::<Vec<_>>(),
        (1..=12).collect::<Vec<_>>()
    );
    // A model for each, all different, and each says what is in the table.
    for name in ["annotator", "annotator-2", "annotator-3"] {
        assert!(folder.path().join("run").join(name).join("config.json").is_file(), "{name}");
    }
    assert!(!folder.path().join("run/annotator-4").exists());
    let mut weights = Vec::new();
    for pair in &table {
        let members = members(pair, 3);
        assert!(members[0] != members[1] && members[1] != members[2] && members[0] != members[2]);
        let margins: Vec<f64> = members.iter().map(|[first, second]| first - second).collect();
        let mean = margins.iter().sum::<f64>() / 3.0;
        let variance = margins.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / 3.0;
        assert_close(&[pair.margin, pair.columns["spread"]], &[mean.abs(), variance], 1e-9, "pair");
        assert_eq!(pair.label.index(), usize::from(mean < 0.0));
        let trusted = (1.0 - variance / 0.8_f64.powi(2)).max(0.0);
        assert_close(&[pair.columns["trust"]], &[trusted], 1e-9, "trust");
        if pair.split == "unlabelled" {
            weights.push((pair.margin / 2.0).tanh() * trusted);
        }
    }
    assert!(weights.contains(&0.0) && weights.iter().any(|w| *w > 0.0), "{weights:?}");
    assert_eq!(report.measured["annotator.spread"].as_f64().map(|found| found > 0.0), Some(true));
    let told = |warning: &String| warning.contains("differ by ensemble_tau");
    assert!(report.warnings.iter().any(told), "{:?}", report.warnings);
    // The policy's one step is over all pairs: their weights are C·max(0, 1 − Var/τ²).
    let mean = weights.iter().sum::<f64>() / weights.len() as f64;
    let told = steps(&events, Stage::POLICY)[0].1.get("weight/mean").unwrap();
    assert_close(&[told], &[mean], 1e-9, "weight/mean");
}

/// One member is the annotator without an ensemble, to the last bit.
#[test]
fn one_member_is_the_plain_annotator() {
    let folder = tempfile::tempdir().unwrap();
    let (_, plain, table) = run(&folder.path().join("plain"), &[]);
    let (_, one, same) = run(&folder.path().join("one"), &[("annotator.ensemble_tau", "0.5")]);
    let numbers = |events: &[Event]| -> Vec<f64> {
        let found = steps(events, Stage::ANNOTATOR);
        found.iter().map(|(_, metrics)| metrics.get("loss").unwrap()).collect()
    };
    assert_eq!(numbers(&plain), numbers(&one));
    assert_eq!(table, same);
    assert!(table.iter().all(|pair| pair.columns.is_empty()));
}

/// Stopped within a later member, a run goes on there, with what the earlier ones have left.
#[test]
fn a_later_member_is_resumed() {
    let place = tempfile::tempdir().unwrap();
    let settings = [("annotator.ensemble", "3"), ("checkpoint_seconds", "0")];
    let (_, calm, wanted) = run(&place.path().join("calm"), &settings);
    let folder = place.path().join("stopped");
    let job =
        Job::Fresh { recipe: Box::new(recipe(&settings)), folder: folder.clone(), download: false };
    let control = Control::default();
    let stop = control.clone();
    let ended = execute(job, control, &mut |event| {
        if matches!(event, Event::Step { stage: Stage::ANNOTATOR, step: 6, .. }) {
            stop.stop();
        }
    });
    assert!(matches!(ended, Err(RunError::Stopped)));
    let first = std::fs::metadata(folder.join("annotator/model.safetensors")).unwrap();
    let mut events = Vec::new();
    let job = Job::Resume { folder: folder.clone(), device: None };
    execute(job, Control::default(), &mut |event| events.push(event)).unwrap();
    let found = steps(&events, Stage::ANNOTATOR);
    assert_eq!(found[0].0, 7, "it goes on within the second member");
    let loss = |steps: &[(u64, Metrics)]| -> Vec<Option<f64>> {
        steps.iter().map(|(_, metrics)| metrics.get("loss")).collect()
    };
    assert_eq!(loss(&found), loss(&steps(&calm, Stage::ANNOTATOR)[6..]));
    assert_eq!(read_annotations(&folder.join("annotations.parquet")).unwrap(), wanted);
    let second = std::fs::metadata(folder.join("annotator/model.safetensors")).unwrap();
    assert_eq!(first.modified().unwrap(), second.modified().unwrap());
}

/// A member's files that were damaged while a later one learned are made again.
#[test]
fn a_damaged_member_is_trained_again() {
    let place = tempfile::tempdir().unwrap();
    let settings = [("annotator.ensemble", "2"), ("checkpoint_seconds", "0")];
    let (.., wanted) = run(&place.path().join("calm"), &settings);
    let folder = place.path().join("stopped");
    let job =
        Job::Fresh { recipe: Box::new(recipe(&settings)), folder: folder.clone(), download: false };
    let control = Control::default();
    let stop = control.clone();
    let _ = execute(job, control, &mut |event| {
        if matches!(event, Event::Step { stage: Stage::ANNOTATOR, step: 7, .. }) {
            stop.stop();
        }
    });
    std::fs::write(folder.join("annotator/model.safetensors"), "no weights").unwrap();
    let mut events = Vec::new();
    let job = Job::Resume { folder: folder.clone(), device: None };
    execute(job, Control::default(), &mut |event| events.push(event)).unwrap();
    assert!(steps(&events, Stage::ANNOTATOR)[0].0 <= 4, "the first member learns again");
    assert_eq!(read_annotations(&folder.join("annotations.parquet")).unwrap(), wanted);
}

/// What it takes is told before: the memory of one member, the time of all, and a model of each on the disk.
#[test]
fn an_estimate_tells_that_members_learn_one_after_another() {
    let folder = tempfile::tempdir().unwrap();
    let [one, three] =
        ["1", "3"].map(|n| estimate(&recipe(&[("annotator.ensemble", n)]), folder.path()).unwrap());
    let told = |found: &Estimate| found.warnings.iter().any(|w| w.contains("one after another"));
    assert_eq!([told(&one), told(&three)], [false, true]);
    assert_eq!(one.stages[0].needs.weights, three.stages[0].needs.weights);
    assert!(three.disk.needed > one.disk.needed);
}

#[test]
fn an_ensemble_that_means_nothing_is_refused() {
    for (settings, words) in [
        ([("annotator.ensemble", "2"), ("annotator.epochs", "0")], "trains none of them"),
        ([("annotator.ensemble", "2"), ("annotator.kind", "human")], "with a scalar head"),
        ([("annotator.ensemble", "0"), ("annotator.kind", "human")], "from 1 to 64 members"),
    ] {
        let found = recipe(&settings).check("ensemble.toml").unwrap_err().to_string();
        assert!(found.contains(words), "{found}");
    }
}
