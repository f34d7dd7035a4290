//! A graphics driver that has no memory left, or gives the device up, in the middle of a run: the run
//! goes on with a smaller plan, or with the device started again, and comes to what it comes to anyway.
//!
//! The driver is the adapter's own behind `tests/fixtures/faults/layer.c`, which has to be there
//! before the process asks for an adapter: the test runs itself again with it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use confide::train::ExecutionPlan;

use super::*;

const TEST: &str = "faults::a_run_goes_on_after_a_fault";

/// How long it may take before it counts as hanging.
const MOST: Duration = Duration::from_secs(400);

/// The layer, compiled and described in a folder; `None` with a word where there is no compiler.
fn layer(folder: &Path) -> Option<()> {
    let library = folder.join("layer.so");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-fvisibility=hidden", "-o"]).arg(&library);
    match cc.arg(repository("tests/fixtures/faults/layer.c")).status() {
        Ok(status) if status.success() => {}
        other => {
            eprintln!("skipped: the failing driver cannot be compiled ({other:?})");
            return None;
        }
    }
    let manifest = serde_json::json!({
        "file_format_version": "1.1.2",
        "layer": {
            "name": "VK_LAYER_TEST_faults",
            "type": "GLOBAL",
            "library_path": library,
            "api_version": "1.3.0",
            "implementation_version": "1",
            "description": "fails on request",
        }
    });
    std::fs::write(folder.join("layer.json"), manifest.to_string()).unwrap();
    Some(())
}

#[test]
fn a_run_goes_on_after_a_fault() {
    if let Some(file) = std::env::var_os("FAULT_FILE") {
        return with_the_layer(Path::new(&file));
    }
    let Some(_device) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    if layer(folder.path()).is_none() {
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env("VK_LAYER_PATH", folder.path())
        .env("VK_INSTANCE_LAYERS", "VK_LAYER_TEST_faults")
        .env("FAULT_FILE", folder.path().join("fault"))
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > MOST {
            child.kill().unwrap();
            panic!("still running after {MOST:?}: a fault makes the run hang");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{status}");
}

/// What a run told.
struct Told {
    trace: Vec<Value>,
    warnings: Vec<String>,
    plans: Vec<ExecutionPlan>,
}

/// A run of the policy alone, in which a fault is asked for wherever an event calls for one.
fn run(
    out: &Path,
    file: &Path,
    device: &str,
    fault: impl Fn(&Event) -> Option<&'static str>,
) -> Told {
    let alone = [
        ("device", device),
        ("annotator.kind", "human"),
        ("sft.epochs", "0"),
        ("sft.steps", "0"),
        ("data.held_out", "0"),
        ("policy.steps", "3"),
    ];
    let recipe = recipe().with(&alone.map(|(k, v)| (k.to_owned(), v.to_owned()))).unwrap();
    let job = Job::Fresh { recipe: Box::new(recipe), folder: out.to_owned(), download: false };
    let (mut asked, mut plans) = (Vec::new(), Vec::new());
    let report = execute(job, Control::default(), &mut |event| {
        if let Event::Planned { stage: Stage::POLICY, plan, .. } = &event {
            plans.push(*plan);
        }
        let next = fault(&event).filter(|fault| !asked.contains(fault) && !file.exists());
        if let Some(fault) = next {
            asked.push(fault);
            std::fs::write(file, fault).unwrap();
        }
    })
    .unwrap();
    assert!(!file.exists(), "the driver was never asked for what was to fail: {asked:?}");
    Told { trace: trace(out), warnings: report.warnings, plans }
}

fn with_the_layer(file: &Path) {
    let Some(_device) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    // The CPU stands for an undisturbed device: what it computes differs by less than is allowed here.
    let calm = run(&folder.path().join("calm"), file, "cpu", |_| None);
    let failing = run(&folder.path().join("failing"), file, "gpu", |event| match event {
        Event::Planned { stage: Stage::POLICY, .. } => Some("memory"),
        Event::Step { stage: Stage::POLICY, step: 2.., .. } => Some("lost"),
        _ => None,
    });

    let says = |told: &Told, words: &str| told.warnings.iter().any(|w| w.contains(words));
    assert!(!says(&calm, "memory") && !says(&calm, "lost"), "{:?}", calm.warnings);
    assert!(says(&failing, "ran out of memory in the stage"), "{:?}", failing.warnings);
    assert!(says(&failing, "was lost in the stage “policy”"), "{:?}", failing.warnings);
    let at_once: Vec<usize> = failing.plans.iter().map(|plan| plan.micro_batch).collect();
    assert_eq!(at_once, [2, 1], "{:?}", failing.plans);
    assert_eq!(calm.trace.len(), failing.trace.len());
    for (calm, found) in calm.trace.iter().zip(&failing.trace) {
        assert_eq!([&calm["stage"], &calm["step"]], [&found["stage"], &found["step"]]);
        let loss = |step: &Value| step["metrics"]["loss"].as_f64().unwrap();
        assert_close(&[loss(found)], &[loss(calm)], 1e-4, "loss");
    }
}
