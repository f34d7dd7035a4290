//! One response for each prompt, called good or bad (KTO): no pairs, which is said in words.

use super::super::columns::{Column, Columns};
use super::super::names::words;
use super::super::values::Kind;
use super::Answer;

const JUDGED: &[&str] =
    &["label", "labels", "desirable", "preferred", "good", "thumbs", "rating", "score", "feedback"];

pub(super) fn detect(columns: &Columns) -> Option<Answer> {
    let verdict = columns.iter().find(|column| judges(column))?;
    let responses = columns.speaking().filter(|column| column.name != verdict.name);
    let responses: Vec<_> = responses.map(|column| format!("`{}`", column.name)).collect();
    if responses.is_empty() {
        return None;
    }
    let (name, responses) = (&verdict.name, responses.join(", "));
    let found = format!(
        "unpaired data: one response in each row ({responses}) that `{name}` calls good or bad"
    );
    let advice = "join two rows with the same prompt, one good and one bad, into one row with \
        `prompt`, `chosen` and `rejected`";
    Some(Answer::Refuses(found, advice.to_owned()))
}

/// Whether a column says good or bad, and nothing else.
fn judges(column: &Column) -> bool {
    let binary =
        column.values.keys().all(|value| ["true", "false", "0", "1"].contains(&value.as_str()));
    let named = words(&column.name).iter().any(|word| JUDGED.contains(&word.as_str()));
    let boolean = column.kind() == Kind::Boolean;
    named
        && binary
        && !column.open_ended
        && column.filled() > 0
        && (boolean || column.kind() == Kind::Number)
}
