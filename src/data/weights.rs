//! Numbers that come with a pair: what multiplies its weight, and how sure its label is.

use super::columns::{Column, Columns};
use super::names::words;
use super::pair::Label;
use super::report::BadReason;
use super::row::Fields;
use super::settings::ColumnMap;
use super::values::{Bad, describe, number};

/// Words that end the names of columns which say how sure a label is.
const SURE: &[&str] = &["margin", "probability", "agreement", "confidence", "certainty"];

/// What a number says of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// How much better the preferred response is.
    Margin,
    /// How probable it is that it is the better one.
    Probability,
    /// C = 2p − 1 for that probability p.
    Confidence,
}

/// The columns of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Weights {
    weight: Option<String>,
    sure: Option<(String, Says)>,
}

impl Weights {
    /// Those that a person named, or that are called so; none of the columns that are taken.
    pub(super) fn find(columns: &Columns, map: &ColumnMap, taken: &[String]) -> Self {
        let numeric = |column: &&Column| {
            !taken.contains(&column.name)
                && columns.share(|row| Some(number(row.get(&column.name)?).is_some())) >= 0.5
        };
        let named = |path: &String| (!path.is_empty()).then(|| path.clone());
        let weight = || {
            columns.iter().filter(numeric).find(|column| {
                let words = words(&column.name);
                words.len() <= 2
                    && words.last().is_some_and(|word| word == "weight" || word == "weights")
            })
        };
        let sure = || {
            let place = |column: &Column| {
                let words = words(&column.name);
                let last = words.last().filter(|_| words.len() <= 2)?;
                SURE.iter().position(|known| known == last)
            };
            let known = columns.iter().filter(numeric).filter_map(|c| Some((place(c)?, c)));
            known.min_by_key(|(place, _)| *place).map(|(_, column)| column)
        };
        let sure = named(&map.margin).or_else(|| sure().map(|column| column.name.clone()));
        Self {
            weight: named(&map.weight).or_else(|| weight().map(|column| column.name.clone())),
            sure: sure.and_then(|name| Some((says(columns, &name)?, name))).map(|(s, n)| (n, s)),
        }
    }

    /// The columns that are read.
    pub(super) fn columns(&self) -> impl Iterator<Item = &String> {
        self.weight.iter().chain(self.sure.as_ref().map(|(name, _)| name))
    }

    /// The columns in words, each with a comma before it.
    pub(super) fn describe(&self) -> String {
        let weight = self.weight.as_ref().map(|name| format!(", weights in `{name}`"));
        let sure = self.sure.as_ref().map(|(name, says)| {
            let what = match says {
                Says::Margin => "margins",
                Says::Probability => "probabilities of the labels",
                Says::Confidence => "confidences (2p − 1) of the labels",
            };
            format!(", {what} in `{name}`")
        });
        weight.into_iter().chain(sure).collect()
    }

    /// What a row says of its pairs.
    pub(super) fn of(&self, row: &Fields) -> Result<Weighed, Bad> {
        let value = |name: &String| row.get(name).filter(|value| !super::values::is_empty(value));
        let mut weighed = Weighed::default();
        if let Some((name, value)) =
            self.weight.as_ref().and_then(|name| Some((name, value(name)?)))
        {
            match number(value).filter(|weight| *weight >= 0.0) {
                Some(weight) => weighed.weight = weight as f32,
                None => {
                    let detail = format!(
                        "`{name}` holds {}; expected a weight of 0 or more",
                        describe(value)
                    );
                    return Err(Bad::new(BadReason::WrongType, detail));
                }
            }
        }
        let sure = self.sure.as_ref().and_then(|(name, says)| Some((number(value(name)?)?, *says)));
        weighed.sure = sure;
        Ok(weighed)
    }
}

/// What one row says of its pairs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weighed {
    pub(super) weight: f32,
    sure: Option<(f64, Says)>,
}

impl Default for Weighed {
    fn default() -> Self {
        Self { weight: 1.0, sure: None }
    }
}

impl Weighed {
    /// A label with what is said of it; also whether that speaks against it.
    pub(super) fn label(&self, label: Label) -> (Label, bool) {
        let Some((value, says)) = self.sure else { return (label, false) };
        let probability = match says {
            Says::Margin if value >= 0.0 => {
                return (Label { margin: Some(value as f32), ..label }, false);
            }
            Says::Margin => return (Label { margin: None, ..label }, true),
            Says::Probability => value,
            Says::Confidence => 0.5 + value / 2.0,
        };
        let against = !(0.5..=1.0).contains(&probability);
        let agreement = if against { label.agreement } else { probability as f32 };
        (Label { agreement, margin: None, ..label }, against)
    }
}

/// What the numbers of a column say, by its name and their range.
fn says(columns: &Columns, name: &str) -> Option<Says> {
    let within = |low: f64| {
        columns.share(|row| Some((low..=1.0).contains(&number(row.get(name)?)?))) >= 0.95
    };
    let words = words(name);
    match words.last().map(String::as_str) {
        Some("agreement" | "probability") if within(0.0) => Some(Says::Probability),
        Some("margin") => Some(Says::Margin),
        _ if within(0.5) => Some(Says::Probability),
        _ if within(0.0) => Some(Says::Confidence),
        // Another scale of sureness, 1 to 9 say, is no margin.
        Some("confidence" | "certainty" | "agreement" | "probability") => None,
        _ => Some(Says::Margin),
    }
}
