//! Rows → pairs.
//!
//! A shape is a way in which rows hold pairs. To add one: write a file here with a function
//! that looks at the columns and says whether it knows them, and name it in [`SHAPES`].

mod best_answers;
mod candidates;
mod judged;
mod reply_trees;
mod transcripts;
mod unpaired;

use super::columns::{Column, Columns, Fields};
use super::names::{Twins, names_a_response};
use super::pair::{Label, Prompt};
use super::report::BadReason;
use super::values::Bad;

/// Reads rows of one shape.
pub(super) trait Shape: Send + Sync {
    /// The shape in words, with every decision about columns.
    fn describe(&self) -> String;

    /// Read one row; it may be emptied.
    ///
    /// # Errors
    ///
    /// The row is bad; nothing of it is used.
    fn read(&self, row: &mut Fields, found: &mut Found) -> Result<(), Bad>;
}

/// What a shape says of the columns of a file.
pub(super) enum Answer {
    /// It reads them.
    Reads(Box<dyn Shape>),
    /// It knows them, and they hold no pairs: what was found, what to try.
    Refuses(String, String),
}

/// All shapes, the more particular first.
const SHAPES: &[fn(&Columns) -> Option<Answer>] = &[
    best_answers::detect,
    reply_trees::detect,
    transcripts::detect,
    judged::detect,
    candidates::detect,
    unpaired::detect,
];

/// The shape of a file.
pub(super) fn detect(columns: &Columns) -> Option<Answer> {
    SHAPES.iter().find_map(|detect| detect(columns))
}

/// A pair before it knows where it was read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) prompt: Prompt,
    pub(super) responses: [String; 2],
    pub(super) label: Option<Label>,
}

/// What one row held.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) pairs: Vec<Draft>,
    pub(super) ties: usize,
    pub(super) bad: Vec<Bad>,
}

impl Found {
    /// Add a pair if it is sound; else say why not, with the names of its responses.
    fn add(&mut self, draft: Draft, names: [&str; 2]) {
        match fault(&draft, names) {
            Some(bad) => self.bad.push(bad),
            None => self.pairs.push(draft),
        }
    }
}

fn fault(draft: &Draft, names: [&str; 2]) -> Option<Bad> {
    if draft.prompt.is_blank() {
        return Some(Bad::new(BadReason::EmptyPrompt, "the prompt is empty"));
    }
    for (response, name) in draft.responses.iter().zip(names) {
        if response.trim().is_empty() {
            return Some(Bad::new(
                BadReason::EmptyResponse,
                format!("the response in `{name}` is empty"),
            ));
        }
    }
    let [first, second] = names;
    (draft.responses[0] == draft.responses[1]).then(|| {
        let detail = format!("the responses in `{first}` and `{second}` are the same");
        Bad::new(BadReason::IdenticalResponses, detail)
    })
}

/// Of columns with like names, those that hold the responses themselves: by name, then by
/// length; the first of equals.
fn likeliest(columns: &Columns, twins: Vec<Twins>) -> Option<Twins> {
    let kind = |name: &String| columns.get(name).map(Column::kind);
    let alike = twins.into_iter().filter(|twins| kind(&twins.names[0]) == kind(&twins.names[1]));
    alike.rev().max_by_key(|twins| {
        let [first, second] =
            twins.names.each_ref().map(|name| columns.get(name).map_or(0, Column::mean_length));
        (names_a_response(&twins.names[0]), first + second)
    })
}

/// Whether two texts both begin with a third, as responses do that repeat their prompt.
fn both_begin_with(row: &Fields, names: &[String; 2], start: &str) -> Option<bool> {
    let text = |name: &String| row.get(name)?.as_str();
    let (first, second) = (text(&names[0])?, text(&names[1])?);
    (!start.trim().is_empty()).then(|| first.starts_with(start) && second.starts_with(start))
}
