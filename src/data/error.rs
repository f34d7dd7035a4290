//! Why a file could not be read.

use std::io;
use std::path::PathBuf;

/// What a file must hold, in every message about one that holds something else.
const ACCEPTED: &str = "prompts with two responses each, as JSON, JSON lines, CSV or Parquet: \
    `prompt`, `chosen` and `rejected` (texts or chat messages), `response_1` and `response_2` \
    with or without a label such as `preference`, or whole transcripts in `chosen` and `rejected`";

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The system would not open or read the file.
    #[error("{}: could not be read: {source}; check the name and the permissions", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The system would not write the file.
    #[error("{}: could not be written: {source}; check the permissions and the free space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The file is not written.
    #[error("{}: {found}; expected {expected}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What stands against it.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The file is not whole.
    #[error("{}: the file is damaged: {found}; copy, download or export it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and how much is right.
        found: String,
    },
    /// The file holds something else than pairs.
    #[error("{}: found {found}; expected {ACCEPTED}. Try: {advice}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// What to do about it.
        advice: String,
    },
    /// The file holds more than is read.
    #[error("{}: {found}; expected {expected}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What there is too much of.
        found: String,
        /// The limit, and what raises it.
        expected: String,
    },
    /// The shape is known, but no row is good.
    #[error("{}: no usable pair ({format}): {found}. Try: mend the rows, or choose another file", path.display())]
    NoPairs {
        /// The file.
        path: PathBuf,
        /// What it was read as.
        format: String,
        /// How many rows, and what is wrong with them.
        found: String,
    },
}

/// As [`DataError`], before the name of the file is known.
#[derive(Debug)]
pub(super) enum Fault {
    /// See [`DataError::Open`].
    Open(io::Error),
    /// See [`DataError::Damaged`].
    Damaged(String),
    /// See [`DataError::Unknown`]: what was found, what to try.
    Unknown(String, String),
    /// See [`DataError::TooLarge`]: what was found, what was expected.
    TooLarge(String, String),
    /// See [`DataError::NoPairs`]: the format, what was found.
    NoPairs(String, String),
}

impl Fault {
    pub(super) fn unknown(found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Unknown(found.into(), advice.into())
    }

    pub(super) fn of(self, path: PathBuf) -> DataError {
        match self {
            Self::Open(source) => DataError::Open { path, source },
            Self::Damaged(found) => DataError::Damaged { path, found },
            Self::Unknown(found, advice) => DataError::Unknown { path, found, advice },
            Self::TooLarge(found, expected) => DataError::TooLarge { path, found, expected },
            Self::NoPairs(format, found) => DataError::NoPairs { path, format, found },
        }
    }
}
