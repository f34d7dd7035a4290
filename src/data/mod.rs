//! Bytes → pairs: find a file's format, map its columns, report bad rows, split the pool.
//!
//! A file passes through two layers. `containers` turns bytes into rows (JSON, JSON lines,
//! CSV, Parquet, each also compressed with gzip where that is usual); `shapes` turns rows
//! into pairs. Both are chosen by what a file holds, not by what it is called. A new shape
//! is one file in `shapes/` and one line in its registry.

mod annotations;
mod columns;
mod containers;
mod error;
mod inspect;
mod labels;
mod names;
mod pair;
mod prompts;
mod read;
mod replies;
mod report;
mod shapes;
mod split;
mod values;

pub use annotations::{AnnotatedPair, read_annotations, weak_label, write_annotations};
pub use error::DataError;
pub use inspect::{FileInspection, Inspection, inspect};
pub use pair::{Label, Message, Pair, Pool, Prompt, PromptKey, Role, Side, Source};
pub use read::{read_file, read_files};
pub use report::{BadReason, BadRow, FileReport};
pub use split::{Split, SplitSettings, split};
