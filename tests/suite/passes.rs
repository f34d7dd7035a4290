//! What models said in one run is not computed again by another.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::common::{events, small_demo, trace};

/// A small run with a folder for passes; its events.
fn run(out: &Path, cache: &Path, settings: &[&str]) -> Vec<Value> {
    let mut command = small_demo(out);
    command.env("CONFIDE_CACHE", cache);
    for setting in settings {
        command.args(["--set", setting]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    events(out)
}

/// The files of a folder for passes, with when they were written.
fn files(cache: &Path) -> BTreeMap<String, (std::time::SystemTime, Vec<u8>)> {
    let entries = std::fs::read_dir(cache.join("passes")).unwrap();
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        let modified = entry.metadata().unwrap().modified().unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        (entry.file_name().into_string().unwrap(), (modified, bytes))
    };
    entries.map(file).collect()
}

fn messages<'a>(events: &'a [Value], kind: &str) -> Vec<&'a str> {
    let of_kind = events.iter().filter(|event| event["event"] == kind);
    of_kind.filter_map(|event| event["message"].as_str()).collect()
}

/// How many numbers a run found.
fn found(events: &[Value]) -> Vec<usize> {
    let at_hand = messages(events, "note").into_iter();
    let number =
        at_hand.filter_map(|note| note.strip_suffix(" numbers of earlier runs are at hand"));
    number.map(|number| number.parse().unwrap()).collect()
}

#[test]
fn no_setting_of_preference_training_makes_a_pass_be_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let first = folder.path().join("first");
    let told = run(&first, &cache, &[]);
    assert!(found(&told).is_empty());
    let before = files(&cache);
    assert_eq!(before.len(), 2, "the annotator's scores and the reference's log-probabilities");

    let changes: [&[&str]; 3] = [
        &[],
        &["policy.beta=0.3", "policy.objective=ipo", "confidence.threshold=0.3"],
        &["policy.learning_rate=0.001", "policy.sampling=proportional"],
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let out = folder.path().join(format!("run-{i}"));
        let told = run(&out, &cache, change);
        assert_eq!(found(&told).len(), 2, "{change:?}");
        assert!(found(&told).iter().all(|n| *n > 100), "{:?}", found(&told));
        assert!(files(&cache) == before, "{change:?}: a file was written");
        if change.is_empty() {
            assert_eq!(trace(&out), trace(&first));
            for file in ["annotations.parquet", "policy/model.safetensors"] {
                let read = |run: &Path| std::fs::read(run.join(file)).unwrap();
                assert!(read(&out) == read(&first), "{file} differs");
            }
        }
    }
    // Another annotator says other things, and its labels decide what the reference learns.
    let other = run(&folder.path().join("other"), &cache, &["annotator.learning_rate=0.002"]);
    assert!(found(&other).is_empty(), "{:?}", found(&other));
}

#[test]
fn a_damaged_file_is_told_and_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let first = folder.path().join("first");
    run(&first, &cache, &[]);
    let whole = files(&cache);
    let (name, (_, bytes)) = whole.first_key_value().unwrap();
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(cache.join("passes").join(name), damaged).unwrap();

    let second = folder.path().join("second");
    let told = run(&second, &cache, &[]);
    let warnings = messages(&told, "warning");
    let named = warnings.iter().find(|warning| warning.contains(name.as_str()));
    assert!(named.is_some_and(|warning| warning.contains("damaged")), "{warnings:?}");
    assert_eq!(trace(&second), trace(&first));
    assert_eq!(found(&run(&folder.path().join("third"), &cache, &[])).len(), 2);
}

#[test]
fn a_folder_that_cannot_be_written_fails_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let told = run(&folder.path().join("run"), &file, &[]);
    let warnings = messages(&told, "warning");
    assert!(warnings.iter().any(|w| w.contains("CONFIDE_CACHE")), "{warnings:?}");
    assert!(folder.path().join("run/report.json").exists());
}
