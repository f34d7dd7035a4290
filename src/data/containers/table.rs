//! The rows of one file, whatever it is.

use super::super::report::{BadReason, BadRow};
use super::super::row::Row;

/// Bytes that a bad row takes, about.
pub(super) const BAD: u64 = 256;

/// The rows of one file.
#[derive(Debug, Default)]
pub(in crate::data) struct Table {
    /// What the rows stood in, for a person.
    pub(in crate::data) container: String,
    /// Rows, in order.
    pub(in crate::data) rows: Vec<Row>,
    /// Records that are no rows.
    pub(in crate::data) bad: Vec<BadRow>,
    /// Whether it can hold nothing but texts.
    pub(in crate::data) flat: bool,
    /// Numbers that are none, read as null.
    pub(in crate::data) no_numbers: usize,
    /// What of the file is not among the rows.
    pub(in crate::data) notes: Vec<String>,
    /// Size of the file.
    pub(in crate::data) bytes: u64,
}

impl Table {
    /// Add the rows of the next block.
    pub(super) fn append(&mut self, mut next: Self) {
        self.rows.append(&mut next.rows);
        self.bad.append(&mut next.bad);
        self.no_numbers += next.no_numbers;
    }

    /// Add a record that is no row.
    pub(super) fn bad(&mut self, line: u64, reason: BadReason, detail: impl Into<String>) {
        self.bad.push(BadRow { line, reason, detail: detail.into() });
    }
}
