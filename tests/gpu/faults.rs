//! A graphics driver that has no memory left, or gives the device up, in the middle of a run: the run
//! goes on with a smaller plan, or with the device started again, and comes to what it comes to anyway.
//!
//! The driver is the adapter's own behind `tests/fixtures/faults/layer.c`, which has to be there
//! before the process asks for an adapter: the test runs itself again with it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use confide::train::Plan;

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
    plans: Vec<Plan>,
}

/// Run with a fault that is asked for when an event says so.
fn run(out: &Path, file: &Path, fault: &str, when: impl Fn(&Event) -> bool) -> Told {
    let job =
        Job::Fresh { recipe: Box::new(recipe()), folder: out.to_owned(), download: false };
    let (mut asked, mut plans) = (false, Vec::new());
    let report = execute(job, Control::default(), &mut |event| {
        if let Event::Planned { stage: Stage::Policy, plan, .. } = &event {
            plans.push(*plan);
        }
        if !asked && when(&event) {
            asked = true;
            std::fs::write(file, fault).unwrap();
        }
    })
    .unwrap();
    assert!(!file.exists(), "{fault}: the driver was never asked for anything that could fail");
    Told { trace: trace(out), warnings: report.warnings, plans }
}

fn with_the_layer(file: &Path) {
    let Some(_device) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let calm = run(&folder.path().join("calm"), file, "", |_| false);
    let full = run(&folder.path().join("full"), file, "memory", |event| {
        matches!(event, Event::Planned { stage: Stage::Policy, .. })
    });
    let lost = run(&folder.path().join("lost"), file, "lost", |event| {
        matches!(event, Event::Step { stage: Stage::Policy, step: 2, .. })
    });

    let says = |told: &Told, words: &str| told.warnings.iter().any(|w| w.contains(words));
    assert!(!says(&calm, "memory") && !says(&calm, "lost"), "{:?}", calm.warnings);
    assert!(says(&full, "ran out of memory in the stage"), "{:?}", full.warnings);
    let at_once = full.plans.iter().map(|plan| plan.micro_batch).collect::<Vec<_>>();
    assert_eq!(at_once, [2, 1], "{:?}", full.plans);
    assert!(says(&lost, "was lost in the stage “policy”"), "{:?}", lost.warnings);
    for (name, told) in [("full", full), ("lost", lost)] {
        assert_eq!(calm.trace.len(), told.trace.len(), "{name}");
        for (calm, found) in calm.trace.iter().zip(&told.trace) {
            assert_eq!([&calm["stage"], &calm["step"]], [&found["stage"], &found["step"]]);
            let loss = |step: &Value| step["metrics"]["loss"].as_f64().unwrap();
            assert_close(&[loss(found)], &[loss(calm)], 1e-4, name);
        }
    }
}
