//! What files hold, without failing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::DataError;
use super::pair::{Pair, Source};
use super::read::{ColumnInfo, list_columns, read_file};
use super::report::BadRow;
use super::settings::ReadSettings;

/// Pairs that are kept for a preview, over all files.
const PREVIEW: usize = 200;

/// What a set of files holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Inspection {
    /// Pairs that can be read.
    pub pairs: usize,
    /// Rows that were skipped.
    pub bad_rows: usize,
    /// Skipped rows by reason.
    pub bad_by_reason: BTreeMap<String, usize>,
    /// The format of each file, each named once.
    pub format: String,
    /// Pairs without a human label.
    pub unlabelled: usize,
    /// Rows whose annotators saw a tie.
    pub ties: usize,
    /// Pairs that repeat an earlier one of the same file.
    pub duplicates: usize,
    /// File by file.
    pub files: Vec<FileInspection>,
    /// The first pairs, shared out among the files.
    #[serde(skip)]
    pub preview: Vec<Pair>,
}

/// What one file holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FileInspection {
    /// The file.
    pub path: PathBuf,
    /// Why nothing could be read.
    pub error: Option<String>,
    /// Container and shape, in words.
    pub format: String,
    /// Pairs that can be read.
    pub pairs: usize,
    /// Rows that were skipped.
    pub bad_rows: usize,
    /// Skipped rows by reason.
    pub bad_by_reason: BTreeMap<String, usize>,
    /// Pairs without a human label.
    pub unlabelled: usize,
    /// Rows whose annotators saw a tie.
    pub ties: usize,
    /// Pairs that repeat an earlier one.
    pub duplicates: usize,
    /// Size of the file.
    pub bytes: u64,
    /// The rows that were skipped.
    pub bad: Vec<BadRow>,
    /// What was guessed, and what was left out though it may belong to the prompts.
    pub notes: Vec<String>,
    /// Columns that nothing was taken from.
    pub unread: Vec<String>,
    /// All columns of a file that holds rows and no pairs that are known, to choose from.
    pub columns: Vec<ColumnInfo>,
}

/// Read files and say what they hold; a file that cannot be read says so in its entry.
pub fn inspect(paths: &[PathBuf], settings: &ReadSettings) -> Inspection {
    let mut inspection = Inspection::default();
    let mut formats: Vec<String> = Vec::new();
    let share = PREVIEW / paths.len().max(1);
    for (index, path) in paths.iter().enumerate() {
        let (file, preview) = inspect_file(path, index, share.max(1), settings);
        inspection.pairs += file.pairs;
        inspection.bad_rows += file.bad_rows;
        inspection.unlabelled += file.unlabelled;
        inspection.ties += file.ties;
        inspection.duplicates += file.duplicates;
        for (reason, count) in &file.bad_by_reason {
            *inspection.bad_by_reason.entry(reason.clone()).or_default() += count;
        }
        if !file.format.is_empty() && !formats.contains(&file.format) {
            formats.push(file.format.clone());
        }
        inspection.preview.extend(preview);
        inspection.files.push(file);
    }
    inspection.format = formats.join("; ");
    inspection
}

fn inspect_file(
    path: &Path,
    index: usize,
    share: usize,
    settings: &ReadSettings,
) -> (FileInspection, Vec<Pair>) {
    let (mut pairs, report) = match read_file(path, settings) {
        Ok(read) => read,
        Err(error) => {
            let columns = match error {
                DataError::Unknown { .. } => list_columns(path, &settings.limits),
                _ => Vec::new(),
            };
            let error = Some(crate::legible::cut(&error.to_string()).into_owned());
            let path = path.to_owned();
            let file = FileInspection { path, error, columns, ..FileInspection::default() };
            return (file, Vec::new());
        }
    };
    pairs.truncate(share);
    for pair in &mut pairs {
        pair.source = Source { file: index, ..pair.source };
    }
    let mut bad_by_reason = BTreeMap::new();
    for row in &report.bad {
        *bad_by_reason.entry(row.reason.to_string()).or_default() += 1;
    }
    let file = FileInspection {
        path: report.path,
        error: None,
        format: report.format,
        pairs: report.pairs,
        bad_rows: report.bad.len(),
        bad_by_reason,
        unlabelled: report.unlabelled,
        ties: report.ties,
        duplicates: report.duplicates,
        bytes: report.bytes,
        bad: report.bad,
        notes: report.notes,
        unread: report.unread,
        columns: Vec::new(),
    };
    (file, pairs)
}
