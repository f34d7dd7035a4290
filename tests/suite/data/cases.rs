//! Rows in the shapes of popular preference sets, with the pairs that must come out.

use std::path::PathBuf;

use confide::data::{Pair, ReadSettings, Side, read_file};
use confide::text::prompt_text;
use serde_json::{Value, json};

/// The data of a case, and what is expected of it; skipped where the shared data are absent.
fn cases() -> Vec<(PathBuf, Value)> {
    let Some(root) = crate::common::shared("cases") else { return Vec::new() };
    let mut found = Vec::new();
    for folder in std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(expected) = std::fs::read_to_string(folder.join("expect.json")) else { continue };
        let data = ["data.jsonl", "data.json", "data.csv", "data.parquet"].map(|n| folder.join(n));
        let data = data.into_iter().find(|path| path.exists()).unwrap();
        found.push((data, serde_json::from_str(&expected).unwrap()));
    }
    found
}

/// Prompt, chosen, rejected; a fourth where there is no label.
fn row(pair: &Pair) -> Value {
    let [first, second] = &pair.responses;
    let prompt = prompt_text(&pair.prompt);
    match pair.label.map(|label| label.preferred) {
        Some(Side::First) => json!([prompt, first, second]),
        Some(Side::Second) => json!([prompt, second, first]),
        None => json!([prompt, first, second, "unlabelled"]),
    }
}

#[test]
fn every_case_gives_its_pairs_or_a_true_refusal() {
    for (path, expected) in cases() {
        let place = path.display();
        let read = read_file(&path, &ReadSettings::default());
        if let Some(words) = expected["refuse"].as_str() {
            let error = read.err().unwrap_or_else(|| panic!("{place} is read")).to_string();
            assert!(error.contains(words) && error.contains("Try: "), "{error}");
            continue;
        }
        if let Some(word) = expected["warn"].as_str() {
            let told = match &read {
                Ok((_, report)) => report.format.clone() + &report.notes.join(" "),
                Err(error) => error.to_string(),
            };
            assert!(told.contains(&format!("`{word}`")), "{told}");
            continue;
        }
        let (pairs, report) = read.unwrap_or_else(|e| panic!("{e}"));
        let mut found: Vec<String> = pairs.iter().map(|pair| row(pair).to_string()).collect();
        if let Some(rows) = expected["rows"].as_array() {
            let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
            found.sort();
            rows.sort();
            assert_eq!(found, rows, "{place}: {}", report.format);
        }
        if let Some(counts) = expected["pairs_any"].as_array() {
            assert!(counts.contains(&found.len().into()), "{place}: {} pairs", found.len());
        }
        for (key, count) in [("ties", report.ties), ("bad", report.bad.len())] {
            if let Some(wanted) = expected[key].as_u64() {
                assert_eq!(count as u64, wanted, "{place}: {key}");
            }
        }
    }
}
