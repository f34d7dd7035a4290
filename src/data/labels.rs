//! Which of two candidates people preferred: the columns that say so, and how they say it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::columns::{Column, Columns, Fields};
use super::names::{Twins, numbered, words};
use super::pair::{Label, Side};
use super::report::BadReason;
use super::values::{Bad, Kind, describe, scalar};

/// Words in the names of label columns, best first.
const NAMES: &[&str] = &[
    "label",
    "labels",
    "preference",
    "preferred",
    "better",
    "winner",
    "choice",
    "annotator",
    "vote",
    "judgement",
    "judgment",
    "verdict",
    "selected",
    "selection",
    "chosen",
    "best",
    "safer",
];

/// Words in the names of columns that rate both candidates.
const RATINGS: &[&str] = &["score", "scores", "rating", "ratings", "votes"];

/// Share of a column's values that a reading must understand; the rest are bad rows.
const UNDERSTOOD: f64 = 0.9;
/// A value that is rarer than this is an error, not a part of the column's vocabulary.
const RARE: f64 = 0.005;

/// What one annotator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vote {
    For(Side),
    Tie,
}

/// How values name a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reading {
    /// 1 or 2, and 0 for a tie.
    OneTwo,
    /// 0 or 1.
    Index,
    /// 1 for the first and 0 for the second.
    IsFirst,
    /// The candidate's name, or the part of it in which the names differ.
    Name([Vec<String>; 2]),
}

/// What all annotators of a row say together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Most prefer one.
    Preferred(Label),
    /// Nobody is in the majority, or those who see a tie are.
    Tie,
    /// Nobody said anything.
    Unlabelled,
}

/// The label columns of a file.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    source: Source,
    /// The decision, in words.
    pub(super) says: String,
}

#[derive(Clone, Debug)]
enum Source {
    /// One column for each annotator.
    Votes(Vec<String>, Reading),
    /// One number for each candidate; the higher is better.
    Ratings([String; 2]),
    Nobody,
}

impl Labels {
    /// Find the label columns for two candidates, by their names and values.
    pub(super) fn find(columns: &Columns, twins: &Twins) -> Self {
        if let Some(marks) = marks(columns, twins) {
            let says =
                format!("labels in `{}` and `{}` (1 marks the better one)", marks[0], marks[1]);
            return Self { source: Source::Ratings(marks), says };
        }
        let families = families(columns, twins);
        for family in &families {
            if let Some(reading) = Reading::find(family, twins) {
                return Self::by_votes(columns, twins, family, reading);
            }
        }
        if let Some(ratings) = ratings(columns, twins) {
            let says = format!("labels from the higher of `{}` and `{}`", ratings[0], ratings[1]);
            return Self { source: Source::Ratings(ratings), says };
        }
        let says = match families.concat().as_slice() {
            [] => "no labels".to_owned(),
            unknown => {
                format!("no labels: the values of {} name neither candidate", listed(unknown))
            }
        };
        Self { source: Source::Nobody, says }
    }

    fn by_votes(columns: &Columns, twins: &Twins, family: &[&Column], reading: Reading) -> Self {
        let names: Vec<_> = family.iter().map(|column| column.name.clone()).collect();
        let reading =
            if contradicted(columns, twins, &names, &reading) { Reading::IsFirst } else { reading };
        let majority = if names.len() > 1 { ", by majority" } else { "" };
        let says = format!("labels in {} ({}{majority})", listed(family), reading.describe());
        Self { source: Source::Votes(names, reading), says }
    }

    /// What a row's annotators say together.
    pub(super) fn verdict(&self, row: &Fields) -> Result<Verdict, Bad> {
        let (names, reading) = match &self.source {
            Source::Nobody => return Ok(Verdict::Unlabelled),
            Source::Votes(names, reading) => (names, reading),
            Source::Ratings(names) if names.iter().any(|name| number(row, name).is_none()) => {
                return Ok(Verdict::Unlabelled);
            }
            Source::Ratings(names) => {
                let label = higher(row, names).map(Label::certain);
                return Ok(label.map_or(Verdict::Tie, Verdict::Preferred));
            }
        };
        let mut counts = [0_u32; 3];
        for name in names {
            let Some(value) = row.get(name).filter(|value| Kind::of(value) != Kind::Null) else {
                continue;
            };
            let vote = match scalar(value) {
                None if value.is_string() => continue,
                None => None,
                Some(text) => reading.vote(&text),
            };
            match vote {
                Some(Vote::For(side)) => counts[side.index()] += 1,
                Some(Vote::Tie) => counts[2] += 1,
                None => {
                    let detail = format!(
                        "`{name}` holds {}; expected {}",
                        describe(value),
                        reading.describe()
                    );
                    return Err(Bad::new(BadReason::UnknownLabel, detail));
                }
            }
        }
        Ok(majority(counts))
    }
}

/// The verdict of votes for the first, for the second and for a tie.
fn majority([first, second, ties]: [u32; 3]) -> Verdict {
    let all = first + second + ties;
    if all == 0 {
        return Verdict::Unlabelled;
    }
    let (preferred, votes) =
        if first > second { (Side::First, first) } else { (Side::Second, second) };
    if first == second || votes <= ties {
        return Verdict::Tie;
    }
    Verdict::Preferred(Label { preferred, agreement: votes as f32 / all as f32 })
}

/// How much a column's name sounds like a label; less is more.
fn rank(column: &Column) -> Option<usize> {
    let words = words(&column.name);
    NAMES.iter().position(|name| words.iter().any(|word| word == name))
}

/// Columns that sound like labels, best first; annotators of one question stand together.
fn families<'a>(columns: &'a Columns, twins: &Twins) -> Vec<Vec<&'a Column>> {
    let mut families: BTreeMap<(usize, Vec<String>), Vec<&Column>> = BTreeMap::new();
    for column in columns.iter().filter(|column| !twins.names.contains(&column.name)) {
        // A text on the judgement is none.
        let Some(rank) = rank(column).filter(|_| !(column.speaks() && column.open_ended)) else {
            continue;
        };
        let mut words = words(&column.name);
        words.retain(|word| word.parse::<u32>().is_err());
        families.entry((rank, words)).or_default().push(column);
    }
    families.into_values().collect()
}

fn listed(columns: &[&Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
    names.join(", ")
}

/// Whether ratings beside labels of 0 and 1 say that these are no index: that 1 stands for
/// the first candidate.
fn contradicted(columns: &Columns, twins: &Twins, names: &[String], reading: &Reading) -> bool {
    let Some(ratings) = ratings(columns, twins).filter(|_| *reading == Reading::Index) else {
        return false;
    };
    let disagrees = columns.share(|row| {
        let vote = reading.vote(&scalar(row.get(&names[0])?)?)?;
        Some(vote != Vote::For(higher(row, &ratings)?))
    });
    disagrees > 0.5
}

/// Two columns of numbers that rate the candidates.
fn ratings(columns: &Columns, twins: &Twins) -> Option<[String; 2]> {
    number_twins(columns, twins, RATINGS).next()
}

/// Two columns that mark the better candidate with 1 and the other with 0; in a tie both
/// are 0. Annotators that agree set both, so their columns are none of these.
fn marks(columns: &Columns, twins: &Twins) -> Option<[String; 2]> {
    number_twins(columns, twins, NAMES).find(|names| {
        let rows = |of: fn(f64, f64) -> bool| {
            columns.share(|row| Some(of(number(row, &names[0])?, number(row, &names[1])?)))
        };
        rows(|a, b| (a == 0.0 || a == 1.0) && (b == 0.0 || b == 1.0)) >= UNDERSTOOD
            && rows(|a, b| a == 1.0 && b == 1.0) == 0.0
            && rows(|a, b| a + b == 1.0) > 0.0
    })
}

/// Pairs of columns of numbers, one for each candidate, with one of the words in their names.
fn number_twins(
    columns: &Columns,
    twins: &Twins,
    wanted: &[&str],
) -> impl Iterator<Item = [String; 2]> {
    // In CSV a number is a short text.
    let short = |column: &&Column| !column.speaks() || column.mean_length() <= 24;
    let found = numbered(columns.iter().filter(short).map(|column| column.name.as_str()));
    let fits = |found: &Twins| {
        found.sides == twins.sides
            && words(&found.names[0]).iter().any(|word| wanted.contains(&word.as_str()))
            && found.names.iter().all(|name| {
                columns.share(|row| Some(number(row, name).is_some())) >= 0.5
                    && !twins.names.contains(name)
            })
    };
    let found: Vec<_> = found.into_iter().filter(fits).map(|found| found.names).collect();
    found.into_iter()
}

fn number(row: &Fields, name: &str) -> Option<f64> {
    match row.get(name)? {
        Value::Number(number) => number.as_f64(),
        Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// The candidate with the higher rating; `None` where they are equal or absent.
fn higher(row: &Fields, names: &[String; 2]) -> Option<Side> {
    let (first, second) = (number(row, &names[0])?, number(row, &names[1])?);
    if first > second { Some(Side::First) } else { (second > first).then_some(Side::Second) }
}

impl Reading {
    /// The reading of the columns of a family, decided over the whole file.
    fn find(family: &[&Column], twins: &Twins) -> Option<Self> {
        if family.iter().any(|column| column.open_ended || column.kind() == Kind::Boolean) {
            return None;
        }
        let mut values: BTreeMap<&str, usize> = BTreeMap::new();
        for (value, count) in family.iter().flat_map(|column| &column.values) {
            *values.entry(value).or_default() += count;
        }
        let all: usize = values.values().sum();
        let has = |value| values.get(value).is_some_and(|count| *count as f64 >= RARE * all as f64);
        let numbers = match (has("0"), has("1"), has("2"), twins.sides[0].as_str()) {
            (_, _, true, _) | (false, true, false, "1") => Some(Self::OneTwo),
            (true, true, false, _) | (true, false, false, "0") | (false, true, false, "0") => {
                Some(Self::Index)
            }
            // Nothing but 1, or nothing but 0, could mean either candidate.
            _ => None,
        };
        let names = Self::Name(twins.names.clone().map(|name| words(&name)));
        let understands = |reading: &Self| {
            let votes =
                values.iter().filter_map(|(value, count)| Some((reading.vote(value)?, *count)));
            let (votes, counts): (Vec<_>, Vec<_>) = votes.unzip();
            counts.iter().sum::<usize>() as f64 >= UNDERSTOOD * all as f64
                && votes.iter().any(|vote| *vote != Vote::Tie)
        };
        numbers.into_iter().chain([names]).find(understands)
    }

    fn describe(&self) -> &'static str {
        match self {
            Self::OneTwo => "1 or 2 names the better one, 0 a tie",
            Self::Index => "0 or 1 counts from the first",
            Self::IsFirst => "1 stands for the first and 0 for the second, as the ratings show",
            Self::Name(_) => "by name, or “tie”",
        }
    }

    /// What a normalised value says; `None` where it is none of the vocabulary.
    fn vote(&self, value: &str) -> Option<Vote> {
        use Vote::{For, Tie};
        if says_tie(value) {
            return Some(Tie);
        }
        match (self, value) {
            (Self::OneTwo, "0") => Some(Tie),
            (Self::OneTwo, "1") | (Self::Index, "0") | (Self::IsFirst, "1") => {
                Some(For(Side::First))
            }
            (Self::OneTwo, "2") | (Self::Index, "1") | (Self::IsFirst, "0") => {
                Some(For(Side::Second))
            }
            (Self::Name(names), _) => by_name(names, value).map(For),
            _ => None,
        }
    }
}

fn says_tie(value: &str) -> bool {
    value.starts_with("tie")
        || ["both", "neither", "equal", "draw", "same", "none", "no preference", "both_bad"]
            .contains(&value)
}

/// The candidate that a value names: `response_a`, `a`, `model_a` or `first`.
fn by_name(names: &[Vec<String>; 2], value: &str) -> Option<Side> {
    let value = words(value);
    let last = value.last().filter(|_| value.len() <= 3)?;
    let differ = names[0].iter().zip(&names[1]).find(|(a, b)| a != b)?;
    for (side, own, other) in [(Side::First, differ.0, "first"), (Side::Second, differ.1, "second")]
    {
        let letter = if side == Side::First { "a" } else { "b" };
        if value == names[side.index()] || last == own || last == other || *last == letter {
            return Some(side);
        }
    }
    None
}
