//! Damaged files, and bytes that were never a file: a sentence, and no panic.

use std::path::Path;

use confide::data::{
    AnnotatedPair, BadReason, DataError, ReadSettings, Side, read_file, write_annotations,
};
use proptest::prelude::*;

use super::{Files, assert_says, data, gzip, lines, read, refusal};

const GOOD: &str = r#"{"prompt": "q", "chosen": "a", "rejected": "b"}"#;

#[test]
fn an_absent_file_is_named() {
    let message = refusal(read_file(Path::new("no/such/file.json"), &ReadSettings::default()));
    assert_says(&message, &["no/such/file.json", "could not be read", "check the name"]);
}

#[test]
fn truncated_gzip_says_how_much_was_whole() {
    // Text that does not compress to nothing.
    let row = |i: u64| {
        format!(
            "{{\"prompt\": \"{:x}\", \"chosen\": \"a\", \"rejected\": \"b\"}}\n",
            i.wrapping_pow(7)
        )
    };
    let whole = gzip((0..2000).map(row).collect::<String>().as_bytes());
    let message = refusal(read(&whole[..whole.len() / 2]));
    assert_says(
        &message,
        &["is damaged", "gzip", "whole lines", "copy, download or export it again"],
    );
    let lines: u64 =
        message.split(" whole lines").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((500..1500).contains(&lines), "{message}");
}

#[test]
fn truncated_arrays_say_how_much_was_whole() {
    assert_says(
        &refusal(read(format!("[{GOOD}, {GOOD}, {{\"prompt\": \"q"))),
        &["after 2 whole records"],
    );
    assert_says(
        &refusal(read(format!("[{GOOD}, {GOOD}"))),
        &["not closed", "after 1 whole records"],
    );
    assert_says(&refusal(read(format!("[{GOOD}] more"))), &["followed by other text"]);
}

/// A line that breaks off costs itself only.
#[test]
fn truncated_lines_are_bad_rows() {
    let (pairs, report) = read(format!("{GOOD}\n{GOOD}\n{}", &GOOD[..20])).unwrap();
    assert_eq!((pairs.len(), lines(&report, BadReason::UnreadableLine)), (2, vec![3]));
}

#[test]
fn text_that_is_not_utf8_names_the_line() {
    let bytes = [GOOD.as_bytes(), b"\n", GOOD.as_bytes(), b"\n\xe9t\xe9"].concat();
    assert_says(&refusal(read(bytes)), &["line 3 is not UTF-8"]);
}

#[test]
fn deep_nesting_is_a_bad_row() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let (pairs, report) = read(format!("{GOOD}\n{{\"prompt\": {deep}}}\n{GOOD}")).unwrap();
    assert_eq!((pairs.len(), lines(&report, BadReason::UnreadableLine)), (2, vec![2]));
    let message = refusal(read(&deep));
    assert_says(&message, &["no usable pair"]);
}

#[test]
fn truncated_parquet_is_damaged() {
    let whole = parquet();
    for end in [4, 5, whole.len() / 2, whole.len() - 1] {
        assert!(matches!(read(&whole[..end]), Err(DataError::Damaged { .. })), "{end} bytes");
    }
    let Some(path) = data("hh-helpful-base/test-first500-converted.parquet") else { return };
    let whole = std::fs::read(path).unwrap();
    assert_says(&refusal(read(&whole[..whole.len() / 2])), &["is damaged", "Parquet"]);
}

/// A table with columns `prompt`, `response_1` and `response_2`, among others.
fn parquet() -> Vec<u8> {
    let files = Files::new();
    let path = files.write("");
    let pair = |i: u32| AnnotatedPair {
        pair: Some(u64::from(i)),
        margin: 0.25,
        columns: [("spread".to_owned(), f64::from(i))].into(),
        split: "unlabelled".to_owned(),
        prompt: format!("q{i}"),
        responses: [format!("a{i}"), format!("b{i}")],
        human: Some(Side::First),
        scores: [0.5, 0.25],
        label: Side::First,
    };
    write_annotations(&path, &(0..40).map(pair).collect::<Vec<_>>()).unwrap();
    std::fs::read(path).unwrap()
}

/// What one run wrote, another can read: texts, and labels where they differ.
#[test]
fn annotations_are_read_back_as_candidates() {
    let (pairs, report) = read(parquet()).unwrap();
    assert_eq!(pairs.len(), 40);
    assert_says(&report.format, &["two candidates `response_1` and `response_2`", "`prompt`"]);
}

/// Bytes that look like something.
fn beginnings() -> impl Strategy<Value = Vec<u8>> {
    let starts: [&[u8]; 9] = [
        b"",
        b"[",
        b"{",
        b"PAR1",
        b"\x1f\x8b\x08\0",
        b"[{\"",
        b"a,b\n\"",
        b"\xef\xbb\xbf",
        b"{\"chosen\":",
    ];
    (proptest::sample::select(starts.to_vec()), proptest::collection::vec(any::<u8>(), 0..400))
        .prop_map(|(start, rest)| [start, &rest].concat())
}

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i32>().prop_map(|n| n.to_string()),
        "[ -~é\n]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just("\"\\n\\nHuman: q\\n\\nAssistant: a\"".to_owned()),
    ];
    let keys = [
        "prompt",
        "chosen",
        "rejected",
        "response_1",
        "response_2",
        "response_3",
        "label",
        "annotator1",
        "role",
        "content",
        "replies",
        "text",
        "rank",
        "instruction",
        "input",
        "system",
        "messages",
        "best_answer",
        "incorrect_answers",
        "question",
        "score_1",
        "score_2",
        "score",
        "rank",
        "completions",
        "answers",
        "labels",
        "message_id",
        "parent_id",
        "tools",
        "tool_calls",
        "history",
        "image",
        "weight",
        "margin",
        "rejected_response",
        "output",
        "0",
        "1",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec((proptest::sample::select(keys.to_vec()), inner), 0..6)
                .prop_map(|fields| {
                    let fields: Vec<_> =
                        fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                    format!("{{{}}}", fields.join(","))
                }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in beginnings()) {
        let _ = read(&bytes);
        let _ = read(gzip(&bytes));
    }

    #[test]
    fn no_json_panics(records in proptest::collection::vec(json_text(), 1..6)) {
        for text in [records.join("\n"), format!("[{}]", records.join(","))] {
            if let Ok((pairs, report)) = read(text) {
                prop_assert_eq!(pairs.len(), report.pairs);
                prop_assert!(pairs.iter().all(|pair| pair.responses[0] != pair.responses[1]));
            }
        }
    }

    #[test]
    fn no_damage_to_parquet_panics(damage: Vec<(prop::sample::Index, u8)>) {
        let mut bytes = parquet();
        for (place, byte) in damage.into_iter().take(8) {
            *place.get_mut(&mut bytes) = byte;
        }
        let _ = read(bytes);
    }

    /// Rows of noise cost themselves only, wherever they stand.
    #[test]
    fn noise_is_counted(noise in proptest::collection::vec((0..40_usize, 0..5_usize), 0..20)) {
        let kinds = ["{\"other\": 1}", "{\"prompt\": \"q\", \"chosen\"", "[3]", "nothing",
            "{\"prompt\": \"q\", \"chosen\": 7, \"rejected\": \"b\"}"];
        let row = |i: usize| format!("{{\"prompt\": \"q{i}\", \"chosen\": \"a\", \"rejected\": \"b\"}}");
        let mut rows: Vec<String> = (0..40).map(row).collect();
        for (place, kind) in &noise {
            rows.insert(*place, kinds[*kind].to_owned());
        }
        let (pairs, report) = read(rows.join("\n")).unwrap();
        prop_assert_eq!(pairs.len(), 40);
        prop_assert_eq!(report.bad.len(), noise.len());
        let is_noise = |line: &u64| kinds.contains(&rows[*line as usize - 1].as_str());
        prop_assert!(report.bad.iter().map(|row| &row.line).all(is_noise));
        prop_assert!(report.bad.is_sorted_by_key(|row| row.line));
    }
}
