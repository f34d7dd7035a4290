//! Rows → pairs.
//!
//! A shape is a way in which rows hold pairs. To add one: write a file here with a function
//! that looks at the columns and says whether it knows them, and name it in [`SHAPES`].

mod answer_lists;
mod best_answers;
mod candidates;
mod choice;
mod continued;
mod found;
mod judged;
mod rated_lists;
mod reply_trees;
mod shape;
mod transcripts;
mod unpaired;

pub(super) use self::found::Found;
pub(super) use self::shape::{Answer, Shape};
use super::columns::Columns;
use super::settings::ReadSettings;

/// All shapes, the more particular first.
const SHAPES: &[fn(&Columns, &ReadSettings) -> Option<Answer>] = &[
    best_answers::detect,
    reply_trees::detect,
    transcripts::detect,
    judged::detect,
    candidates::detect,
    continued::detect,
    rated_lists::detect,
    answer_lists::detect,
    unpaired::detect,
];

/// The shape of a file; what a person says of its columns goes before what they look like.
pub(super) fn detect(columns: &Columns, settings: &ReadSettings) -> Option<Answer> {
    let mapped =
        judged::mapped(columns, settings).or_else(|| candidates::mapped(columns, settings));
    mapped.or_else(|| SHAPES.iter().find_map(|detect| detect(columns, settings)))
}
