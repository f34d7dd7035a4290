//! The run folder: what is lost when something goes wrong, which is nothing, and what a folder from
//! somewhere else can do, which is nothing either.

mod damage;
#[cfg(target_os = "linux")]
mod faults;
mod foreign;
mod held;
mod numbers;
mod recipes;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use confide::run::{Control, Event, Job, Recipe, Stage, execute, read_events};
use serde_json::Value;

use crate::common::trace;

/// A demonstration of a second, with a checkpoint after every step.
fn tiny() -> Recipe {
    let mut recipe = confide::demo::recipe();
    recipe.checkpoint_seconds = 0.0;
    recipe.device = "cpu".to_owned();
    let small = [
        ("data.limit", "60"),
        ("data.max_length", "96"),
        ("annotator.epochs", "1"),
        ("annotator.batch_size", "4"),
        ("sft.epochs", "1"),
        ("sft.batch_size", "8"),
        ("policy.epochs", "1"),
        ("policy.batch_size", "4"),
        ("evaluate.samples", "2"),
        ("evaluate.max_new_tokens", "4"),
    ];
    let small = small.map(|(key, value)| (key.to_owned(), value.to_owned()));
    recipe.with(&small).unwrap()
}

/// Run a job; `stop` says after which event it is stopped. Returns the outcome's words and events.
fn run(job: Job, stop: impl Fn(&Event) -> bool) -> (Result<(), String>, Vec<Event>) {
    let control = Control::default();
    let mut told = Vec::new();
    let outcome = execute(job, control.clone(), &mut |event| {
        if stop(&event) {
            control.stop();
        }
        told.push(event);
    });
    (outcome.map(drop).map_err(|error| error.to_string()), told)
}

fn fresh(folder: &Path) -> Job {
    Job::Fresh { recipe: Box::new(tiny()), folder: folder.to_owned(), download: false }
}

fn resume(folder: &Path) -> (Result<(), String>, Vec<Event>) {
    run(Job::Resume { folder: folder.to_owned(), device: None }, |_| false)
}

/// What all went well looks like: a finished run, made once.
fn calm() -> &'static Path {
    static CALM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = CALM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calm");
        run(fresh(&path), |_| false).0.unwrap();
        (folder, path)
    });
    path
}

/// A run that was stopped while its policy was trained, made once; each test gets a copy.
fn stopped() -> (tempfile::TempDir, PathBuf) {
    static STOPPED: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = STOPPED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stopped");
        let at = |event: &Event| matches!(event, Event::Step { stage: Stage::POLICY, step: 4, .. });
        run(fresh(&path), at).0.unwrap_err();
        (folder, path)
    });
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("run");
    copy(path, &own);
    (folder, own)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Checkpoints of the stage under way that a state names, oldest first.
fn checkpoints(run: &Path) -> Vec<String> {
    let state = json(&run.join("state.json"));
    let list = state["under_way"]["checkpoints"].as_array().cloned().unwrap_or_default();
    list.iter().map(|c| c["folder"].as_str().unwrap().to_owned()).collect()
}

/// A finished run came to the very same as an undisturbed one.
#[track_caller]
fn same_as_calm(run: &Path) {
    assert_eq!(trace(run), trace(calm()), "steps");
    let report = |folder: &Path| {
        let mut report = json(&folder.join("report.json"));
        report.as_object_mut().unwrap().remove("seconds");
        report
    };
    assert_eq!(report(run), report(calm()), "report");
    for file in ["policy/model.safetensors", "annotator/model.safetensors", "annotations.parquet"] {
        let bytes = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(bytes(run) == bytes(calm()), "{file} differs");
    }
    let kinds = |folder: &Path| -> Vec<String> {
        let not = ["started", "stopped", "warning", "checkpoint"];
        let all = read_events(folder).unwrap();
        let kind = |event: &Event| {
            serde_json::to_value(event).unwrap()["event"].as_str().unwrap().to_owned()
        };
        let all = all.iter().map(kind);
        all.filter(|kind| !not.contains(&kind.as_str())).collect()
    };
    assert_eq!(kinds(run), kinds(calm()), "events");
    let left: Vec<_> = std::fs::read_dir(run.join("checkpoints")).unwrap().flatten().collect();
    assert!(left.iter().all(|entry| entry.path().is_file()), "checkpoints are left: {left:?}");
}

/// The words of warnings among events.
fn warnings(events: &[Event]) -> Vec<String> {
    let warning = |event: &Event| match event {
        Event::Warning { message, .. } => Some(message.clone()),
        _ => None,
    };
    events.iter().filter_map(warning).collect()
}
