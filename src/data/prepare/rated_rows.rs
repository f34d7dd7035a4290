//! One rated answer a row → all answers to one prompt in one row.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Value, json};

use super::super::columns::{Column, Columns};
use super::super::error::Fault;
use super::super::names::{is_about, is_response_word, judged, numbered, words};
use super::super::prompts::PromptColumns;
use super::super::report::{BadReason, BadRow};
use super::super::row::Row;
use super::super::values::Kind;
use super::done::Done;

/// Names of ratings, best first.
const RATINGS: &[&str] = &[
    "overall",
    "score",
    "rating",
    "reward",
    "helpfulness",
    "quality",
    "usefulness",
    "votes",
    "upvotes",
    "points",
    "correctness",
];

/// The columns of rated rows.
pub(super) struct RatedRows {
    prompt: Vec<String>,
    answer: String,
    rating: String,
}

/// Gather rows that hold a prompt, one answer to it and a rating.
pub(super) fn gather(rows: &mut Vec<Row>, rated: &RatedRows, done: &mut Done) -> Result<(), Fault> {
    let RatedRows { prompt, answer, rating } = rated;
    let mut groups: BTreeMap<String, usize> = BTreeMap::new();
    let mut gathered: Vec<Row> = Vec::new();
    for mut row in std::mem::take(rows) {
        let key: Vec<&Value> = prompt.iter().filter_map(|name| row.fields.get(name)).collect();
        let key = serde_json::to_string(&key).unwrap_or_default();
        let take = |row: &mut Row, name: &str| row.fields.remove(name).unwrap_or(Value::Null);
        let said = json!({"text": take(&mut row, answer), "score": take(&mut row, rating)});
        match groups.entry(key) {
            Entry::Occupied(place) => {
                if let Some(Value::Array(all)) = gathered[*place.get()].fields.get_mut(ANSWERS) {
                    all.push(said);
                }
            }
            Entry::Vacant(place) => {
                place.insert(gathered.len());
                row.fields.insert(ANSWERS.to_owned(), Value::Array(vec![said]));
                gathered.push(row);
            }
        }
    }
    let alone = |row: &Row| {
        row.fields.get(ANSWERS).and_then(Value::as_array).is_none_or(|all| all.len() < 2)
    };
    let (single, several): (Vec<_>, Vec<_>) = gathered.into_iter().partition(alone);
    if several.is_empty() {
        return Err(Fault::unknown(
            format!(
                "one rated answer in each row (`{answer}`, rated by `{rating}`), and each prompt once: no two answers to compare"
            ),
            "choose a file with two or more answers to each prompt",
        ));
    }
    done.how.push(format!("answers in `{answer}` to one prompt put together, rated by `{rating}`"));
    done.bad.extend(single.into_iter().map(|row| BadRow {
        line: row.line,
        reason: BadReason::MissingField,
        detail: "the only answer to its prompt; expected two or more to compare".to_owned(),
    }));
    *rows = several;
    Ok(())
}

/// The column of gathered answers.
const ANSWERS: &str = "answers";

/// The columns of the prompt, of the one answer and of its rating.
pub(super) fn find(columns: &Columns) -> Option<RatedRows> {
    let text =
        |column: &&Column| matches!(column.kind(), Kind::Text | Kind::Message | Kind::Messages);
    let answers = || {
        columns.speaking().filter(text).filter(|column| {
            !is_about(&column.name, None)
                && words(&column.name).last().is_some_and(|word| is_response_word(word))
                && !NO_ANSWERS.contains(&column.name.as_str())
        })
    };
    let names: Vec<&str> = columns.speaking().map(|column| column.name.as_str()).collect();
    if answers().count() != 1
        || !judged(names.iter().copied()).is_empty()
        || !numbered(names.iter().copied()).is_empty()
    {
        return None;
    }
    let answer = answers().next()?;
    let rating = rating(columns)?;
    let prompt = PromptColumns::find(columns, &[&answer.name, &rating], None);
    let answer = answer.name.clone();
    prompt.has_main().then(|| RatedRows { prompt: prompt.columns(), answer, rating })
}

/// Names that a prompt is as likely to have.
const NO_ANSWERS: [&str; 4] = ["text", "messages", "conversation", "conversations"];

/// The column of numbers that rates the answers; good or bad alone is no rating.
fn rating(columns: &Columns) -> Option<String> {
    let rates = |column: &&Column| {
        column.kind() != Kind::Boolean
            && !column.values.is_empty()
            && column.values.keys().filter(|value| value.parse::<f64>().is_ok()).count() * 10
                >= column.values.len() * 9
            && column.values.keys().any(|value| !matches!(value.as_str(), "0" | "1"))
    };
    let place = |column: &Column| {
        let words = words(&column.name);
        let place = RATINGS.iter().position(|name| words.iter().any(|word| word == name))?;
        Some((place, words.len()))
    };
    let rated = columns.iter().filter(rates).filter_map(|column| Some((place(column)?, column)));
    rated.min_by_key(|(place, _)| *place).map(|(_, column)| column.name.clone())
}
