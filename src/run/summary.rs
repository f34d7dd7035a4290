//! What is known of the data before anything is computed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::BadRow;

/// What was read from one data file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileSummary {
    /// The file.
    pub path: PathBuf,
    /// Its format, for a person.
    pub format: String,
    /// Readable pairs.
    pub pairs: usize,
    /// Rows that were skipped, all of them.
    pub bad_rows: usize,
    /// The first skipped rows.
    pub bad: Vec<BadRow>,
    /// What was guessed, and what was left out though it may belong to the prompts.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Columns that nothing was taken from.
    #[serde(default)]
    pub unread: Vec<String>,
}

/// What was read, and how it was split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    /// Readable pairs, before length and split.
    pub pairs: usize,
    /// Rows that were skipped.
    pub bad_rows: usize,
    /// Skipped rows by reason.
    pub bad_by_reason: BTreeMap<String, usize>,
    /// Pairs that occur more than once (each repetition counts).
    pub duplicates: usize,
    /// Pairs whose annotators tied; dropped.
    pub ties: usize,
    /// Pairs with human labels that train the annotator.
    pub labelled: usize,
    /// Pairs with human labels that calibrate it; none where nothing is fitted.
    #[serde(default)]
    pub calibration: usize,
    /// Pairs that the annotator labels for the policy.
    pub unlabelled: usize,
    /// Pairs kept for evaluation.
    pub held_out: usize,
    /// File by file.
    pub files: Vec<FileSummary>,
}

/// How prompts were written for one model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptsReport {
    /// The style, in words.
    pub style: String,
    /// The first pair's prompt as the model reads it.
    pub prompt: String,
    /// The response that follows it, through its end.
    pub response: String,
}
