//! One response for each prompt, called good or bad (KTO): no pairs, which is said in words.

use super::super::columns::{Column, Columns};
use super::super::names::words;
use super::super::prompts::PromptColumns;
use super::super::settings::ReadSettings;
use super::super::values::Kind;
use super::shape::Answer;

/// What the name of a verdict on a response says, alone or as its last word.
const JUDGED: &[&str] = &[
    "label",
    "labels",
    "desirable",
    "preferred",
    "good",
    "thumbs",
    "up",
    "rating",
    "score",
    "feedback",
    "chosen",
    "accepted",
    "liked",
    "correct",
];

pub(super) fn detect(columns: &Columns, _: &ReadSettings) -> Option<Answer> {
    if let Some(steps) = steps(columns) {
        return Some(steps);
    }
    let verdict = columns.iter().find(|column| judges(column))?;
    let prompt = PromptColumns::find(columns, &[], None).columns();
    let (prompts, others): (Vec<_>, Vec<_>) = columns
        .speaking()
        .filter(|column| column.name != verdict.name)
        .partition(|column| prompt.contains(&column.name));
    // A whole conversation holds prompt and response.
    let whole = prompts.into_iter().filter(|column| column.kind() == Kind::Messages).collect();
    let responses: Vec<_> = if others.is_empty() { whole } else { others };
    let responses: Vec<_> = responses.iter().map(|column| format!("`{}`", column.name)).collect();
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

/// Whether a file is one of these.
pub(super) fn is_known(columns: &Columns) -> bool {
    detect(columns, &ReadSettings::default()).is_some()
}

/// Whether a column says good or bad, and nothing else.
fn judges(column: &Column) -> bool {
    let binary =
        column.values.keys().all(|value| ["true", "false", "0", "1"].contains(&value.as_str()));
    let named = words(&column.name).last().is_some_and(|word| JUDGED.contains(&word.as_str()));
    let boolean = column.kind() == Kind::Boolean;
    named
        && binary
        && !column.open_ended
        && column.filled() > 0
        && (boolean || column.kind() == Kind::Number)
}

/// Steps of one answer with a verdict on each, as process reward models learn from.
fn steps(columns: &Columns) -> Option<Answer> {
    let verdicts = |column: &&Column| {
        columns.share(|row| {
            let items = row.get(&column.name)?.as_array()?;
            Some(!items.is_empty() && items.iter().all(serde_json::Value::is_boolean))
        }) >= 0.5
    };
    let labels = columns.iter().find(verdicts)?;
    let texts = columns.speaking().find(|column| column.kind() == Kind::Texts)?;
    let found = format!(
        "steps of one answer in `{}`, each called right or wrong by `{}`: no two answers to compare",
        texts.name, labels.name
    );
    let advice = "choose a file with two answers to each prompt; this one trains a process reward \
        model";
    Some(Answer::Refuses(found, advice.to_owned()))
}
