//! A killed run goes on as if nothing had happened.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{events, trace};

fn command(out: &Path, verb: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_confide"));
    command.args(verb).stdout(Stdio::null()).stderr(Stdio::null());
    if verb[0] == "demo" {
        command.arg("--out").arg(out).args(["--device", "cpu"]);
        // Small enough for seconds, with a checkpoint after every step.
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
    }
    command
}

/// Whether the run has reached the moment to kill it at.
type Moment = fn(&Value) -> bool;

fn kill_at(child: &mut Child, out: &Path, moment: Moment) {
    let begun = Instant::now();
    while !events(out).iter().any(moment) {
        assert!(begun.elapsed() < Duration::from_secs(180), "the moment never came");
        assert!(child.try_wait().unwrap().is_none(), "the run ended before the moment");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_run_killed_in_each_stage_and_resumed_has_the_trace_of_an_undisturbed_one() {
    let folder = tempfile::tempdir().unwrap();
    let calm = folder.path().join("calm");
    assert!(command(&calm, &["demo"]).status().unwrap().success());
    let wanted = trace(&calm);
    assert!(wanted.len() > 20, "{} steps", wanted.len());

    let killed = folder.path().join("killed");
    let moments: [Moment; 5] = [
        |e| e["event"] == "step" && e["stage"] == "annotator" && e["step"] == 4,
        |e| e["event"] == "stage_started" && e["stage"] == "confidence",
        |e| e["event"] == "step" && e["stage"] == "sft" && e["step"] == 3,
        |e| e["event"] == "stage_started" && e["stage"] == "reference",
        |e| e["event"] == "step" && e["stage"] == "policy" && e["step"] == 3,
    ];
    kill_at(&mut command(&killed, &["demo"]).spawn().unwrap(), &killed, moments[0]);
    let path = killed.to_str().unwrap().to_owned();
    for moment in &moments[1..] {
        kill_at(&mut command(&killed, &["resume", &path]).spawn().unwrap(), &killed, *moment);
    }
    assert!(command(&killed, &["resume", &path]).status().unwrap().success());

    assert_eq!(trace(&killed), wanted);
    let report = |out: &Path| -> Value {
        let text = std::fs::read_to_string(out.join("report.json")).unwrap();
        let mut report: Value = serde_json::from_str(&text).unwrap();
        report.as_object_mut().unwrap().remove("seconds");
        report
    };
    assert_eq!(report(&killed), report(&calm));
    for file in ["policy/model.safetensors", "annotator/model.safetensors", "annotations.parquet"] {
        assert_eq!(
            std::fs::read(killed.join(file)).unwrap(),
            std::fs::read(calm.join(file)).unwrap(),
            "{file}"
        );
    }
}
