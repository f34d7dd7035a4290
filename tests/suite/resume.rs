//! A killed run goes on as if nothing had happened.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use confide::run::{Control, Event, Job, Stage, execute};
use serde_json::Value;

use crate::common::{Moment, kill_at, program, small_demo, trace};

fn quiet(mut command: Command) -> Command {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_run_killed_in_each_stage_and_resumed_has_the_trace_of_an_undisturbed_one() {
    let folder = tempfile::tempdir().unwrap();
    let calm = folder.path().join("calm");
    assert!(quiet(small_demo(&calm)).status().unwrap().success());
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
    kill_at(&mut quiet(small_demo(&killed)).spawn().unwrap(), &killed, moments[0]);
    let resume = || {
        let mut command = program();
        command.arg("resume").arg(&killed);
        quiet(command)
    };
    for moment in &moments[1..] {
        kill_at(&mut resume().spawn().unwrap(), &killed, *moment);
    }
    assert!(resume().status().unwrap().success());

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

/// A reference that has moved, and the logits of earlier steps, are in a checkpoint as weights are; the start that
/// doubtful labels are found by is there again.
#[test]
fn what_an_objective_remembers_is_resumed() {
    for more in ["policy.ref_model_sync_steps=2", "policy.spa_lambda=0.5"] {
        what_is_remembered_is_resumed(more);
    }
}

fn what_is_remembered_is_resumed(more: &str) {
    let folder = tempfile::tempdir().unwrap();
    let command = |out: &Path| {
        let mut command = small_demo(out);
        command.args(["--set", "policy.objective=spa", "--set", more]);
        command.args(["--set", "policy.spa_warmup=0", "--set", "policy.spa_window=6"]);
        quiet(command)
    };
    let (calm, killed) = (folder.path().join("calm"), folder.path().join("killed"));
    assert!(command(&calm).status().unwrap().success());
    let moment: Moment = |e| e["event"] == "step" && e["stage"] == "policy" && e["step"] == 5;
    kill_at(&mut command(&killed).spawn().unwrap(), &killed, moment);
    let mut resume = program();
    resume.arg("resume").arg(&killed);
    assert!(quiet(resume).status().unwrap().success());
    assert_eq!(trace(&killed), trace(&calm));
    let policy = |out: &Path| std::fs::read(out.join("policy/model.safetensors")).unwrap();
    assert_eq!(policy(&killed), policy(&calm));
}

/// A checkpoint that cannot be written ends the run with the file's name, and the one before stays
/// the one to go on from.
#[test]
fn a_run_goes_on_from_the_last_checkpoint_that_could_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut recipe = confide::demo::recipe();
    recipe.checkpoint_seconds = 0.0;
    recipe.device = "cpu".to_owned();
    let small = [("data.limit", "100"), ("annotator.steps", "12"), ("annotator.batch_size", "2")];
    let small = small.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let recipe = recipe.with(&small).unwrap();
    let checkpoints = run.join("checkpoints");
    let aside = run.join("aside");
    let job = Job::Fresh { recipe: Box::new(recipe), folder: run.clone(), download: false };
    let ended = execute(job, Control::default(), &mut |event| {
        if matches!(event, Event::Step { stage: Stage::ANNOTATOR, step: 6, .. }) {
            // One is whole by now, unless the disk is busy with something else.
            let begun = Instant::now();
            let is_whole = || {
                let state = std::fs::read(run.join("state.json")).unwrap_or_default();
                let state: Value = serde_json::from_slice(&state).unwrap_or_default();
                state["under_way"]["checkpoints"].as_array().is_some_and(|all| !all.is_empty())
            };
            while !is_whole() && begun.elapsed().as_secs() < 60 {
                std::thread::sleep(Duration::from_millis(2));
            }
            std::fs::rename(&checkpoints, &aside).unwrap();
            std::fs::write(&checkpoints, "in the way").unwrap();
        }
    });
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("checkpoints"), "{error}");

    std::fs::remove_file(&checkpoints).unwrap();
    std::fs::rename(&aside, &checkpoints).unwrap();
    let mut first = None;
    let job = Job::Resume { folder: run, device: None };
    let control = Control::default();
    let _ = execute(job, control.clone(), &mut |event| {
        if let Event::Step { step, .. } = event {
            first.get_or_insert(step);
            control.stop();
        }
    });
    assert!(first.is_some_and(|step| (2..=7).contains(&step)), "it went on with step {first:?}");
}
