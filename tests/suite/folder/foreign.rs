//! A run folder that somebody else made, and folders that hold something else.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::*;

/// Write a state with a checksum that fits, as somebody would who means harm.
fn forge(run: &Path, change: impl FnOnce(&mut Value)) {
    let path = run.join("state.json");
    let mut state = json(&path);
    state.as_object_mut().unwrap().remove("sha256");
    change(&mut state);
    let digest = Sha256::digest(serde_json::to_vec(&state).unwrap());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    state["sha256"] = hex.into();
    std::fs::write(path, serde_json::to_vec_pretty(&state).unwrap()).unwrap();
}

#[test]
fn a_state_cannot_name_what_is_outside() {
    let victim = tempfile::tempdir().unwrap();
    let mine = victim.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("model.safetensors"), "mine").unwrap();
    let absolute = mine.to_str().unwrap().to_owned();
    for name in [absolute.as_str(), "../../mine", "..", ".", "", "a/b", "a/../../b", "policy-4/"] {
        let (_folder, run) = stopped();
        forge(&run, |state| {
            state["under_way"]["checkpoints"][0]["folder"] = name.into();
        });
        let error = resume(&run).0.unwrap_err();
        assert!(error.contains("no file of a run"), "{name}: {error}");
    }
    for name in [absolute.as_str(), "../mine/model.safetensors", "policy/../../x"] {
        let (_folder, run) = stopped();
        forge(&run, |state| state["done"][0]["files"][name] = "00".into());
        let error = resume(&run).0.unwrap_err();
        assert!(error.contains("no file of a run"), "{name}: {error}");
    }
    assert_eq!(std::fs::read(mine.join("model.safetensors")).unwrap(), b"mine");
}

#[cfg(unix)]
#[test]
fn links_in_a_run_folder_are_not_followed() {
    use std::os::unix::fs::symlink;
    for name in ["events.jsonl", "state.json", "recipe.toml", "lock", "report.json"] {
        let (folder, run) = stopped();
        let mine = folder.path().join("mine");
        std::fs::write(&mine, "mine").unwrap();
        let _ = std::fs::remove_file(run.join(name));
        symlink(&mine, run.join(name)).unwrap();
        let error = resume(&run).0.unwrap_err();
        assert!(error.contains(name) && error.contains("links"), "{name}: {error}");
        assert_eq!(std::fs::read(&mine).unwrap(), b"mine", "{name}");
    }
    for name in ["checkpoints", "annotator", "policy"] {
        let (folder, run) = stopped();
        let mine = folder.path().join("mine");
        std::fs::create_dir_all(mine.join("policy-4")).unwrap();
        std::fs::write(mine.join("policy-4/model.safetensors"), "mine").unwrap();
        let _ = std::fs::remove_dir_all(run.join(name));
        symlink(&mine, run.join(name)).unwrap();
        let error = resume(&run).0.unwrap_err();
        assert!(error.contains(name) && error.contains("links"), "{name}: {error}");
        assert_eq!(std::fs::read(mine.join("policy-4/model.safetensors")).unwrap(), b"mine");
    }
    // Names that a run is about to use for what it is writing.
    for name in ["state.json.partial", "report.json.partial", "annotations.parquet.partial"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let mine = folder.path().join("mine");
        std::fs::write(&mine, "mine").unwrap();
        let at = |event: &Event| matches!(event, Event::Step { stage: Stage::ANNOTATOR, .. });
        run(fresh(&path), at).0.unwrap_err();
        symlink(&mine, path.join(name)).unwrap();
        resume(&path).0.unwrap();
        assert_eq!(std::fs::read(&mine).unwrap(), b"mine", "{name}");
    }
}

#[test]
fn a_run_begins_in_a_new_or_empty_folder_alone() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["policy/model.safetensors", "annotator/x", "report.json", "checkpoints/mine", "a"]
    {
        let home = folder.path().join(file.replace('/', "-"));
        let mine = home.join(file);
        std::fs::create_dir_all(mine.parent().unwrap()).unwrap();
        std::fs::write(&mine, "mine").unwrap();
        let error = run(fresh(&home), |_| false).0.unwrap_err();
        let first = file.split('/').next().unwrap();
        assert!(error.contains(&format!("is not empty: it holds {first}")), "{error}");
        assert_eq!(std::fs::read(&mine).unwrap(), b"mine");
        assert_eq!(std::fs::read_dir(&home).unwrap().count(), 1, "{file}: something was written");
    }
    let many = folder.path().join("many");
    std::fs::create_dir(&many).unwrap();
    (0..9).for_each(|i| std::fs::write(many.join(format!("file {i}")), "").unwrap());
    let error = run(fresh(&many), |_| false).0.unwrap_err();
    assert!(error.contains("file 0, file 1, file 2, file 3, file 4 and 4 more"), "{error}");

    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    run(fresh(&empty), |_| false).0.unwrap();
    let error = run(fresh(&empty), |_| false).0.unwrap_err();
    assert!(error.contains("holds a run already") && error.contains("confide resume"), "{error}");
}

/// Whatever a person keeps beside a policy stays when the policy is written again.
#[test]
fn an_export_replaces_its_own_files_alone() {
    let (_folder, run) = stopped();
    std::fs::write(run.join("annotator/mine.txt"), "mine").unwrap();
    std::fs::write(run.join("annotator/config.json"), "{}").unwrap();
    let (outcome, _) = resume(&run);
    outcome.unwrap();
    same_as_calm(&run);
    assert_eq!(std::fs::read(run.join("annotator/mine.txt")).unwrap(), b"mine");
}
