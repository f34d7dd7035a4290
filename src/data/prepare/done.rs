//! What was done to the rows of a file.

use super::super::report::BadRow;

/// What was done to the rows.
#[derive(Debug, Default)]
pub(in crate::data) struct Done {
    /// In words, for the format.
    pub(in crate::data) how: Vec<String>,
    /// What a person should know.
    pub(in crate::data) notes: Vec<String>,
    /// Rows that came to nothing.
    pub(in crate::data) bad: Vec<BadRow>,
}
