//! Texts that are printed lists and objects, as tables saved to CSV and some exports hold them.
//!
//! A column is decoded as a whole, and only where its values are what pairs are made of:
//! chat messages, rated answers, lists of texts in a table that cannot hold lists. A response
//! that is JSON because a model was asked for JSON stays the text that it is.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::Value;

use super::super::containers::{Wrong, parse_record};
use super::super::error::Fault;
use super::super::limits::{Budget, size};
use super::super::lists;
use super::super::names::words;
use super::super::python;
use super::super::report::{BadReason, BadRow};
use super::super::row::Row;
use super::super::values::{Kind, excerpt};
use super::done::Done;

/// Columns that are text to the end: chat templates get them as they are.
const KEPT: [&str; 2] = ["tools", "functions"];
/// Share of a column's texts that must be printed values.
const MOST: f64 = 0.5;

/// A column of printed values.
struct Decoded {
    name: String,
    /// The value of each row, where it is one.
    values: Vec<Option<Value>>,
    /// Whether most texts begin as messages and are none.
    broken: bool,
}

impl Decoded {
    /// Whether most values are of a kind.
    fn most(&self, fits: impl Fn(&Value) -> bool) -> bool {
        let known = self.values.iter().flatten();
        let (fitting, all) = known
            .fold((0, 0), |(fitting, all), value| (fitting + usize::from(fits(value)), all + 1));
        2 * fitting > all
    }
}

/// Decode the columns of printed values; a `flat` table holds nothing but texts. Rows in which
/// such a value breaks off are bad.
pub(super) fn decode(
    rows: &mut Vec<Row>,
    flat: bool,
    budget: &Budget,
    done: &mut Done,
) -> Result<(), Fault> {
    let mut decoded: Vec<Decoded> = Vec::new();
    for (name, texts) in suspects(rows) {
        let text = |row: &Row| row.fields.get(&name)?.as_str().map(str::to_owned);
        let values = rows.par_iter().map(|row| match text(row) {
            Some(text) => read(&text, row.line, budget),
            None => Ok(None),
        });
        let values = values.collect::<Result<Vec<Option<Value>>, Fault>>()?;
        let share = values.iter().flatten().count() as f64 / texts.max(1) as f64;
        let chat = rows.iter().filter(|row| text(row).is_some_and(|text| begins_as_chat(&text)));
        // All may be cut off.
        let broken = share < MOST && chat.count() as f64 >= MOST * texts as f64;
        if share >= MOST || broken {
            decoded.push(Decoded { name, values, broken });
        }
    }
    let names = wanted(&decoded, flat);
    let mut bad: BTreeMap<usize, BadRow> = BTreeMap::new();
    for Decoded { name, values, .. } in decoded.into_iter().filter(|c| names.contains(&c.name)) {
        for (i, (row, value)) in rows.iter_mut().zip(values).enumerate() {
            if let Some(value) = value {
                row.fields.insert(name.clone(), value);
                continue;
            }
            let text = row.fields.get(&name).and_then(Value::as_str).unwrap_or_default();
            if begins_as_value(text) {
                let detail = format!(
                    "`{name}` begins as a printed list and is none: “{}”; export the table again, as JSON lines or Parquet",
                    excerpt(text)
                );
                bad.insert(i, BadRow { line: row.line, reason: BadReason::UnreadableLine, detail });
            }
        }
        done.how.push(format!("`{name}` decoded from text"));
    }
    let mut index = 0..;
    rows.retain(|_| index.next().is_some_and(|i| !bad.contains_key(&i)));
    done.bad.extend(bad.into_values());
    Ok(())
}

/// Whether a text begins as a list or an object does.
fn begins_as_value(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with(['[', '{']) || text.starts_with("array(")
}

/// Whether a text begins as printed messages do.
fn begins_as_chat(text: &str) -> bool {
    let start: String = text.chars().filter(|c| !c.is_whitespace()).take(24).collect();
    let speaks = ["'role'", "\"role\"", "'from'", "\"from\"", "'content'", "\"content\""];
    start.starts_with("[{") && speaks.iter().any(|key| start.contains(key))
}

/// Columns of which most texts look like a list or an object, with how many texts they have.
fn suspects(rows: &[Row]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (name, value) in rows.iter().flat_map(|row| &row.fields) {
        let Value::String(text) = value else { continue };
        let start = text.trim_start();
        if start.is_empty() {
            continue;
        }
        let (texts, printed) = counts.entry(name).or_default();
        *texts += 1;
        *printed += usize::from(begins_as_value(start));
    }
    let kept = |name: &str| words(name).last().is_some_and(|word| KEPT.contains(&word.as_str()));
    let most = counts.into_iter().filter(|(name, (texts, printed))| {
        *printed as f64 >= MOST * *texts as f64 && *printed > 0 && !kept(name)
    });
    most.map(|(name, (texts, _))| (name.to_owned(), texts)).collect()
}

/// A printed list or object: JSON, or what Python prints.
fn read(text: &str, line: u64, budget: &Budget) -> Result<Option<Value>, Fault> {
    let text = text.trim();
    let most = budget.record(text.len() as u64);
    let json = match parse_record(text, most) {
        Err(Wrong::Json(_)) => match python::to_json(text) {
            Some(json) => parse_record(&json, most),
            None => return Ok(None),
        },
        parsed => parsed,
    };
    let value = match json {
        Ok((value, _)) if value.is_array() || value.is_object() => value,
        Err(Wrong::Memory) => return Err(budget.unpacks(line, text.len() as u64)),
        _ => return Ok(None),
    };
    budget.hold(size(&value)).map(|()| Some(value))
}

/// The columns whose values are to be read as such.
fn wanted(decoded: &[Decoded], flat: bool) -> Vec<String> {
    let has = |name: &str, wanted: &[&str]| {
        words(name).iter().any(|word| wanted.contains(&word.as_str()))
    };
    let certain = |column: &&Decoded| {
        column.broken
            || column.most(|value| matches!(Kind::of(value), Kind::Message | Kind::Messages))
            || column.most(holds_chat)
            || (has(&column.name, &["history"]) && column.most(Value::is_array))
            || lists::are_rated(column.values.iter().flatten())
    };
    let names = |columns: Vec<&Decoded>| -> Vec<String> {
        columns.into_iter().map(|column| column.name.clone()).collect()
    };
    let (certain, others): (Vec<_>, Vec<_>) = decoded.iter().partition(certain);
    let texts: Vec<_> =
        others.iter().copied().filter(|c| c.most(|v| Kind::of(v) == Kind::Texts)).collect();
    let numbers: Vec<_> = others.iter().copied().filter(|c| c.most(are_numbers)).collect();
    // Turn by turn beside a list of questions, or answers beside their ratings. Alone, a list of
    // texts may be what a model was asked for, unless the table could not hold it otherwise.
    let by_turns =
        texts.iter().any(|column| has(&column.name, &["prompt", "question", "questions"]));
    let mut all = names(certain);
    if flat || by_turns || (!texts.is_empty() && !numbers.is_empty()) {
        all.extend([names(texts), names(numbers)].concat());
    }
    all
}

fn are_numbers(value: &Value) -> bool {
    let number = |item: &Value| item.is_number() || item.is_boolean() || item.is_null();
    value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(number))
}

/// Whether an object holds messages under one of its keys, or a better and a worse answer.
fn holds_chat(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| {
        ["chosen", "rejected"].iter().all(|key| fields.contains_key(*key))
            || fields
                .values()
                .any(|value| matches!(Kind::of(value), Kind::Message | Kind::Messages))
    })
}
