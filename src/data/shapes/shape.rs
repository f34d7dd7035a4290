//! What a shape is.

use super::super::row::Fields;
use super::super::values::Bad;
use super::found::Found;

/// Reads rows of one shape.
pub(in crate::data) trait Shape: Send + Sync {
    /// The shape in words, with every decision about columns.
    fn describe(&self) -> String;

    /// The columns that it reads.
    fn columns(&self) -> Vec<String>;

    /// What is a guess, and what a person should know.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Read one row; it may be emptied.
    ///
    /// # Errors
    ///
    /// The row is bad; nothing of it is used.
    fn read(&self, row: &mut Fields, found: &mut Found) -> Result<(), Bad>;
}

/// What a shape says of the columns of a file.
pub(in crate::data) enum Answer {
    /// It reads them.
    Reads(Box<dyn Shape>),
    /// It knows them, and they hold no pairs: what was found, what to try.
    Refuses(String, String),
}
