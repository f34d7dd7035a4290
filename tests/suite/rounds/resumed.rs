//! Runs of several rounds that are killed go on to the same bytes.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::*;
use crate::common::{Moment, kill_at, program, small_demo, trace};

fn command(out: &Path, settings: &[&str]) -> Command {
    let mut command = small_demo(out);
    let small = ["data.limit=80", "annotator.steps=2", "sft.epochs=0", "evaluate.samples=16"];
    let rounds = ["online.prompts=16", "online.max_new_tokens=10", "policy.batch_size=2"];
    for set in small.iter().chain(&rounds).chain(settings) {
        command.args(["--set", set]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn resume(out: &Path) -> Command {
    let mut command = program();
    command.arg("resume").arg(out).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// What a run has left, but for the time that it took.
fn left(out: &Path, files: &[&str]) -> (Value, Vec<Value>, Vec<Vec<u8>>) {
    let text = std::fs::read_to_string(out.join("report.json")).unwrap();
    let mut report: Value = serde_json::from_str(&text).unwrap();
    report.as_object_mut().unwrap().remove("seconds");
    let bytes = files.iter().map(|file| std::fs::read(out.join(file)).unwrap()).collect();
    (report, trace(out), bytes)
}

fn told(name: &'static str, event: &Value) -> bool {
    event["event"] == "measured" && event["name"] == name
}

/// Whether the policy has come that far.
fn step_from(step: u64, event: &Value) -> bool {
    let of_policy = event["event"] == "step" && event["stage"] == "policy";
    of_policy && event["step"].as_u64() >= Some(step)
}

/// Whether a second checkpoint of the policy begins, so that the first is whole.
fn second_checkpoint(event: &Value) -> bool {
    let of_policy = event["event"] == "checkpoint" && event["stage"] == "policy";
    of_policy && event["step"].as_u64() > Some(1)
}

/// Killed between two rounds, before and after what the policy wrote is labelled, and within the last.
#[test]
fn a_run_killed_between_rounds_and_within_one_is_that_of_an_undisturbed_one() {
    let place = tempfile::tempdir().unwrap();
    let (calm, killed) = (place.path().join("calm"), place.path().join("killed"));
    let settings = ["online.rounds=3"];
    assert!(command(&calm, &settings).status().unwrap().success());
    let moments: [Moment; 5] = [
        |e| e["event"] == "note" && e["message"].as_str().unwrap().starts_with("round 2 of 3"),
        |e| told("rounds.2.pairs", e),
        |e| told("rounds.2.steps", e),
        |e| told("rounds.3.prompts", e),
        // Within the third round, whose steps follow the 16 of two.
        |e| step_from(18, e),
    ];
    kill_at(&mut command(&killed, &settings).spawn().unwrap(), &killed, moments[0]);
    for moment in &moments[1..] {
        kill_at(&mut resume(&killed).spawn().unwrap(), &killed, *moment);
    }
    assert!(resume(&killed).status().unwrap().success());
    let files = [
        "policy/model.safetensors",
        "rounds/2.parquet",
        "rounds/2-reference.safetensors",
        "rounds/3.parquet",
        "rounds/3-reference.safetensors",
    ];
    let (wanted, found) = (left(&calm, &files), left(&killed, &files));
    let steps = wanted.1.iter().filter(|step| step["stage"] == "policy").count();
    assert!(steps > 18, "{steps} steps, so that the last kill was within the third round");
    assert_eq!(found.1, wanted.1);
    assert_eq!(found.0, wanted.0);
    assert!(found.2 == wanted.2, "files differ");
}

/// What the policy wrote before its first step is not written again.
#[test]
fn the_first_round_of_self_play_goes_on_with_what_was_written_for_it() {
    let place = tempfile::tempdir().unwrap();
    let (calm, killed) = (place.path().join("calm"), place.path().join("killed"));
    let settings = ["policy.objective=spin", "online.rounds=2", "policy.epochs=3"];
    assert!(command(&calm, &settings).status().unwrap().success());
    let moments: [Moment; 2] = [second_checkpoint, |e| told("rounds.2.steps", e)];
    kill_at(&mut command(&killed, &settings).spawn().unwrap(), &killed, moments[0]);
    let written = |out: &Path| std::fs::metadata(out.join("rounds/1.parquet")).unwrap().modified();
    let before = written(&killed).unwrap();
    kill_at(&mut resume(&killed).spawn().unwrap(), &killed, moments[1]);
    assert!(resume(&killed).status().unwrap().success());
    assert_eq!(written(&killed).unwrap(), before, "it is written once");
    let files = ["policy/model.safetensors", "rounds/1.parquet", "rounds/2.parquet"];
    let (wanted, found) = (left(&calm, &files), left(&killed, &files));
    assert_eq!((found.0, found.1), (wanted.0, wanted.1));
    assert!(found.2 == wanted.2, "files differ");
}

/// A table that was damaged while the policy learned from it is made again, from a checkpoint before it.
#[test]
fn a_damaged_table_of_a_round_is_made_again() {
    let place = tempfile::tempdir().unwrap();
    let (calm, killed) = (place.path().join("calm"), place.path().join("killed"));
    let settings = ["online.rounds=2"];
    assert!(command(&calm, &settings).status().unwrap().success());
    let moment: Moment = |e| step_from(14, e);
    kill_at(&mut command(&killed, &settings).spawn().unwrap(), &killed, moment);
    let table = killed.join("rounds/2.parquet");
    assert!(table.exists(), "the kill was within the second round");
    std::fs::write(&table, "no table").unwrap();
    assert!(resume(&killed).status().unwrap().success());
    let files = ["policy/model.safetensors", "rounds/2.parquet"];
    let (wanted, found) = (left(&calm, &files), left(&killed, &files));
    assert_eq!(found.1, wanted.1);
    assert!(found.2 == wanted.2, "files differ");
}
