//! What PEFT makes of adapters that Confide wrote, where a Python that has it (and torch) is
//! named by `PEFT_TEST_PYTHON`.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::{numbers, repository};

/// Whether there is a Python to ask.
pub(super) fn is_there() -> bool {
    let there = std::env::var_os("PEFT_TEST_PYTHON").is_some();
    if !there {
        eprintln!("skipped: PEFT_TEST_PYTHON is not set");
    }
    there
}

/// Run Python in the repository; what it printed.
pub(super) fn run(arguments: &[&str]) -> String {
    let output = Command::new(std::env::var_os("PEFT_TEST_PYTHON").unwrap())
        .args(arguments)
        .current_dir(repository(""))
        .env("OMP_NUM_THREADS", "1")
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
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
