//! The choice of columns that several shapes make alike: two of the responses, those of the prompt.

use std::cmp::Reverse;

use super::super::columns::{Column, Columns};
use super::super::names::{Twins, names_a_response};
use super::super::prompts::PromptColumns;
use super::super::row::Fields;
use super::super::settings::ReadSettings;

/// Of columns with like names, those that hold the responses themselves: not what is about
/// them, those whose names say so, with the fewest words beside; then the longer; the first of
/// equals.
pub(super) fn likeliest(columns: &Columns, twins: Vec<Twins>) -> Option<Twins> {
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
pub(super) fn both_begin_with(row: &Fields, names: &[String; 2], start: &str) -> Option<bool> {
    let text = |name: &String| row.get(name)?.as_str();
    let (first, second) = (text(&names[0])?, text(&names[1])?);
    (!start.trim().is_empty()).then(|| first.starts_with(start) && second.starts_with(start))
}

/// The prompt that a person named, or that is found beside columns that are taken, for responses
/// in two of them.
pub(super) fn prompt(
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
pub(super) fn prompt_of(
    columns: &Columns,
    settings: &ReadSettings,
    twins: &Twins,
) -> PromptColumns {
    prompt(columns, settings, &twins.names.each_ref().map(String::as_str), Some(twins))
}
