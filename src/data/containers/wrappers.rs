//! One JSON object that holds a table: rows in a list, rows by name, or columns.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::row::{Fields, Row};
use super::super::values::{Kind, excerpt};
use super::table::Table;

/// The rows of an object; the object itself as the one row where it wraps none.
pub(super) fn unwrap(fields: Fields) -> Table {
    let table = |container: &str, rows: Vec<Fields>| Table {
        container: container.to_owned(),
        rows: (1..).zip(rows).map(|(line, fields)| Row { line, fields }).collect(),
        ..Table::default()
    };
    if let Some(rows) = split(&fields) {
        return table("JSON object with `columns` and `data`", rows);
    }
    if let Some(rows) = by_column(&fields) {
        return table("JSON object of columns", rows);
    }
    if let Some(rows) = by_index(&fields) {
        return table("JSON object of rows", rows);
    }
    in_list(fields).unwrap_or_else(|fields| table("one JSON object", vec![fields]))
}

/// `{"columns": [names], "data": [[values], …]}`, as pandas' orient="split" writes it.
fn split(fields: &Fields) -> Option<Vec<Fields>> {
    let names = fields.get("columns")?.as_array()?;
    let names: Vec<&str> = names.iter().map(Value::as_str).collect::<Option<_>>()?;
    let row = |row: &Value| {
        let values = row.as_array().filter(|values| values.len() == names.len())?;
        Some(names.iter().map(|name| (*name).to_owned()).zip(values.iter().cloned()).collect())
    };
    fields.get("data")?.as_array().filter(|rows| !rows.is_empty())?.iter().map(row).collect()
}

/// `{"prompt": […], "chosen": […], …}`, or with `{"0": …, "1": …}` in place of each list.
fn by_column(fields: &Fields) -> Option<Vec<Fields>> {
    let columns = fields.iter().map(|(name, value)| Some((name, column(value)?)));
    let columns: Vec<(&String, Vec<&Value>)> = columns.collect::<Option<_>>()?;
    let rows = columns.first()?.1.len();
    if columns.len() < 2 || rows == 0 || columns.iter().any(|(_, values)| values.len() != rows) {
        return None;
    }
    let cell =
        |i: usize, (name, values): &(&String, Vec<&Value>)| ((*name).clone(), values[i].clone());
    Some((0..rows).map(|i| columns.iter().map(|column| cell(i, column)).collect()).collect())
}

/// The values of a column in order; `None` for what is none, such as a conversation.
fn column(value: &Value) -> Option<Vec<&Value>> {
    match value {
        Value::Array(items) if Kind::of(value) != Kind::Messages => Some(items.iter().collect()),
        Value::Object(items) => {
            let numbered = items.iter().map(|(key, value)| Some((key.parse::<u64>().ok()?, value)));
            let numbered: BTreeMap<u64, &Value> = numbered.collect::<Option<_>>()?;
            Some(numbered.into_values().collect())
        }
        _ => None,
    }
}

/// `{"0": {row}, "1": {row}, …}` or under other names: rows of mostly the same columns.
fn by_index(fields: &Fields) -> Option<Vec<Fields>> {
    let mut rows: Vec<(&String, &Fields)> =
        fields.iter().map(|(key, value)| Some((key, value.as_object()?))).collect::<Option<_>>()?;
    let first: Vec<&String> = rows.first()?.1.keys().collect();
    let alike = |row: &Fields| row.keys().filter(|key| first.contains(key)).count();
    let same = rows.iter().filter(|(_, row)| 2 * alike(row) > first.len() && row.len() >= 2);
    let numbered = rows.iter().all(|(key, _)| key.parse::<u64>().is_ok());
    // Two objects under names are more likely a better and a worse answer.
    if rows.len() < if numbered { 1 } else { 3 } || same.count() < rows.len() {
        return None;
    }
    // Numbers in their order, whatever their length.
    rows.sort_by_key(|(key, _)| key.parse::<u64>().unwrap_or(u64::MAX));
    Some(rows.into_iter().map(|(_, row)| row.clone()).collect())
}

/// What a row is called by, so that an object with a list of answers is one, and no wrapper.
const ASKED: [&str; 7] =
    ["prompt", "instruction", "question", "query", "input", "messages", "conversations"];

/// An object that holds rows in one of its lists; the longest, if in several.
fn in_list(mut fields: Fields) -> Result<Table, Fields> {
    if ASKED.iter().any(|key| fields.contains_key(*key)) {
        return Err(fields);
    }
    let rows_in = |value: &Value| match value {
        Value::Array(items)
            if items.iter().all(Value::is_object) && Kind::of(value) != Kind::Messages =>
        {
            items.len()
        }
        _ => 0,
    };
    let longest = fields.iter().max_by_key(|(_, value)| rows_in(value));
    let Some(key) = longest.filter(|(_, value)| rows_in(value) > 0).map(|(key, _)| key.clone())
    else {
        return Err(fields);
    };
    let mut table = Table {
        container: format!("JSON object with rows in `{}`", excerpt(&key)),
        ..Table::default()
    };
    if let Some(Value::Array(items)) = fields.remove(&key) {
        for (line, item) in (1..).zip(items) {
            if let Value::Object(fields) = item {
                table.rows.push(Row { line, fields });
            }
        }
    }
    let others = fields.iter().filter(|(_, value)| rows_in(value) > 0);
    table.notes.extend(others.map(|(other, value)| {
        let (count, other) = (rows_in(value), excerpt(other));
        format!(
            "{count} more rows in `{other}` are not read, only those in `{}`; put them into a file of their own",
            excerpt(&key)
        )
    }));
    Ok(table)
}
