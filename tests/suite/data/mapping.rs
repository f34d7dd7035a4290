//! Columns that a person names.

use confide::data::{ColumnMap, ReadSettings, Side, inspect};
use serde_json::{Value, json};

use super::{Files, assert_says, json_lines, read_as, rows};

fn mapped(columns: &str) -> ReadSettings {
    ReadSettings { columns: columns.parse().unwrap(), ..ReadSettings::default() }
}

#[test]
fn any_shape_can_be_named() {
    let row = json!({"meta": {"task": "q", "who": "s"}, "alternatives": [{"body": {"t": "a"}}, {"body": {"t": "b"}}], "x": "a2", "y": "b2", "likes_y": 1});
    let cases = [
        ("prompt=meta.task,chosen=x,rejected=y", ["a2", "b2"], Some(Side::First), "q"),
        (
            "prompt=meta.task,chosen=alternatives.0.body.t,rejected=alternatives.-1.body.t",
            ["a", "b"],
            Some(Side::First),
            "q",
        ),
        ("prompt=meta.task,first=x,second=y", ["a2", "b2"], None, "q"),
        (
            "prompt=meta.task,first=x,second=y,label=likes_y,reading=0/1",
            ["a2", "b2"],
            Some(Side::Second),
            "q",
        ),
        (
            "prompt=meta.task,first=x,second=y,label=likes_y,reading=1..0",
            ["a2", "b2"],
            Some(Side::First),
            "q",
        ),
        (
            "prompt=meta.who + meta.task,chosen=x,rejected=y",
            ["a2", "b2"],
            Some(Side::First),
            "s\n\nq",
        ),
        (
            "prompt=meta.task,system=meta.who,chosen=x,rejected=y",
            ["a2", "b2"],
            Some(Side::First),
            "System: s\n\nUser: q",
        ),
    ];
    for (columns, responses, label, prompt) in cases {
        let (pairs, report) = read_as(&[row.clone(), row.clone()], &mapped(columns))
            .unwrap_or_else(|e| panic!("{columns}: {e}"));
        assert_eq!(pairs[0].responses, responses, "{columns}: {}", report.format);
        assert_eq!(
            pairs[0].label.map(|label| label.preferred),
            label,
            "{columns}: {}",
            report.format
        );
        assert_eq!(pairs[0].prompt.display(), prompt, "{columns}");
    }
}

/// What a scale means is the person's word, against what would be guessed.
#[test]
fn a_reading_can_be_named() {
    let row = |n: i32| json!({"prompt": format!("q{n}"), "response_a": "a", "response_b": "b", "preference": n});
    let all: Vec<Value> = [1, 2, 2].map(row).to_vec();
    let sides = |settings: &ReadSettings| -> Vec<Option<Side>> {
        let (pairs, report) = read_as(&all, settings).unwrap();
        assert!(
            report.notes.iter().all(|note| !note.contains("guess"))
                || *settings == ReadSettings::default()
        );
        pairs.iter().map(|pair| pair.label.map(|label| label.preferred)).collect()
    };
    let (first, second) = (Some(Side::First), Some(Side::Second));
    assert_eq!(sides(&ReadSettings::default()), [first, second, second]);
    assert_eq!(sides(&mapped("reading=1..5")), [first; 3]);
    assert_eq!(sides(&mapped("label=preference,reading=5..1")), [second; 3]);
    assert_eq!(sides(&mapped("reading=2/1")), [second, first, first]);
}

/// The prompt alone may be named, and the rest found.
#[test]
fn a_prompt_can_be_named() {
    let row = json!({"prompt": "the wrong one", "task": "q", "chosen": "a", "rejected": "b"});
    let (pairs, _) = read_as(&[row], &mapped("prompt=task")).unwrap();
    assert_eq!(pairs[0].prompt.display(), "q");
}

#[test]
fn names_that_are_not_there_are_said() {
    let row = json!({"question": "q", "good": "a", "bad": "b"});
    let error =
        read_as(std::slice::from_ref(&row), &mapped("prompt=question,chosen=god,rejected=bad"))
            .err()
            .unwrap();
    assert_says(
        &error.to_string(),
        &["no row with `god`", "data.columns.chosen", "nearest is `good`", "Try: name one of"],
    );
    // A file of another shape beside those that the names are for.
    let (pairs, report) = read_as(&[row], &mapped("prompt=x,chosen=y,rejected=z")).unwrap();
    assert_eq!(pairs.len(), 1);
    assert_says(&report.notes[0], &["none of data.columns"]);
}

#[test]
fn entries_must_fit_each_other() {
    let wrong = |text: &str| text.parse::<ColumnMap>().unwrap_err();
    assert_says(&wrong("chosen=a"), &["chosen is named, rejected is not"]);
    assert_says(&wrong("first=a,second=b,chosen=c,rejected=d"), &["both named"]);
    assert_says(&wrong("prompt"), &["has no ="]);
    assert_says(&wrong("promt=a"), &["“promt” is none of prompt"]);
    for reading in ["5..5", "a", "1/1", "1/2/2", "x..2"] {
        assert_says(&wrong(&format!("reading={reading}")), &["1/2/0", "1..7"]);
    }
}

/// Where nothing is found, the columns are there to choose from.
#[test]
fn an_unknown_shape_lists_its_columns() {
    let files = Files::new();
    let row = json!({"meta": {"task": "q"}, "x": "one text", "n": 3});
    let found = inspect(&[files.write(json_lines(&[row.clone(), row]))], &ReadSettings::default());
    let file = &found.files[0];
    assert_says(file.error.as_deref().unwrap(), &["--columns", "[data.columns]"]);
    let columns: Vec<_> = file
        .columns
        .iter()
        .map(|c| (c.name.as_str(), c.kind.as_str(), c.example.as_str()))
        .collect();
    assert_eq!(
        columns,
        [("meta.task", "text", "q"), ("n", "number", "3"), ("x", "text", "one text")]
    );
}

/// Columns that nothing is read from are listed.
#[test]
fn what_is_not_read_is_listed() {
    let (_, report) =
        rows(&[json!({"prompt": "q", "chosen": "a", "rejected": "b", "source": "s", "id": 1})]);
    assert_eq!(report.unread, ["id", "source"]);
    assert!(report.notes.is_empty());
}
