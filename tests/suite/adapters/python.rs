//! What PEFT makes of adapters that Confide wrote, where there is a Python that has it.

use std::path::Path;

use serde_json::{Value, json};

use crate::common::{numbers, printed, python, repository};

/// Whether there is a Python to ask.
pub(super) fn is_there() -> bool {
    python().is_some()
}

/// Run Python in the repository; what it printed.
pub(super) fn run(arguments: &[&str]) -> String {
    printed(python().unwrap().args(arguments))
}

/// Logits of every token of each sequence, or the score of each, as PEFT computes them; `None`
/// without a Python.
pub(super) fn ask_peft(base: &Path, adapter: &Path, sequences: &[Vec<u32>]) -> Option<Vec<f64>> {
    if !is_there() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let (ids, out) = (folder.path().join("ids.json"), folder.path().join("out.json"));
    std::fs::write(&ids, json!(sequences).to_string()).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let script = path(&repository("tests/fixtures/make_adapters.py"));
    run(&[&script, "check", &path(base), &path(adapter), &path(&ids), &path(&out)]);
    let found: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    let values = found.get("scores").or_else(|| found.get("logits")).unwrap();
    Some(numbers(values))
}
