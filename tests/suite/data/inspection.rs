//! What files hold, without failing.

use confide::data::{ReadSettings, inspect};

use super::{Files, assert_says, data};

const GOOD: &str = r#"{"prompt": "q", "chosen": "a", "rejected": "b"}"#;

#[test]
fn files_are_summed_and_errors_kept() {
    let files = Files::new();
    let empty_response = r#"{"prompt": "q", "chosen": "a", "rejected": ""}"#;
    let paths = [
        files.write(format!("{GOOD}\n{GOOD}\n{empty_response}")),
        files.write("nothing"),
        files.write("prompt,response_1,response_2\nq,a,b\n"),
    ];
    let found = inspect(&paths, &ReadSettings::default());
    assert_eq!(
        (found.pairs, found.bad_rows, found.unlabelled, found.duplicates, found.ties),
        (3, 1, 1, 1, 0)
    );
    assert_eq!(found.bad_by_reason, [("empty_response".to_owned(), 1)].into());
    assert_says(&found.format, &["JSON lines, `chosen`", "; CSV, two candidates"]);
    assert_eq!(found.files.iter().map(|file| file.path.clone()).collect::<Vec<_>>(), paths);
    assert_says(found.files[1].error.as_deref().unwrap(), &["no table"]);
    assert!(found.files[0].error.is_none() && found.files[2].error.is_none());
    assert_eq!(found.files[0].bad_rows, 1);
    assert_eq!(found.preview.iter().map(|pair| pair.source.file).collect::<Vec<_>>(), [0, 0, 2]);
}

#[test]
fn json_has_the_keys_that_scripts_read() {
    let files = Files::new();
    let json = serde_json::to_value(inspect(
        &[files.write(GOOD), files.write("[")],
        &ReadSettings::default(),
    ))
    .unwrap();
    assert_eq!((&json["pairs"], &json["bad_rows"]), (&1.into(), &0.into()));
    assert!(json["bad_by_reason"].is_object() && json["format"].is_string());
    assert_eq!(json["files"][0]["pairs"], 1);
    assert!(json["files"][0]["error"].is_null() && json["files"][1]["error"].is_string());
    assert!(json.get("preview").is_none());
}

#[test]
fn a_large_file_is_previewed() {
    let Some(path) = data("hh-harmless-base/test.jsonl.gz") else { return };
    let found = inspect(&[path], &ReadSettings::default());
    assert_eq!((found.pairs, found.preview.len()), (2303, 200));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(
        json["bad_by_reason"],
        serde_json::json!({"empty_response": 4, "prompts_differ": 5})
    );
    let row = serde_json::json!({
        "line": 87, "reason": "empty_response", "detail": "the response in `chosen` is empty",
    });
    assert_eq!(json["files"][0]["bad"][0], row);
}

#[test]
fn no_files_are_no_pairs() {
    assert_eq!(inspect(&[], &ReadSettings::default()), confide::data::Inspection::default());
}
