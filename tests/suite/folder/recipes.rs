//! A run goes on with the recipe that it was begun with.

use std::path::Path;

use confide::run::Recipe;

use super::*;

fn edit(run: &Path, settings: &[(&str, &str)]) {
    let path = run.join("recipe.toml");
    let settings: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let recipe = Recipe::load(&path, &settings).unwrap();
    std::fs::write(&path, recipe.to_toml()).unwrap();
}

#[test]
fn what_must_not_change_is_refused_with_the_difference() {
    let before = tiny();
    for (key, value) in [
        ("policy.beta", "0.25"),
        ("seed", "7"),
        ("policy.learning_rate", "0.5"),
        ("data.limit", "50"),
        ("policy.objective", "ipo"),
        ("data.chat", "plain"),
        ("evaluate.samples", "3"),
        ("annotator.epochs", "2"),
    ] {
        let (_folder, run) = stopped();
        edit(&run, &[(key, value)]);
        let error = resume(&run).0.unwrap_err();
        assert!(error.contains(&format!("{key} was ")), "{key}: {error}");
        assert!(error.contains("may change") && error.contains("confide run"), "{error}");
        // Put back, the run goes on.
        std::fs::write(run.join("recipe.toml"), before.to_toml()).unwrap();
        resume(&run).0.unwrap();
        same_as_calm(&run);
    }
}

#[test]
fn what_may_change_is_told() {
    let (_folder, run) = stopped();
    edit(
        &run,
        &[("name", "other"), ("checkpoint_seconds", "9.5"), ("confidence.threshold", "0.4")],
    );
    let (outcome, told) = resume(&run);
    outcome.unwrap();
    let told_of = warnings(&told);
    for key in ["name was ", "checkpoint_seconds was ", "confidence.threshold was "] {
        assert!(told_of.iter().any(|t| t.contains(key)), "{key}: {told_of:?}");
    }
    let started = told.iter().find_map(|event| match event {
        Event::Started { threshold, resumed, .. } => Some((*threshold, *resumed)),
        _ => None,
    });
    assert_eq!(started, Some((0.4, true)));
}

/// Files are compared by what is in them: the same ones elsewhere are the same.
#[test]
fn data_that_changed_is_refused_and_data_that_moved_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("pairs.jsonl");
    let row = |i: usize| {
        format!(
            "{{\"prompt\": \"Tell me about {i}\", \"chosen\": \"yes {i}\", \"rejected\": \"no\"}}\n"
        )
    };
    std::fs::write(&data, (0..60).map(row).collect::<String>()).unwrap();
    let mut recipe = tiny();
    recipe.data.files = vec![data.to_str().unwrap().to_owned()];
    let path = folder.path().join("run");
    let job = Job::Fresh { recipe: Box::new(recipe), folder: path.clone(), download: false };
    let at = |event: &Event| matches!(event, Event::Step { stage: Stage::SFT, step: 2, .. });
    run(job, at).0.unwrap_err();

    std::fs::write(&data, (0..60).map(|i| row(i + 1)).collect::<String>()).unwrap();
    let error = resume(&path).0.unwrap_err();
    assert!(error.contains("data.files") && error.contains("has changed since"), "{error}");

    let moved = folder.path().join("moved.jsonl");
    std::fs::write(&moved, (0..60).map(row).collect::<String>()).unwrap();
    std::fs::remove_file(&data).unwrap();
    edit(&path, &[("data.files", moved.to_str().unwrap())]);
    resume(&path).0.unwrap();
}
