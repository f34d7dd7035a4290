//! What a limit on lengths loses, told before a run and in it.

use std::path::Path;

use confide::batch::Sequence;
use confide::demo;
use confide::run::Recipe;
use confide::text::{EncodedPair, Fit, Lengths};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{events, printed, program, repository};

fn pair() -> impl Strategy<Value = EncodedPair> {
    let tokens = |most| prop::collection::vec(0u32..2, 0..most);
    (tokens(6), tokens(6), tokens(6)).prop_map(|(prompt, first, second)| {
        let side = |response| Sequence { prompt: prompt.as_slice().into(), response };
        EncodedPair { pair: 0, sides: [side(first), side(second)], merged: false }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What a pair needs is the least limit that keeps it, and every larger one does.
    #[test]
    fn what_pairs_need_is_what_keeps_them(pairs in prop::collection::vec(pair(), 1..40)) {
        for fit in [Fit::Whole, Fit::Start] {
            for limit in 0..16 {
                let mut kept = 0;
                for pair in &pairs {
                    let fits = pair.fit(fit, limit).is_some();
                    prop_assert_eq!(fits, pair.needs(fit).is_some_and(|needs| needs <= limit));
                    kept += usize::from(fits);
                }
                let lengths = Lengths::of(&pairs, pairs.len(), fit, limit);
                prop_assert_eq!(lengths.lost, pairs.len() - kept);
            }
            let lengths = Lengths::of(&pairs, pairs.len(), fit, 0);
            let ever = pairs.iter().filter(|pair| pair.needs(fit).is_some()).count();
            let most = Lengths::of(&pairs, pairs.len(), fit, lengths.keeps_most());
            let kept = pairs.len() - most.lost;
            prop_assert!(kept as f64 >= 0.95 * ever as f64, "{} keeps {kept} of {ever}", most.limit);
        }
    }
}

/// Forty pairs of which so many are long.
fn file(folder: &Path, long: usize) -> String {
    let row = |i: usize| {
        let chosen = if i < long { "a tall tale ".repeat(90) } else { format!("yes {i}") };
        json!({"prompt": format!("Question {i}?"), "chosen": chosen, "rejected": format!("no {i}")})
    };
    let rows: Vec<String> = (0..40).map(|i| row(i).to_string()).collect();
    let path = folder.join("pairs.jsonl");
    std::fs::write(&path, rows.join("\n")).unwrap();
    path.to_string_lossy().into_owned()
}

fn run(folder: &Path, long: usize, more: &[&str]) -> (bool, String, Vec<Value>) {
    let out = folder.join("run");
    let mut command = program();
    command.args(["demo", "--device", "cpu", "--out"]).arg(&out);
    let file = format!("data.files=[{:?}]", file(folder, long));
    for set in [&file[..], "annotator.steps=1", "policy.epochs=0", "data.shuffle=false"] {
        command.args(["--set", set]);
    }
    for set in more {
        command.args(["--set", set]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said, events(&out))
}

#[test]
fn a_run_that_would_lose_most_pairs_does_not_begin() {
    let folder = tempfile::tempdir().unwrap();
    let (done, said, events) = run(folder.path(), 24, &[]);
    assert!(!done, "{said}");
    for words in ["24 of 40 pairs", "192 tokens", "data.max_length = ", "data.max_lost = 1"] {
        assert!(said.contains(words), "“{words}” is not in: {said}");
    }
    assert!(!events.iter().any(|event| event["event"] == "step"), "something was trained");
    // The length that it names is one with which it begins.
    let longer = said.split("data.max_length = ").nth(1).unwrap();
    let longer: String = longer.chars().take_while(char::is_ascii_digit).collect();
    let again = tempfile::tempdir().unwrap();
    let (done, said, _) = run(again.path(), 24, &[&format!("data.max_length={longer}")]);
    assert!(done, "{said}");
}

#[test]
fn lost_pairs_are_warned_of_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (done, said, events) = run(folder.path(), 8, &[]);
    assert!(done, "{said}");
    let warnings: Vec<&str> = events
        .iter()
        .filter(|e| e["event"] == "warning")
        .filter_map(|e| e["message"].as_str())
        .collect();
    let told = |words: &str| warnings.iter().any(|warning| warning.contains(words));
    assert!(told("8 of 40 pairs (20 %) do not fit 192 tokens"), "{warnings:?}");
    assert!(told("is a toy"), "{warnings:?}");
    let report = std::fs::read_to_string(folder.path().join("run/report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["data"]["lengths"]["annotator"]["lost"], 8);
    let text = printed(program().arg("report").arg(folder.path().join("run")));
    assert!(text.contains("8 of 40 pairs"), "{text}");
}

#[test]
fn a_setting_lets_a_run_begin_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (done, said, _) = run(folder.path(), 24, &["data.max_lost=1"]);
    assert!(done, "{said}");
}

#[test]
fn lengths_are_told_before_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), 8);
    let inspect = |more: &[&str]| {
        printed(program().args(["inspect", &file, "--model", "builtin:strong"]).args(more))
    };
    let text = inspect(&["--max-length", "192"]);
    assert!(text.contains("as annotator's pairs, 8 of 40 pairs (20 %)"), "{text}");
    // Cut at their ends, the long ones still differ within the limit.
    assert!(text.contains("as a policy's, cut at their ends, 0 of 40 pairs"), "{text}");
    let all: Value = serde_json::from_str(&inspect(&["--json"])).unwrap();
    assert_eq!(all["lengths"][0]["limit"], 512);
    let recipe = folder.path().join("r.toml");
    let models = "[annotator]\nmodel = 'builtin:weak'\n[policy]\nmodel = 'builtin:strong'\n";
    let text =
        format!("device = 'cpu'\n[data]\nfiles = ['pairs.jsonl']\nmax_length = 192\n{models}");
    std::fs::write(&recipe, text).unwrap();
    let text = printed(program().arg("estimate").arg(&recipe));
    assert!(text.contains("for the annotator, 8 of 40 pairs"), "{text}");
}

#[test]
fn data_of_ones_own_leave_the_demonstration_behind() {
    let mut changed = demo::recipe();
    changed.policy.beta = 0.3;
    changed.annotator.model = "org/own".to_owned();
    let recipe = demo::without(&changed);
    let default = Recipe::default();
    assert_eq!((recipe.policy.beta, recipe.annotator.model.as_str()), (0.3, "org/own"));
    assert_eq!(recipe.policy.model, "");
    assert_eq!(recipe.data.max_length, default.data.max_length);
    assert_eq!(recipe.annotator.training, default.annotator.training);
    assert_eq!(demo::without(&demo::recipe()), default);
    // The example for software adapters loses most of its pairs on purpose.
    let example = std::fs::read_to_string(repository("examples/hh-harmless-gpu.toml")).unwrap();
    assert!(example.contains("max_lost = 1"));
}
