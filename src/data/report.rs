//! What reading a file found.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What one file held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileReport {
    /// The file.
    pub path: PathBuf,
    /// Container and shape in words, with every decision that was taken about columns.
    pub format: String,
    /// Pairs that were read.
    pub pairs: usize,
    /// Those of them without a human label.
    pub unlabelled: usize,
    /// Rows whose annotators saw a tie or had no majority; they are no pairs.
    pub ties: usize,
    /// Pairs that repeat an earlier one of this file exactly; they are kept.
    pub duplicates: usize,
    /// Rows that were skipped, by line.
    pub bad: Vec<BadRow>,
    /// What was guessed, and what was left out though it may belong to the prompts: worth a
    /// warning.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Columns that nothing was taken from.
    #[serde(default)]
    pub unread: Vec<String>,
    /// Size of the file.
    pub bytes: u64,
}

/// A row that was skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRow {
    /// Line or record, as in [`Source::line`](super::Source::line).
    pub line: u64,
    /// Why.
    pub reason: BadReason,
    /// What was found and what was expected.
    pub detail: String,
}

/// Why a row was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BadReason {
    /// A field holds another type than the shape needs, such as `true` for a text.
    WrongType,
    /// A field is absent.
    MissingField,
    /// A response is empty or white space.
    EmptyResponse,
    /// The prompt is empty or white space.
    EmptyPrompt,
    /// Both responses are the same, so nothing can be preferred.
    IdenticalResponses,
    /// The responses answer different prompts: transcripts or conversations part early.
    PromptsDiffer,
    /// A line or record is no JSON, or a quotation mark never closes.
    UnreadableLine,
    /// The label is none of the values that the rest of the column has.
    UnknownLabel,
    /// A CSV row has more or fewer columns than the header.
    WrongColumnCount,
    /// The prompt or a response holds a picture, sound or film.
    Media,
}

impl BadReason {
    /// The name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::WrongType => "wrong_type",
            Self::MissingField => "missing_field",
            Self::EmptyResponse => "empty_response",
            Self::EmptyPrompt => "empty_prompt",
            Self::IdenticalResponses => "identical_responses",
            Self::PromptsDiffer => "prompts_differ",
            Self::UnreadableLine => "unreadable_line",
            Self::UnknownLabel => "unknown_label",
            Self::WrongColumnCount => "wrong_column_count",
            Self::Media => "media",
        }
    }
}

impl fmt::Display for BadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
