//! Rows → pairs.
//!
//! A shape is a way in which rows hold pairs. To add one: write a file here with a function
//! that looks at the columns and says whether it knows them, and name it in [`SHAPES`].

mod answer_lists;
mod best_answers;
mod candidates;
mod continued;
mod judged;
mod rated_lists;
mod reply_trees;
mod transcripts;
mod unpaired;

use std::cmp::Reverse;

use super::columns::{Column, Columns, Fields};
use super::limits::size_of_pair;
use super::names::{Twins, names_a_response};
use super::pair::{Label, Prompt};
use super::prompts::PromptColumns;
use super::report::BadReason;
use super::settings::ReadSettings;
use super::values::Bad;

/// Reads rows of one shape.
pub(super) trait Shape: Send + Sync {
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
pub(super) enum Answer {
    /// It reads them.
    Reads(Box<dyn Shape>),
    /// It knows them, and they hold no pairs: what was found, what to try.
    Refuses(String, String),
}

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
    /// Bytes that the pairs take.
    pub(super) bytes: u64,
    /// Bytes that they may take: each two of many answers are more than any memory.
    most: u64,
    /// Whether they would take more.
    pub(super) full: bool,
}

/// Bytes that a fault takes, about.
const FAULT: u64 = 128;

impl Found {
    /// Nothing yet, and room for so many bytes.
    pub(super) fn within(most: u64) -> Self {
        Self { most, ..Self::default() }
    }

    /// A bad row.
    pub(super) fn of(bad: Bad) -> Self {
        Self { bad: vec![bad], ..Self::default() }
    }

    /// Add a pair if it is sound; else say why not, with the names of its responses.
    fn add(&mut self, draft: Draft, names: [&str; 2]) {
        let fault = fault(&draft, names);
        self.bytes += match &fault {
            Some(_) => FAULT,
            None => size_of_pair(&draft.prompt, &draft.responses),
        };
        self.full |= self.bytes > self.most;
        match fault {
            _ if self.full => {}
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

/// Of columns with like names, those that hold the responses themselves: not what is about
/// them, those whose names say so, with the fewest words beside; then the longer; the first of
/// equals.
fn likeliest(columns: &Columns, twins: Vec<Twins>) -> Option<Twins> {
    let kind = |name: &String| columns.get(name).map(Column::kind);
    let long = |name: &String| columns.get(name).is_some_and(|c| c.mean_length() >= LONG);
    let alike = twins.into_iter().filter(|twins| kind(&twins.names[0]) == kind(&twins.names[1]));
    let (about, texts): (Vec<_>, Vec<_>) = alike.partition(Twins::are_about);
    // `model_a` may hold what the model said.
    let said = about.into_iter().filter(|twins| twins.are_models() && twins.names.iter().all(long));
    let texts = if texts.is_empty() { said.collect() } else { texts };
    texts.into_iter().rev().max_by_key(|twins| {
        let each = twins.names.each_ref().map(|name| columns.get(name));
        let length: usize = each.iter().flatten().map(|column| column.mean_length()).sum();
        let varied = each.iter().flatten().any(|column| column.is_varied());
        (varied, names_a_response(&twins.names[0]), Reverse(twins.extra().len()), length)
    })
}

/// Texts that are no names any more, in bytes.
const LONG: usize = 40;

/// Whether two texts both begin with a third, as responses do that repeat their prompt.
fn both_begin_with(row: &Fields, names: &[String; 2], start: &str) -> Option<bool> {
    let text = |name: &String| row.get(name)?.as_str();
    let (first, second) = (text(&names[0])?, text(&names[1])?);
    (!start.trim().is_empty()).then(|| first.starts_with(start) && second.starts_with(start))
}

/// The prompt that a person named, or that is found beside columns that are taken, for responses
/// in two of them.
fn prompt(
    columns: &Columns,
    settings: &ReadSettings,
    taken: &[&str],
    twins: Option<&Twins>,
) -> PromptColumns {
    let map = &settings.columns;
    let main: Vec<String> = map.prompts().map(str::to_owned).collect();
    if main.is_empty() || main.iter().all(|name| columns.get(name).is_none()) {
        return PromptColumns::find(columns, taken, twins).under(columns, &map.system);
    }
    PromptColumns::mapped(columns, taken, &main).under(columns, &map.system)
}

/// As [`prompt`], for two columns that hold the responses.
fn prompt_of(columns: &Columns, settings: &ReadSettings, twins: &Twins) -> PromptColumns {
    prompt(columns, settings, &twins.names.each_ref().map(String::as_str), Some(twins))
}
