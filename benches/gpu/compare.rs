//! Two runs of one recipe on two devices: how far their losses are apart, and how long each took.

use std::path::Path;

use serde_json::{Value, json};

pub(crate) fn run(words: &[String]) {
    let [first, second] = words.first_chunk().expect("the folders of two runs");
    let (a, b) = (Trace::of(first.as_ref()), Trace::of(second.as_ref()));
    let stages = ["annotator", "sft", "policy"].map(|stage| {
        let losses = |trace: &Trace| -> Vec<f64> {
            trace.losses.iter().filter(|(of, _)| of == stage).map(|(_, loss)| *loss).collect()
        };
        let (x, y) = (losses(&a), losses(&b));
        let apart = |steps: usize| {
            let pairs = x.iter().zip(&y).take(steps);
            pairs.map(|(x, y)| (x - y).abs() / y.abs().max(1.0)).fold(0.0, f64::max)
        };
        json!({
            "stage": stage, "steps": [x.len(), y.len()],
            "apart_in_10_steps": apart(10), "apart": apart(usize::MAX),
        })
    });
    println!(
        "{}",
        json!({
            "task": "compare", "stages": stages, "seconds": [a.seconds, b.seconds],
            "annotator_accuracy": [a.accuracy, b.accuracy],
        })
    );
}

struct Trace {
    /// Stage and loss of every step.
    losses: Vec<(String, f64)>,
    seconds: Value,
    accuracy: Value,
}

impl Trace {
    fn of(run: &Path) -> Self {
        let read = |name: &str| std::fs::read_to_string(run.join(name)).unwrap_or_default();
        let events = read("events.jsonl");
        let steps = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let losses = steps.filter(|event| event["event"] == "step").filter_map(|step| {
            Some((step["stage"].as_str()?.to_owned(), step["metrics"]["loss"].as_f64()?))
        });
        let report: Value = serde_json::from_str(&read("report.json")).unwrap_or_default();
        Self {
            losses: losses.collect(),
            seconds: report["seconds"].clone(),
            accuracy: report["annotator"]["accuracy"].clone(),
        }
    }
}
