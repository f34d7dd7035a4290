//! Files that want more than there is, that are no files, and words that a terminal would obey.

mod bombs;
#[cfg(unix)]
mod special_files;
mod terminal;
