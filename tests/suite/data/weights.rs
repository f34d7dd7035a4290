//! Weights and confidences that come with the data.

use confide::data::{BadReason, Pair, ReadSettings, Side, read_file, write_pairs};
use serde_json::{Value, json};

use super::{assert_says, lines, rows};

fn row(column: &str, value: impl Into<Value>) -> Value {
    json!({"prompt": "q", "chosen": "a", "rejected": "b", column: value.into()})
}

#[test]
fn a_weight_multiplies_a_pair() {
    let (pairs, report) = rows(&[
        row("weight", json!(2.5)),
        row("weight", Value::Null),
        row("weight", json!("0")),
        row("weight", json!(-1)),
    ]);
    assert_eq!(pairs.iter().map(|pair| pair.weight).collect::<Vec<_>>(), [2.5, 1.0, 0.0]);
    assert_eq!(lines(&report, BadReason::WrongType), [4]);
    assert_says(&report.format, &["weights in `weight`"]);
}

#[test]
fn sureness_has_three_spellings() {
    let read = |column: &str, values: [f64; 2]| {
        let (pairs, report) = rows(&values.map(|value| row(column, json!(value))));
        let labels = pairs.iter().map(|pair| pair.label.unwrap());
        (labels.map(|label| (label.agreement, label.margin)).collect::<Vec<_>>(), report)
    };
    let (labels, report) = read("margin", [0.25, 3.0]);
    assert_eq!(labels, [(1.0, Some(0.25)), (1.0, Some(3.0))]);
    assert_says(&report.format, &["margins in `margin`"]);
    assert_eq!(read("agreement", [0.75, 1.0]).0, [(0.75, None), (1.0, None)]);
    // Below a half, it is no probability of the preferred response.
    let (labels, report) = read("confidence", [0.25, 1.0]);
    assert_eq!(labels, [(0.625, None), (1.0, None)]);
    assert_says(&report.format, &["confidences (2p − 1)"]);
    let (labels, report) = read("margin", [0.25, -3.0]);
    assert_eq!(labels[1], (1.0, None));
    assert_says(&report.notes[0], &["in 1 pairs", "against its label"]);
    // Another scale.
    assert_eq!(read("confidence", [7.0, 9.0]).0, [(1.0, None), (1.0, None)]);
}

/// What is converted is what was read, in TRL's form, and reads as the same again.
#[test]
fn converted_pairs_read_as_the_same() {
    let talk = |reply: &str| json!([{"role": "assistant", "content": reply}]);
    let tables = [
        vec![
            json!({"prompt": "q\n\"1\"", "response_1": "a", "response_2": "b", "preference_strength": 2, "weight": 0.5}),
            json!({"prompt": "q2", "response_1": "é", "response_2": "d", "preference_strength": -1, "weight": 1}),
        ],
        vec![
            json!({"prompt": [{"role": "user", "content": "q"}], "chosen": talk("a"), "rejected": talk("b"), "agreement": 0.75}),
            json!({"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}], "chosen": talk("c"), "rejected": talk("d"), "agreement": 1.0}),
        ],
        vec![json!({"tools": [{"name": "w"}], "prompt": "q", "chosen": "a", "rejected": "b"})],
        vec![json!({"prompt": "q", "response_1": "a", "response_2": "b"})],
    ];
    for table in tables {
        let (pairs, _) = rows(&table);
        for name in ["out.jsonl", "out.parquet"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            let written = write_pairs(&path, &pairs).unwrap();
            assert_eq!(
                (written.pairs, written.left_out, written.made_messages),
                (pairs.len(), 0, false)
            );
            let (again, report) =
                read_file(&path, &ReadSettings::default()).unwrap_or_else(|e| panic!("{e}"));
            let says = |pair: &Pair| {
                let label = pair.label.map(|label| (label.agreement, label.margin));
                let first = pair.label.map_or(0, |label| label.preferred.index());
                (
                    pair.prompt.clone(),
                    pair.responses[first].clone(),
                    pair.responses[1 - first].clone(),
                    label,
                    pair.weight,
                )
            };
            let expected: Vec<_> = pairs.iter().map(says).collect();
            assert_eq!(again.iter().map(says).collect::<Vec<_>>(), expected, "{}", report.format);
            assert!(
                again
                    .iter()
                    .all(|pair| pair.label.is_none_or(|label| label.preferred == Side::First))
            );
            assert_says(
                &write_pairs(&path, &pairs).unwrap_err().to_string(),
                &["there already", "a new name"],
            );
        }
    }
}

#[test]
fn what_has_no_place_is_told() {
    let two =
        |label: Value| json!({"prompt": "q", "response_a": "a", "response_b": "b", "label": label});
    let (pairs, _) = rows(&[two(json!("A")), two(Value::Null), two(json!("B"))]);
    let folder = tempfile::tempdir().unwrap();
    let written = write_pairs(&folder.path().join("x.jsonl"), &pairs).unwrap();
    assert_eq!((written.pairs, written.left_out), (2, 1));
    assert_says(
        &write_pairs(&folder.path().join("x.csv"), &pairs).unwrap_err().to_string(),
        &["“csv”", ".jsonl or .parquet"],
    );
    let call = json!({"prompt": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [{"f": 1}]}], "chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "b"}]});
    let (calls, _) = rows(&[call]);
    assert_says(
        &write_pairs(&folder.path().join("y.parquet"), &calls).unwrap_err().to_string(),
        &["call functions", ".jsonl"],
    );
    let path = folder.path().join("y.jsonl");
    write_pairs(&path, &calls).unwrap();
    assert_eq!(read_file(&path, &ReadSettings::default()).unwrap().0[0].prompt, calls[0].prompt);
}
