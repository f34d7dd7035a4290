//! A list of two answers → two columns, which a label can tell apart: `summaries` becomes
//! `summaries.0` and `summaries.1`.

use serde_json::Value;

use super::super::columns::Columns;
use super::super::lists::{self, Listed};
use super::super::names::judged;
use super::super::row::Row;
use super::super::values::Kind;

/// Share of a column's lists that must have two answers.
const MOST: f64 = 0.9;

/// The first list of two answers that nothing rates, unless the file calls other columns better
/// and worse.
pub(super) fn find(columns: &Columns) -> Option<Listed> {
    let texts = columns.speaking().filter(|column| column.kind() != Kind::Texts);
    if !judged(texts.map(|column| column.name.as_str())).is_empty() {
        return None;
    }
    let lists = lists::find(columns);
    if lists.iter().any(|listed| listed.scores.is_some()) {
        return None;
    }
    let listed = lists.into_iter().find(|listed| {
        columns.share(|row| Some(row.get(&listed.column)?.as_array()?.len() == 2)) >= MOST
    })?;
    // Two lists of answers to one prompt are another shape, and steps with a verdict on each too.
    let lists_of_texts = columns.speaking().filter(|column| column.kind() == Kind::Texts);
    let others = !judged(lists_of_texts.map(|column| column.name.as_str())).is_empty();
    (!others && !has_verdicts(columns, &listed.column)).then_some(listed)
}

/// Split a list of answers.
pub(super) fn split(rows: &mut [Row], listed: &Listed) {
    let name = &listed.column;
    for row in rows {
        let Some(Value::Array(items)) = row.fields.get_mut(name) else { continue };
        if items.len() != 2 {
            continue;
        }
        let items = std::mem::take(items);
        row.fields.remove(name);
        for (i, item) in items.into_iter().enumerate() {
            let (column, value) = match (item, &listed.text) {
                (Value::Object(mut fields), Some(key)) => match fields.remove(key) {
                    Some(text) => (format!("{name}.{i}.{key}"), text),
                    None => (format!("{name}.{i}.{key}"), Value::Null),
                },
                (item, _) => (format!("{name}.{i}"), item),
            };
            row.fields.insert(column, value);
        }
    }
}

/// Whether a column beside a list holds as many verdicts.
fn has_verdicts(columns: &Columns, name: &str) -> bool {
    columns.iter().any(|other| {
        columns.share(|row| {
            let verdicts = row.get(&other.name)?.as_array()?;
            let items = row.get(name)?.as_array()?;
            Some(verdicts.len() == items.len() && verdicts.iter().all(Value::is_boolean))
        }) >= 0.5
    })
}
