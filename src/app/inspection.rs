//! What preference files hold, in the form in which the data panel draws it.

use std::path::PathBuf;

use crate::builtin;
use crate::data::{
    BadRow, ColumnInfo, FileInspection, Inspection, Pair, ReadSettings, Side, inspect,
};

/// Pairs to read before a run.
const SHOWN_PAIRS: usize = 200;
/// Skipped rows listed for each file.
const SHOWN_ROWS: usize = 500;

/// What one file holds.
#[derive(Clone, Debug, Default)]
pub struct FilePreview {
    /// The file.
    pub path: PathBuf,
    /// Its format, for a person.
    pub format: String,
    /// Readable pairs.
    pub pairs: usize,
    /// Why nothing could be read.
    pub error: Option<String>,
    /// Skipped rows, all of them.
    pub bad_rows: usize,
    /// The first of them: line, reason, detail.
    pub bad: Vec<BadLine>,
    /// What was guessed, and what was left out though it may belong to the prompts.
    pub notes: Vec<String>,
    /// Columns that nothing was taken from.
    pub unread: Vec<String>,
    /// All columns of a file whose shape is unknown, to choose from.
    pub columns: Vec<ColumnInfo>,
}

/// A row that was skipped.
#[derive(Clone, Debug, Default)]
pub struct BadLine {
    /// Line or row, counted from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
    /// What was found.
    pub detail: String,
}

/// A pair to read.
#[derive(Clone, Debug, Default)]
pub struct PairPreview {
    /// The prompt as text.
    pub prompt: String,
    /// Both responses; the chosen one first where a label is known.
    pub responses: [String; 2],
    /// Whether a human said which is better.
    pub labelled: bool,
}

/// What a set of files holds.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// The files that were asked for.
    pub paths: Vec<PathBuf>,
    /// How they were read.
    pub reading: ReadSettings,
    /// Readable pairs.
    pub pairs: usize,
    /// Skipped rows.
    pub bad_rows: usize,
    /// Pairs without a human label.
    pub unlabelled: usize,
    /// Rows whose annotators saw a tie.
    pub ties: usize,
    /// Pairs that repeat an earlier one.
    pub duplicates: usize,
    /// Skipped rows by reason, most frequent first.
    pub reasons: Vec<(String, usize)>,
    /// File by file.
    pub files: Vec<FilePreview>,
    /// Some pairs to read.
    pub shown: Vec<PairPreview>,
}

impl Preview {
    /// Read files, or pairs that are built in; slow, so off the UI thread.
    pub fn read(paths: Vec<PathBuf>, reading: ReadSettings, seed: u64) -> Self {
        let built_in = paths.first().and_then(|path| path.to_str()?.strip_prefix("builtin:"));
        match built_in.and_then(|name| builtin::pairs(name, seed)) {
            Some((pairs, report)) => {
                Self { reading, ..Self::from_built_in(paths, pairs, report.format) }
            }
            None => {
                let found = inspect(&paths, &reading);
                Self { reading, ..Self::from_inspection(paths, found) }
            }
        }
    }

    fn from_built_in(paths: Vec<PathBuf>, pairs: Vec<Pair>, format: String) -> Self {
        let path = paths.first().cloned().unwrap_or_default();
        let file = FilePreview { path, format, pairs: pairs.len(), ..FilePreview::default() };
        Self {
            paths,
            pairs: pairs.len(),
            files: vec![file],
            shown: pairs.into_iter().take(SHOWN_PAIRS).map(PairPreview::from).collect(),
            ..Self::default()
        }
    }

    /// Errors of files that could not be read at all.
    pub fn errors(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter_map(|file| file.error.as_deref())
    }

    /// Files with at least one good pair.
    pub fn usable(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter().filter(|file| file.pairs > 0).map(|file| &file.path)
    }

    fn from_inspection(paths: Vec<PathBuf>, found: Inspection) -> Self {
        let mut reasons: Vec<_> = found.bad_by_reason.into_iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let line = |row: BadRow| BadLine {
            line: row.line,
            reason: row.reason.to_string(),
            detail: row.detail,
        };
        let file = |file: FileInspection| FilePreview {
            path: file.path,
            format: file.format,
            pairs: file.pairs,
            error: file.error,
            bad_rows: file.bad_rows,
            bad: file.bad.into_iter().take(SHOWN_ROWS).map(line).collect(),
            notes: file.notes,
            unread: file.unread,
            columns: file.columns,
        };
        Self {
            paths,
            reading: ReadSettings::default(),
            pairs: found.pairs,
            bad_rows: found.bad_rows,
            unlabelled: found.unlabelled,
            ties: found.ties,
            duplicates: found.duplicates,
            reasons,
            files: found.files.into_iter().map(file).collect(),
            shown: found.preview.into_iter().take(SHOWN_PAIRS).map(PairPreview::from).collect(),
        }
    }
}

impl From<Pair> for PairPreview {
    fn from(pair: Pair) -> Self {
        let labelled = pair.label.is_some();
        let [first, second] = pair.responses;
        let swap = pair.label.as_ref().is_some_and(|label| label.preferred == Side::Second);
        let responses = if swap { [second, first] } else { [first, second] };
        Self { prompt: pair.prompt.display(), responses, labelled }
    }
}
