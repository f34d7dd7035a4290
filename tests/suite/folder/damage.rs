//! Files of an interrupted run that were lost or altered are found out, told, and made again.

use std::path::Path;

use confide::run::RunView;

use super::*;

/// Damage a stopped run, go on, and see that all comes out as undisturbed; returns what was told.
#[track_caller]
fn recovers(damage: impl FnOnce(&Path)) -> Vec<String> {
    let (_folder, run) = stopped();
    damage(&run);
    let (outcome, told) = resume(&run);
    outcome.unwrap();
    same_as_calm(&run);
    warnings(&told)
}

fn flip_a_bit(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let place = bytes.len() - 7;
    bytes[place] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[track_caller]
fn one_has(told: &[String], words: &[&str]) {
    let has = |text: &String| words.iter().all(|word| text.contains(word));
    assert!(told.iter().any(has), "{words:?} is not told: {told:?}");
}

#[test]
fn an_undisturbed_resume_says_nothing() {
    let told = recovers(|_| {});
    assert!(!told.iter().any(|t| t.contains("checkpoint") || t.contains("stage")), "{told:?}");
}

/// What is told where the newest checkpoint is damaged.
fn goes_back(run: &Path) -> String {
    let steps: Vec<String> =
        checkpoints(run).iter().map(|name| name.rsplit('-').next().unwrap().to_owned()).collect();
    let [before, newest] = &steps[..] else { panic!("{steps:?}") };
    assert_ne!(before, newest);
    format!(
        "checkpoint of step {newest} is damaged (FOUND): the run goes on from that of step {before}"
    )
}

#[test]
fn a_damaged_checkpoint_is_no_dead_end() {
    let mut words = String::new();
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let told = recovers(|run| {
            words = goes_back(run);
            let newest = checkpoints(run).pop().unwrap();
            flip_a_bit(&run.join("checkpoints").join(newest).join(file));
        });
        one_has(&told, &[&words.replace("FOUND", &format!("{file} is not what was written"))]);
    }
    let told = recovers(|run| {
        words = goes_back(run);
        let newest = checkpoints(run).pop().unwrap();
        std::fs::remove_dir_all(run.join("checkpoints").join(newest)).unwrap();
    });
    one_has(&told, &[&words.replace("FOUND", "model.safetensors is missing")]);
}

#[test]
fn without_any_whole_checkpoint_the_stage_is_done_again() {
    let told = recovers(|run| {
        let all = checkpoints(run);
        assert_eq!(all.len(), 2, "{all:?}");
        for name in all {
            std::fs::write(run.join("checkpoints").join(name).join("model.safetensors"), "")
                .unwrap();
        }
    });
    one_has(&told, &["beginning of the stage “policy”"]);
}

#[test]
fn damaged_files_of_finished_stages_are_made_again() {
    for (file, stage) in [
        ("annotator/model.safetensors", "annotator"),
        ("annotator/tokenizer.json", "annotator"),
        ("annotations.parquet", "confidence"),
        ("checkpoints/reference.safetensors", "sft"),
    ] {
        let told = recovers(|run| flip_a_bit(&run.join(file)));
        one_has(&told, &[file, "not what was written", &format!("stage “{stage}”")]);
        let told = recovers(|run| std::fs::remove_file(run.join(file)).unwrap());
        one_has(&told, &[file, "missing", &format!("stage “{stage}”")]);
    }
    let log_probs = |run: &Path| {
        let all = std::fs::read_dir(run.join("checkpoints")).unwrap().flatten();
        let of = |name: &str| name.starts_with("reference-log-probs-");
        all.map(|e| e.path()).find(|p| of(p.file_name().unwrap().to_str().unwrap())).unwrap()
    };
    // Two numbers fewer, in a file that is otherwise in order.
    let told = recovers(|run| {
        let path = log_probs(run);
        let tensors = confide::model::load_named(&path).unwrap();
        let cut = tensors.into_iter().map(|(name, mut tensor)| {
            tensor.shape[0] -= 1;
            tensor.values.truncate(tensor.values.len() - 2);
            (name, tensor)
        });
        let storage = confide::model::Storage::F32;
        confide::model::save_tensors(&path, &cut.collect(), storage).unwrap();
    });
    one_has(&told, &["reference-log-probs", "stage “reference”"]);
}

/// Annotations in another order are still a table of annotations.
#[test]
fn reversed_annotations_are_not_believed() {
    let told = recovers(|run| {
        let path = run.join("annotations.parquet");
        let mut table = confide::data::read_annotations(&path).unwrap();
        table.reverse();
        confide::data::write_annotations(&path, &table).unwrap();
    });
    one_has(&told, &["annotations.parquet", "stage “confidence”"]);
}

/// What a stage leaves counts only if the state says so: death between the two renames.
#[test]
fn weights_that_the_state_does_not_name_are_not_taken_for_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let at = |event: &Event| matches!(event, Event::Step { stage: Stage::SFT, step: 2, .. });
    run(fresh(&path), at).0.unwrap_err();
    let tuned = "checkpoints/reference.safetensors";
    std::fs::copy(calm().join(tuned), path.join(tuned)).unwrap();
    resume(&path).0.unwrap();
    same_as_calm(&path);
}

#[test]
fn a_state_that_was_altered_is_refused() {
    let (_folder, run) = stopped();
    let path = run.join("state.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"step\": 4", "\"step\": 3", 1)).unwrap();
    let error = resume(&run).0.unwrap_err();
    assert!(error.contains("state.json was altered or is damaged"), "{error}");

    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    let error = resume(&run).0.unwrap_err();
    assert!(error.contains("state.json is damaged"), "{error}");

    std::fs::remove_file(&path).unwrap();
    let error = resume(&run).0.unwrap_err();
    assert!(error.contains("no state.json") && error.contains("confide run"), "{error}");
    // Nothing that might still be of use was touched.
    assert!(std::fs::metadata(run.join("events.jsonl")).unwrap().len() > 1000);
    assert_eq!(std::fs::read_dir(run.join("checkpoints")).unwrap().count(), 4);
    std::fs::write(&path, text).unwrap();
    resume(&run).0.unwrap();
    same_as_calm(&run);
}

#[test]
fn a_broken_line_of_events_is_skipped_and_told() {
    let (_folder, run) = stopped();
    let path = run.join("events.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().count();
    let mut broken: Vec<&[u8]> = text.as_bytes().split_inclusive(|b| *b == b'\n').collect();
    broken.insert(5, b"{\"event\": \"st\n");
    broken.insert(9, b"\xff\xfe\n");
    std::fs::write(&path, broken.concat()).unwrap();
    let events = read_events(&run).unwrap();
    assert_eq!(events.len(), lines + 1);
    let words = format!("{:?}", events.last());
    assert!(words.contains("2 of the events") && words.contains("line 6"), "{words}");
    // A torn last line is one that is being written, and no damage.
    std::fs::write(&path, &text[..text.len() - 9]).unwrap();
    let events = read_events(&run).unwrap();
    assert_eq!(events.len(), lines - 1);
    assert!(RunView::replay(events).curves[&Stage::POLICY]["loss"].len() >= 4);
}

#[test]
fn missing_events_are_told_and_stop_nothing() {
    let (_folder, run) = stopped();
    let path = run.join("events.jsonl");
    let text = std::fs::read(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    let (outcome, told) = resume(&run);
    outcome.unwrap();
    one_has(&warnings(&told), &["events.jsonl has", "are expected"]);
    let policy = |folder: &Path| std::fs::read(folder.join("policy/model.safetensors")).unwrap();
    assert!(policy(&run) == policy(calm()));
    let last = read_events(&run).unwrap().pop();
    assert!(matches!(last, Some(Event::Finished { .. })), "{last:?}");
}

/// What interrupted writes left is cleared away, and nothing else.
#[test]
fn leftovers_go_and_strange_files_stay() {
    let (_folder, run) = stopped();
    let all = run.join("checkpoints");
    for name in ["policy-900", "policy-901.partial"] {
        std::fs::create_dir(all.join(name)).unwrap();
        std::fs::write(all.join(name).join("model.safetensors"), "half").unwrap();
    }
    std::fs::create_dir(all.join("notes-of-mine")).unwrap();
    std::fs::write(all.join("notes-of-mine/read me"), "mine").unwrap();
    std::fs::write(all.join("policy-900/mine.txt"), "mine").unwrap();
    let (outcome, told) = resume(&run);
    outcome.unwrap();
    one_has(&warnings(&told), &["2 checkpoints", "are removed"]);
    assert!(!all.join("policy-901.partial").exists());
    assert!(!all.join("policy-900/model.safetensors").exists());
    assert!(all.join("policy-900/mine.txt").exists() && all.join("notes-of-mine/read me").exists());
}
