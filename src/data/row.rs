//! One row of a file.

use serde_json::Value;

/// The fields of one row.
pub(super) type Fields = serde_json::Map<String, Value>;

/// One row of a file, before its shape is known.
#[derive(Debug)]
pub(super) struct Row {
    /// See [`Source::line`](super::Source::line).
    pub(super) line: u64,
    /// Its columns.
    pub(super) fields: Fields,
}
