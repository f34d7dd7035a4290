//! Columns that hold several answers to one prompt, and where their ratings or ranks stand.

use serde_json::Value;

use super::columns::Columns;
use super::names::{is_about, is_response_word, words};
use super::row::Fields;
use super::values::{Kind, number};

/// Keys under which an answer holds its text, best first.
const TEXTS: &[&str] = &[
    "text",
    "response",
    "answer",
    "completion",
    "output",
    "reply",
    "generation",
    "generated_text",
    "content",
    "message",
    "summary",
    "value",
    "body",
];
/// Words in the names of ratings, best first; the higher is better.
const SCORES: &[&str] = &[
    "overall",
    "score",
    "scores",
    "rating",
    "ratings",
    "reward",
    "rewards",
    "votes",
    "upvotes",
    "points",
    "helpfulness",
    "quality",
    "preference",
];
/// The same of ranks; the lower is better.
const RANKS: &[&str] = &["rank", "ranks", "ranking", "place"];

/// Words in the names of what marks the best answer.
const MARKS: &[&str] = &["preferred", "chosen", "best", "accepted", "winner", "better"];

/// Rows that are looked at to find keys.
const SAMPLE: usize = 200;

/// A column of lists of answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    /// The column.
    pub(super) column: String,
    /// The key of an answer's text; `None` where an answer is a text.
    pub(super) text: Option<String>,
    /// What rates the answers.
    pub(super) scores: Option<Scores>,
}

/// Ratings of a list of answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scores {
    /// The key in each answer, or the column of as many numbers.
    pub(super) name: String,
    /// Whether it is a column.
    pub(super) beside: bool,
    /// Whether the lower is better.
    pub(super) lower: bool,
}

/// Columns of answers; rated ones first.
pub(super) fn find(columns: &Columns) -> Vec<Listed> {
    let mut found: Vec<Listed> = columns
        .iter()
        .filter_map(|column| match column.kind() {
            Kind::Texts => texts(columns, &column.name),
            Kind::List | Kind::Messages => objects(columns, &column.name),
            _ => None,
        })
        .collect();
    found.sort_by_key(|listed| listed.scores.is_none());
    found
}

fn says_response(name: &str) -> bool {
    words(name).iter().any(|word| is_response_word(word))
}

/// A list of texts, and a list of as many numbers beside it.
fn texts(columns: &Columns, name: &str) -> Option<Listed> {
    if !says_response(name) || is_about(name, None) {
        return None;
    }
    let length = |row: &Fields, name: &str| Some(row.get(name)?.as_array()?.len());
    let rates = |other: &str| {
        columns.share(|row| {
            let numbers = row.get(other)?.as_array()?;
            let all = numbers
                .iter()
                .all(|value| !value.is_boolean() && (value.is_null() || number(value).is_some()));
            Some(all && !numbers.is_empty() && Some(numbers.len()) == length(row, name))
        }) >= 0.5
    };
    let names = columns.iter().map(|column| column.name.as_str()).filter(|other| *other != name);
    let scores = best(names.filter(|other| rates(other)));
    let scores = scores.map(|(name, lower)| Scores { name, beside: true, lower });
    Some(Listed { column: name.to_owned(), text: None, scores })
}

/// Whether most lists are of objects that hold a text and a number, as rated answers do.
pub(super) fn are_rated<'a>(lists: impl Iterator<Item = &'a Value>) -> bool {
    let lists = lists.take(SAMPLE).filter_map(Value::as_array);
    let items: Vec<&Fields> = lists.flatten().filter_map(Value::as_object).collect();
    keys(&items).is_some_and(|(_, scores)| scores.is_some())
}

/// A list of objects that hold a text, and perhaps a number.
fn objects(columns: &Columns, name: &str) -> Option<Listed> {
    let rows = columns.rows.iter().take(SAMPLE);
    let lists = rows.filter_map(|row| row.fields.get(name)?.as_array());
    let items: Vec<&Fields> = lists.flatten().filter_map(Value::as_object).collect();
    let (text, scores) = keys(&items)?;
    let scores = scores.map(|(name, lower)| Scores { name, beside: false, lower });
    (scores.is_some() || says_response(name)).then(|| Listed {
        column: name.to_owned(),
        text: Some(text.to_owned()),
        scores,
    })
}

/// The key of the text in answers, and that of what rates them, with whether the lower is better.
fn keys(items: &[&Fields]) -> Option<(&'static str, Option<(String, bool)>)> {
    // Turns of a conversation are no answers to one prompt, unless all are the assistant's.
    let asks = |item: &&Fields| {
        let role = item.get("role").or_else(|| item.get("from")).and_then(Value::as_str);
        role.is_some_and(|role| !matches!(role, "assistant" | "gpt" | "model" | "bot"))
    };
    if items.is_empty() || items.iter().any(asks) {
        return None;
    }
    let most = |fits: &dyn Fn(&Value) -> bool, key: &str| {
        2 * items.iter().filter(|item| item.get(key).is_some_and(fits)).count() > items.len()
    };
    let speaks =
        |value: &Value| matches!(Kind::of(value), Kind::Text | Kind::Message | Kind::Messages);
    let text = TEXTS.iter().find(|key| most(&speaks, key))?;
    let rated = |value: &Value| !value.is_boolean() && number(value).is_some();
    let mut keys: Vec<&str> =
        items.iter().flat_map(|item| item.keys().map(String::as_str)).collect();
    keys.sort_unstable();
    keys.dedup();
    let marks = |key: &&&str| {
        most(&Value::is_boolean, key) && words(key).iter().any(|w| MARKS.contains(&w.as_str()))
    };
    let mark = || keys.iter().find(marks).map(|key| ((*key).to_owned(), false));
    Some((text, best(keys.iter().copied().filter(|key| most(&rated, key))).or_else(mark)))
}

/// Of names of numbers, the one that rates best, and whether the lower is better.
fn best<'a>(names: impl Iterator<Item = &'a str>) -> Option<(String, bool)> {
    let place = |name: &str| {
        let words = words(name);
        let of =
            |known: &[&str]| known.iter().position(|known| words.iter().any(|word| word == known));
        let place = match (of(SCORES), of(RANKS)) {
            (Some(score), _) => (score, false),
            (None, Some(rank)) => (SCORES.len() + rank, true),
            _ => return None,
        };
        Some((place.0, words.len(), place.1))
    };
    let ranked = names.filter_map(|name| Some((place(name)?, name)));
    ranked.min().map(|((_, _, lower), name)| (name.to_owned(), lower))
}
