//! Small files that unpack to a lot.

use std::io::Write;
use std::path::{Path, PathBuf};

use confide::data::{Limits, Pairing, ReadSettings, read_file, write_pairs};
use flate2::Compression;
use flate2::write::GzEncoder;

const ROW: &str = "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}\n";

fn write(folder: &Path, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join("data");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn gzip(folder: &Path, piece: &[u8], times: usize) -> PathBuf {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    (0..times).for_each(|_| encoder.write_all(piece).unwrap());
    write(folder, encoder.finish().unwrap())
}

fn within(limits: Limits) -> ReadSettings {
    ReadSettings { limits, ..ReadSettings::default() }
}

#[track_caller]
fn refused(path: &Path, settings: &ReadSettings, words: &[&str]) {
    let error = read_file(path, settings).expect_err("it was read").to_string();
    for word in words {
        assert!(error.contains(word), "“{word}” is not in: {error}");
    }
    assert!(error.len() < 500, "{error}");
}

#[test]
fn rows_are_counted_whatever_they_stand_in() {
    let place = tempfile::tempdir().unwrap();
    let settings = within(Limits { max_rows: 1000, ..Limits::default() });
    let rows = [ROW.trim(); 1500].join(",");
    let columns = format!(
        "{{\"prompt\":[{0}],\"chosen\":[{0}],\"rejected\":[{0}]}}",
        (0..1500).map(|i| i.to_string()).collect::<Vec<_>>().join(",")
    );
    let lines = ROW.repeat(1500);
    let bad = format!("{}{}", ROW.repeat(500), "x\n".repeat(1500));
    let csv = format!("prompt,chosen,rejected\n{}", "a,b,c\n".repeat(1500));
    let wrapped = format!("{{\"data\":[{rows}]}}");
    for text in [lines, format!("[{rows}]"), wrapped, columns, csv, bad] {
        let words = ["more than 1000 rows", "data.max_rows = 1000", "raise it"];
        refused(&write(place.path(), text), &settings, &words);
    }
    // More than a block, and packed.
    refused(&gzip(place.path(), &ROW.repeat(1000).into_bytes(), 100), &settings, &["1000 rows"]);
    let all = read_file(&gzip(place.path(), ROW.as_bytes(), 900), &settings).unwrap();
    assert_eq!(all.0.len(), 900);
    let table = place.path().join("pairs.parquet");
    let read = read_file(&write(place.path(), ROW.repeat(1500)), &ReadSettings::default());
    write_pairs(&table, &read.unwrap().0).unwrap();
    refused(&table, &settings, &["more than 1000 rows", "data.max_rows"]);
}

#[test]
fn a_row_is_no_longer_than_the_recipe_allows() {
    let place = tempfile::tempdir().unwrap();
    let settings = within(Limits { max_row_bytes: 100_000, ..Limits::default() });
    let long = ROW.replace('b', &"b".repeat(200_000));
    let longer = ROW.replace('b', &"b".repeat(3 << 20));
    for text in [
        format!("{ROW}{ROW}{long}"),
        format!("{}{longer}{ROW}", ROW.repeat(60_000)),
        format!("[{ROW},{ROW},{long}]"),
        format!("prompt,chosen,rejected\na,b,c\nd,e,f\na,{},c\n", "b".repeat(200_000)),
    ] {
        let words = ["more than 100000 bytes", "data.max_row_bytes = 100000", "raise it"];
        refused(&write(place.path(), text), &settings, &words);
    }
    refused(&write(place.path(), format!("{ROW}{ROW}{long}")), &settings, &["row 3 "]);
    // A line without an end is not read to it.
    let zeros = [b'a'; 1 << 16];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(ROW.repeat(60_000).as_bytes()).unwrap();
    encoder.write_all(b"{\"prompt\":\"").unwrap();
    (0..4000).for_each(|_| encoder.write_all(&zeros).unwrap());
    let path = write(place.path(), encoder.finish().unwrap());
    refused(&path, &within(Limits::default()), &["row 60001 ", "data.max_row_bytes"]);
}

#[test]
fn rows_take_no_more_memory_than_the_recipe_allows() {
    let place = tempfile::tempdir().unwrap();
    let settings = within(Limits { max_memory: 0.05, ..Limits::default() });
    let words = ["0.05 GiB of memory", "data.max_memory"];
    refused(&gzip(place.path(), &ROW.repeat(1000).into_bytes(), 300), &settings, &words);
    // A text that is held as a whole, and never ends.
    refused(&gzip(place.path(), &" \n".repeat(1 << 19).into_bytes(), 200), &settings, &words);
    let rows = ROW.trim().to_owned() + ",";
    let array = format!("[{}{}]", rows.repeat(200_000), ROW.trim());
    refused(&write(place.path(), array), &settings, &words);
}

#[test]
fn a_row_does_not_become_many_times_its_size() {
    let place = tempfile::tempdir().unwrap();
    for piece in ["{\"\":0},", "{},", "[0],"] {
        let bomb = format!("{{\"prompt\":\"a\",\"x\":[{}0]}}\n", piece.repeat(700_000));
        let text = format!("{ROW}{ROW}{bomb}");
        let limits = Limits { max_memory: 0.02, ..Limits::default() };
        refused(&write(place.path(), text), &within(limits), &["data.max_memory"]);
    }
    let bomb = format!("{{\"prompt\":\"a\",\"x\":[{}0]}}\n", "{\"\":0},".repeat(700_000));
    let words = ["row 3 unpacks to many times its size"];
    refused(&write(place.path(), format!("{ROW}{ROW}{bomb}")), &ReadSettings::default(), &words);
    // The same as printed cells.
    let cell = format!("[{}0]", "{\"\"a\"\":0},".repeat(500_000));
    let cells = format!("prompt,chosen,rejected\nq,\"{cell}\",\"{cell}\"\n");
    let limits = Limits { max_memory: 0.1, ..Limits::default() };
    refused(&write(place.path(), cells), &within(limits), &["data.max_memory"]);
}

#[test]
fn each_two_of_many_answers_are_counted_before_they_are_made() {
    let place = tempfile::tempdir().unwrap();
    let answers: Vec<String> = (0..3000)
        .map(|i| format!("{{\"text\":\"{i}{}\",\"score\":{i}}}", "x".repeat(100)))
        .collect();
    let row = format!("{{\"prompt\":\"q\",\"answers\":[{}]}}\n", answers.join(","));
    let limits = Limits { max_memory: 0.2, ..Limits::default() };
    let settings = ReadSettings { pairing: Pairing::All, limits, ..ReadSettings::default() };
    let path = write(place.path(), row.repeat(2));
    refused(&path, &settings, &["the pairs of row", "data.pairing", "data.max_memory"]);
    let best = ReadSettings { pairing: Pairing::BestWorst, ..settings };
    assert_eq!(read_file(&path, &best).unwrap().0.len(), 2);
}

/// A table of annotations comes from a run's folder, which may be a stranger's.
#[test]
fn a_table_of_annotations_does_not_unpack_without_end() {
    use confide::data::{AnnotatedPair, Side, read_annotations, write_annotations};
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("annotations.parquet");
    let pair = AnnotatedPair {
        pair: None,
        split: "unlabelled".to_owned(),
        prompt: "a".repeat(1 << 19),
        responses: ["b".to_owned(), "c".to_owned()],
        human: None,
        scores: [1.0, 0.0],
        label: Side::First,
        margin: 1.0,
        columns: [("spread".to_owned(), 0.5)].into(),
    };
    let table = vec![pair; 520];
    write_annotations(&path, &table[..100]).unwrap();
    assert_eq!(read_annotations(&path).unwrap(), table[..100]);
    write_annotations(&path, &table).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 1 << 18);
    let error = read_annotations(&path).unwrap_err().to_string();
    assert!(error.contains("annotations.parquet"), "{error}");
    assert!(error.contains("unpack to more than 256 MiB"), "{error}");

    // A page that says a size of itself below zero, which its library takes for gigabytes.
    let seed = crate::common::repository("fuzz/corpus/annotations/large_page.parquet");
    let error = read_annotations(&seed).unwrap_err().to_string();
    assert!(error.contains("pages cannot be read"), "{error}");
}
