//! What several tests need.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use confide::run::{Control, Event, Job, Recipe, Report, RunError, execute};
use serde_json::Value;

/// A path inside the repository: the one that the environment names, as cargo does, for programs
/// that run elsewhere than they were built.
pub(crate) fn repository(path: &str) -> PathBuf {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR");
    folder.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from).join(path)
}

/// A JSON fixture.
pub(crate) fn fixture(path: &str) -> Value {
    let path = repository("tests/fixtures").join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// A path in the shared data beside the repository, or `None` with a word about it.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let path = repository("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is absent", path.display());
    None
}

/// Numbers of a JSON array, nested or not, in order.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Number(n) => vec![n.as_f64().unwrap()],
        Value::Null => vec![f64::NAN],
        other => panic!("{other} is no number"),
    }
}

/// Numbers of a tensor, in the order of its axes.
pub(crate) fn vector<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.try_into_vec_as::<f32>().unwrap().into_iter().map(f64::from).collect()
}

/// Whole numbers of a flat JSON array.
pub(crate) fn ids(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|n| n as u32).collect()
}

/// Panic unless the numbers agree within `tolerance · max(1, |expected|)`.
#[track_caller]
pub(crate) fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: count");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let error = (f - e).abs() / e.abs().max(1.0);
        assert!(error <= tolerance, "{what}[{i}]: {f} instead of {e}, off by {error:e}");
    }
}

/// A Python with torch, transformers, peft and `huggingface_hub`, where `TEST_PYTHON` names one,
/// set to work on one thread without a network; `None` with a word about it.
pub(crate) fn python() -> Option<Command> {
    let Some(program) = std::env::var_os("TEST_PYTHON") else {
        eprintln!("skipped: TEST_PYTHON is not set");
        return None;
    };
    let mut command = Command::new(program);
    command.current_dir(repository(""));
    command.envs([("HF_HUB_OFFLINE", "1"), ("OMP_NUM_THREADS", "1"), ("CUDA_VISIBLE_DEVICES", "")]);
    Some(command)
}

/// The program, keeping nothing of its runs for other runs.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_confide"));
    command.env("CONFIDE_CACHE", "");
    command
}

/// A demonstration of a few seconds, with a checkpoint after every step.
pub(crate) fn small_demo(out: &Path) -> Command {
    let mut command = program();
    command.arg("demo").arg("--out").arg(out).args(["--device", "cpu"]);
    for set in [
        "checkpoint_seconds=0",
        "data.limit=150",
        "annotator.epochs=2",
        "annotator.batch_size=8",
        "sft.batch_size=8",
        "policy.batch_size=4",
        "policy.accumulate=2",
        "policy.epochs=1",
        "confidence.threshold=0.02",
        "data.max_length=96",
    ] {
        command.args(["--set", set]);
    }
    command
}

/// What a program printed, without the last line end.
#[track_caller]
pub(crate) fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The events of a run folder, as far as they are whole.
pub(crate) fn events(out: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join("events.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Steps without what depends on the clock.
pub(crate) fn trace(out: &Path) -> Vec<Value> {
    let mut steps: Vec<Value> = events(out).into_iter().filter(|e| e["event"] == "step").collect();
    for step in &mut steps {
        step["metrics"].as_object_mut().unwrap().remove("tokens_per_second");
    }
    steps
}

/// Whether the run has reached the moment to kill it at.
pub(crate) type Moment = fn(&Value) -> bool;

/// Kill a run when it has reached the moment.
pub(crate) fn kill_at(child: &mut Child, out: &Path, moment: Moment) {
    let begun = Instant::now();
    while !events(out).iter().any(moment) {
        assert!(begun.elapsed() < Duration::from_secs(180), "the moment never came");
        assert!(child.try_wait().unwrap().is_none(), "the run ended before the moment");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What a run of a recipe comes to in a new folder, and what it tells.
pub(crate) fn ran(recipe: Recipe, folder: &Path) -> (Result<Report, RunError>, Vec<Event>) {
    let job = Job::Fresh { recipe: Box::new(recipe), folder: folder.to_owned(), download: false };
    let mut events = Vec::new();
    let report = execute(job, Control::default(), &mut |event| events.push(event));
    (report, events)
}
