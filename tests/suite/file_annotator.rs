//! Labels, margins and weights that come with the files, in whole runs.

use std::path::Path;

use confide::data::read_annotations;
use confide::preference::Weighting;
use confide::run::{Event, Recipe, Report, RunError};
use serde_json::{Value, json};

use crate::common::ran;

type Outcome = (Result<Report, RunError>, Vec<Event>);

fn run(folder: &Path, rows: &[Value], kind: &str) -> Outcome {
    let path = folder.join("pairs.jsonl");
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let text = format!(
        "device = 'cpu'\nname = 'file'\n\
         data = {{ files = ['{}'], labelled = 0, held_out = 0 }}\n\
         annotator = {{ kind = '{kind}' }}\nsft = {{ epochs = 0 }}\n\
         policy = {{ model = 'builtin:strong', steps = 1, batch_size = 4, accumulate = 1 }}\n\
         confidence = {{ temperature = 2.0 }}\nevaluate = {{ samples = 0 }}",
        path.display(),
    );
    let recipe = Recipe::parse(&text, Path::new("file.toml"), &[]).unwrap();
    ran(recipe, &folder.join("run"))
}

fn row(i: usize, more: &Value) -> Value {
    let mut row = json!({"prompt": format!("What is number {i}?"), "response_1": format!("{i}."), "response_2": "No."});
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}

/// The mean weight of the one step.
fn mean_weight(events: &[Event]) -> f64 {
    let mut means = events.iter().filter_map(|event| match event {
        Event::Step { metrics, .. } => metrics.get("weight/mean"),
        _ => None,
    });
    means.next().unwrap()
}

#[test]
fn margins_and_weights_of_a_file_weigh_its_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let strengths = [-3, 2, -1, 1];
    let rows: Vec<Value> = (0..4)
        .map(|i| row(i, &json!({"preference_strength": strengths[i], "weight": 0.5 * i as f64})))
        .collect();
    let (report, events) = run(folder.path(), &rows, "file");
    report.unwrap();
    let annotated = read_annotations(&folder.path().join("run/annotations.parquet")).unwrap();
    let labels: Vec<_> = annotated.iter().map(|a| (a.label.index(), a.margin)).collect();
    assert_eq!(labels, [(0, 3.0), (1, 2.0), (0, 1.0), (1, 1.0)]);
    // What the weighting makes of the margins, times the weight of each pair.
    let weights = Weighting::default().weights(&[1.5, 1.0, 0.5, 0.5]);
    let expected: f64 = weights.iter().enumerate().map(|(i, w)| w * 0.5 * i as f64).sum();
    assert!((mean_weight(&events) - expected / 4.0).abs() < 1e-9);
}

/// Without an annotator that says how sure it is, the weights of the file alone count.
#[test]
fn weights_count_whoever_labels() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Value> =
        (0..4).map(|i| row(i, &json!({"label": 1 + i % 2, "weight": i}))).collect();
    let (report, events) = run(folder.path(), &rows, "human");
    report.unwrap();
    assert_eq!(mean_weight(&events), 1.5);
}

#[test]
fn probabilities_become_margins() {
    let folder = tempfile::tempdir().unwrap();
    let sure = [0.75, 0.5, 1.0];
    let rows: Vec<Value> =
        (0..3).map(|i| row(i, &json!({"label": 1 + i % 2, "agreement": sure[i]}))).collect();
    let (report, _) = run(folder.path(), &rows, "file");
    report.unwrap();
    let annotated = read_annotations(&folder.path().join("run/annotations.parquet")).unwrap();
    let margins: Vec<f64> = annotated.iter().map(|a| a.margin).collect();
    // σ(d/T) = p.
    assert!((margins[0] - 2.0 * 3.0_f64.ln()).abs() < 1e-6 && margins[1] == 0.0, "{margins:?}");
    assert!(margins[2] > 15.0 && margins[2].is_finite());
}

#[test]
fn labels_without_a_word_on_how_sure_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Value> = (0..4).map(|i| row(i, &json!({"label": 1 + i % 2}))).collect();
    let (report, _) = run(folder.path(), &rows, "file");
    let words = report.unwrap_err().to_string();
    assert!(
        words.contains("do not say how sure") && words.contains("data.columns.margin"),
        "{words}"
    );
}

/// What reading a file guessed is a warning of the run, and stands in its report.
#[test]
fn a_guess_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Value> = (0..4)
        .map(|i| json!({"prompt": format!("What is number {i}?"), "response_a": format!("{i}."), "response_b": "No.", "label": i % 2, "margin": 1, "context": "c"}))
        .collect();
    let (report, _) = run(folder.path(), &rows, "file");
    let report = report.unwrap();
    let told = |words: &str| report.warnings.iter().any(|warning| warning.contains(words));
    assert!(told("guess") && told("`context` may belong to the prompt"), "{:?}", report.warnings);
    assert_eq!(report.data.summary.files[0].notes.len(), 2);
}
