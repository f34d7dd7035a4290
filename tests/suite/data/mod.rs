//! Reading files into pairs, and splitting them.

mod annotations;
mod cases;
mod containers;
mod damage;
mod exports;
mod forms;
mod inspection;
mod labels;
mod lines;
mod mapping;
mod prompts;
mod ranked;
mod real;
mod shapes;
mod split;
mod weights;

use std::io::Write;
use std::path::{Path, PathBuf};

use confide::data::{BadReason, DataError, FileReport, Pair, ReadSettings, read_file};
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

/// Files of a test, which go when it ends.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Write a file whose name says nothing.
    fn write(&self, bytes: impl AsRef<[u8]>) -> PathBuf {
        let count = std::fs::read_dir(self.0.path()).unwrap().count();
        let path = self.0.path().join(format!("file-{count}"));
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Read rows as JSON lines.
#[track_caller]
fn rows(rows: &[serde_json::Value]) -> (Vec<Pair>, FileReport) {
    read(json_lines(rows)).unwrap_or_else(|e| panic!("{e}"))
}

fn json_lines(rows: &[serde_json::Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// Read rows under settings.
fn read_as(rows: &[serde_json::Value], settings: &ReadSettings) -> Read {
    let files = Files::new();
    read_file(&files.write(json_lines(rows)), settings)
}

type Read = Result<(Vec<Pair>, FileReport), DataError>;

fn read(bytes: impl AsRef<[u8]>) -> Read {
    let files = Files::new();
    read_file(&files.write(bytes), &ReadSettings::default())
}

/// The message of a file that must be refused.
#[track_caller]
fn refusal(found: Read) -> String {
    match found {
        Ok((pairs, report)) => panic!("{} pairs were read as {}", pairs.len(), report.format),
        Err(error) => error.to_string(),
    }
}

/// Panic unless a message holds all parts.
#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "“{part}” is missing from: {message}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Lines of bad rows with one reason.
fn lines(report: &FileReport, reason: BadReason) -> Vec<u64> {
    report.bad.iter().filter(|row| row.reason == reason).map(|row| row.line).collect()
}

fn data(path: &str) -> Option<PathBuf> {
    crate::common::shared(&Path::new("data").join(path).to_string_lossy())
}
