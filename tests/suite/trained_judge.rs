//! A judge that learns to judge, in whole runs.

use std::path::{Path, PathBuf};

use confide::data::{AnnotatedPair, Side, read_annotations};
use confide::run::{
    Control, Event, Job, Metrics, Recipe, Report, RunError, Stage, estimate, execute,
};
use serde_json::json;

use crate::common::{assert_close, repository};

const PAIRS: usize = 60;

/// Pairs of which the longer response is the better one, whichever stands first.
fn data(folder: &Path) -> PathBuf {
    let row = |i: usize| {
        let (good, bad) = ("It is Paris, on the Seine.", "I do not know.");
        let (good, bad) = (format!("{good} {i}"), format!("{bad} {i}"));
        let prompt = format!("What is the capital of France? {i}");
        match i % 3 {
            0 => json!({"prompt": prompt, "response_1": bad, "response_2": good, "label": 2}),
            _ => json!({"prompt": prompt, "response_1": good, "response_2": bad, "label": 1}),
        }
    };
    let lines: Vec<String> = (0..PAIRS).map(|i| row(i).to_string()).collect();
    let path = folder.join("pairs.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn recipe(place: &Path, settings: &[(&str, &str)]) -> Recipe {
    let text = format!(
        "device = 'cpu'\nname = 'verdicts'\ncheckpoint_seconds = 0\n\
         data = {{ files = ['{}'], labelled = 0.6, held_out = 0.2 }}\n\
         policy = {{ model = 'builtin:strong', epochs = 0 }}\n[annotator]\nkind = 'trained-judge'\n\
         judge = 'a-b'\nmodel = '{}'\nepochs = 4\nbatch_size = 4\nlearning_rate = 1e-2\nbeta = 0.5\n\
         sft_epochs = 2\nsft_learning_rate = 1e-2\n\
         prompt = \"{{prompt}}\\nA: {{response_a}}\\nB: {{response_b}}\\nSay which is better now.\\nBetter:\"",
        data(place).display(),
        repository("tests/fixtures/judge").display(),
    );
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Recipe::parse(&text, Path::new("verdicts.toml"), &set).unwrap()
}

struct Ran {
    report: Report,
    steps: Vec<(u64, Metrics)>,
    table: Vec<AnnotatedPair>,
}

impl Ran {
    fn measured(&self, name: &str) -> Option<f64> {
        self.report.measured.get(name)?.as_f64()
    }
}

fn run(job: Job, folder: &Path) -> Result<Ran, RunError> {
    let mut steps = Vec::new();
    let report = execute(job, Control::default(), &mut |event| {
        if let Event::Step { stage: Stage::ANNOTATOR, step, metrics } = event {
            steps.push((step, metrics));
        }
    })?;
    let table = read_annotations(&folder.join("annotations.parquet")).unwrap();
    Ok(Ran { report, steps, table })
}

fn fresh(recipe: &Recipe, folder: &Path) -> Job {
    Job::Fresh { recipe: Box::new(recipe.clone()), folder: folder.to_owned(), download: false }
}

/// Whether the judge as it is answers both questions about each pair that a table does not have as people do; by
/// another run, which asks about all pairs and trains nothing.
fn untrained(place: &Path, table: &[AnnotatedPair]) -> Vec<[bool; 2]> {
    let settings = [("annotator.kind", "judge"), ("data.labelled", "0"), ("data.held_out", "0")];
    let folder = place.join("untrained");
    let all = run(fresh(&recipe(place, &settings), &folder), &folder).unwrap().table;
    let learned = all.iter().filter(|pair| table.iter().all(|known| known.prompt != pair.prompt));
    let right = |pair: &AnnotatedPair| {
        let first = pair.human.unwrap() == Side::First;
        [(pair.columns["first_1"] > 0.5) == first, (pair.columns["first_2"] > 0.5) != first]
    };
    learned.map(right).collect()
}

#[test]
fn it_learns_from_what_it_judges_rightly_and_then_from_its_errors() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let recipe = recipe(place.path(), &[]);
    let ran = run(fresh(&recipe, &folder), &folder).unwrap();
    let before = untrained(place.path(), &ran.table);
    let kept = before.iter().filter(|both| **both == [true; 2]).count();
    assert!(kept > 0 && kept < before.len());
    assert_eq!(ran.measured("annotator.verdicts_kept"), Some(kept as f64));
    // Two questions about each of them, four at a time, two epochs of them; then four of the errors.
    let tuning = 2 * (2 * kept).div_ceil(4);
    let errors = ran.measured("annotator.verdicts_wrong").unwrap() as usize;
    let learning = 4 * (2 * errors).div_ceil(4);
    assert!(errors > 0);
    assert_eq!(ran.steps.len(), tuning + learning);
    assert_eq!(ran.report.annotator.steps as usize, tuning + learning);
    // DPO begins at its reference, the fine-tuned model.
    let margins = |k: usize| ran.steps[k].1.get("rewards/margins");
    assert_eq!((margins(tuning - 1), margins(tuning)), (None, Some(0.0)));
    assert_close(&[ran.steps[tuning].1.get("loss").unwrap()], &[2.0_f64.ln()], 1e-6, "first loss");
    // What it has learned holds for pairs that it has not seen, in either order.
    let both = |before: &[[bool; 2]]| {
        before.iter().filter(|both| both[0] == both[1]).count() as f64 / before.len() as f64
    };
    let now = &ran.report.annotator;
    assert!(now.accuracy.unwrap() > 0.8, "{now:?}");
    assert!(now.consistent.unwrap() > both(&before) + 0.3, "{now:?}, {}", both(&before));

    // Stopped in either training, it goes on there.
    for at in [tuning as u64 - 1, tuning as u64 + 2] {
        let folder = place.path().join(format!("stopped-{at}"));
        let control = Control::default();
        let stop = control.clone();
        let ended = execute(fresh(&recipe, &folder), control, &mut |event| {
            if matches!(event, Event::Step { stage: Stage::ANNOTATOR, step, .. } if step == at) {
                stop.stop();
            }
        });
        assert!(matches!(ended, Err(RunError::Stopped)), "{ended:?}");
        let job = Job::Resume { folder: folder.clone(), device: None };
        let resumed = run(job, &folder).unwrap();
        assert_eq!(resumed.table, ran.table, "stopped at {at}");
        assert_eq!(resumed.steps.len(), ran.steps.len() - at as usize);
    }
}

#[test]
fn without_fine_tuning_it_learns_from_the_errors_of_the_model_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let recipe = recipe(place.path(), &[("annotator.sft_epochs", "0")]);
    let ran = run(fresh(&recipe, &folder), &folder).unwrap();
    let before = untrained(place.path(), &ran.table);
    let wrong = before.iter().filter(|both| **both != [true; 2]).count();
    assert!(wrong > 0 && wrong < before.len());
    assert_eq!(ran.measured("annotator.verdicts_wrong"), Some(wrong as f64));
    assert_eq!(ran.measured("annotator.verdicts_kept"), None);
    // Both orders of each, four at a time, four times.
    assert_eq!(ran.steps.len(), 4 * (2 * wrong).div_ceil(4));
}

/// A model that always says the same judges no pair rightly in both orders.
#[test]
fn without_a_right_verdict_it_ends_with_what_to_try() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let recipe = recipe(place.path(), &[("annotator.prompt", "''")]);
    let found = run(fresh(&recipe, &folder), &folder).map(|ran| ran.report).unwrap_err();
    let found = found.to_string();
    for words in ["in both orders for none of", "annotator.prompt", "annotator.sft_epochs = 0"] {
        assert!(found.contains(words), "{found}");
    }
}

#[test]
fn settings_without_a_meaning_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let refused = |settings: &[(&str, &str)]| {
        recipe(place.path(), settings).check("verdicts.toml").unwrap_err().to_string()
    };
    let found = refused(&[("annotator.judge", "yes-no")]);
    assert!(found.contains("set annotator.judge = \"a-b\""), "{found}");
    let found = refused(&[("annotator.optimise_prompt", "2")]);
    assert!(found.contains("annotator.kind = \"judge\""), "{found}");
    let found = refused(&[("annotator.epochs", "0")]);
    assert!(found.contains("annotator.epochs = 0") && found.contains("learns nothing"), "{found}");
    let found = refused(&[("annotator.ensemble", "2")]);
    assert!(found.contains("scalar head"), "{found}");
}

/// What learning takes is told before, and then what asking takes.
#[test]
fn an_estimate_is_of_the_answers_that_are_learned() {
    let place = tempfile::tempdir().unwrap();
    let found = estimate(&recipe(place.path(), &[]), place.path()).unwrap();
    let stages: Vec<Stage> = found.stages.iter().map(|stage| stage.stage).collect();
    assert_eq!(stages, [Stage::ANNOTATOR, Stage::CONFIDENCE]);
    assert!(found.stages[0].needs.optimiser > 0 && found.stages[1].needs.optimiser == 0);
}
