//! Bytes → pairs: find a file's format, map its columns, report bad rows, split the pool.
//!
//! A file passes through two layers. `containers` turns bytes into rows (JSON, JSON lines,
//! CSV, Parquet, each also compressed with gzip where that is usual); `shapes` turns rows
//! into pairs. Both are chosen by what a file holds, not by what it is called. Between them,
//! `prepare` undoes what exports did to the rows. A new shape is one file in `shapes/` and one
//! line in its registry.

mod annotations;
mod columns;
mod containers;
mod error;
mod export;
mod inspect;
mod labels;
mod left_out;
mod limits;
mod lists;
mod messages;
mod names;
mod pair;
mod prepare;
mod prompts;
mod python;
mod read;
mod readings;
mod replies;
mod report;
mod row;
mod settings;
mod shapes;
mod split;
mod values;
mod vote;
mod weights;
mod wording;

pub use annotations::{
    AnnotatedPair, STATED_MARGIN, read_annotations, weak_label, write_annotations,
};
pub use error::DataError;
pub use export::{Written, write_pairs};
pub use inspect::{FileInspection, Inspection, inspect};
pub use limits::Limits;
pub use pair::{Label, Message, Pair, Pool, Prompt, PromptKey, Role, Side, Source};
pub use read::{ColumnInfo, list_columns, read_file, read_files};
pub use report::{BadReason, BadRow, FileReport};
pub use settings::{ColumnMap, Media, Pairing, ReadSettings};
pub use split::{Split, SplitSettings, split};
