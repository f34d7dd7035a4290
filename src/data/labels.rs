//! Which of two candidates people preferred: the columns that say so. How their values say
//! it is a matter of `readings`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::columns::{Column, Columns};
use super::names::{Twins, numbered, words};
use super::pair::{Label, Side};
use super::readings::{Guess, Reading, normalised};
use super::report::BadReason;
use super::row::Fields;
use super::values::{self, Bad, Kind, describe, excerpt, scalar};
use super::vote::Vote;

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
    "prefers",
    "wins",
    "win",
    "probability",
    "prob",
    "likert",
    "comparison",
];

/// Words in the names of columns about a judgement that are none.
const ABOUT: &[&str] = &[
    "confidence",
    "margin",
    "agreement",
    "certainty",
    "weight",
    "reason",
    "time",
    "date",
    "source",
    "model",
    "count",
    "num",
    "number",
    "strength",
    "degree",
    "intensity",
];

/// Words in the names of columns that rate both candidates.
const RATINGS: &[&str] =
    &["score", "scores", "rating", "ratings", "votes", "reward", "rewards", "grade", "points"];
/// Words in the names of columns that rank them: the lower is better.
const RANKS: &[&str] = &["rank", "ranking", "place"];

/// Share of the rows on which marks must be marks.
const UNDERSTOOD: f64 = 0.9;

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
    /// What is not certain about it, or why there are none.
    pub(super) note: Option<String>,
}

#[derive(Clone, Debug)]
enum Source {
    /// One column for each annotator.
    Votes(Vec<String>, Reading),
    /// One number for each candidate; the higher is better, or the lower.
    Ratings([String; 2], bool),
    /// A column that repeats what stands in one of two others: the better response, or the name
    /// of its model.
    Repeats(String, [String; 2]),
    Nobody,
}

impl Labels {
    /// Find the label columns for two candidates, by their names and values; a person may have
    /// said what the values mean.
    pub(super) fn find(columns: &Columns, twins: &Twins, reading: Option<&Reading>) -> Self {
        let families = families(columns, twins);
        if let (Some(reading), Some([column])) = (reading, families.first().map(Vec::as_slice)) {
            return Self::mapped(columns, twins, column, Some(reading.clone()));
        }
        if let Some(marks) = marks(columns, twins) {
            let says =
                format!("labels in `{}` and `{}` (1 marks the better one)", marks[0], marks[1]);
            return Self::certain(Source::Ratings(marks, false), says);
        }
        if let Some((name, of)) = repeats(columns, twins) {
            let says = format!("labels in `{name}`, which repeats `{}` or `{}`", of[0], of[1]);
            return Self::certain(Source::Repeats(name, of), says);
        }
        let mut reasons = Vec::new();
        let mut doubtful = None;
        for family in &families {
            match read(columns, twins, family) {
                Ok((labels, true)) => return labels,
                Ok((labels, false)) => doubtful = doubtful.or(Some(labels)),
                Err(reason) => reasons.push(format!("{} ({reason})", listed(family))),
            }
        }
        if let Some(labels) = doubtful {
            return labels;
        }
        let stated = || Some((number_twins(columns, twins, &["preference"]).next()?, false));
        if let Some((ratings, lower)) = ratings(columns, twins).or_else(stated) {
            let better = if lower { "lower" } else { "higher" };
            let says = format!("labels from the {better} of `{}` and `{}`", ratings[0], ratings[1]);
            return Self::certain(Source::Ratings(ratings, lower), says);
        }
        Self::nobody(&reasons)
    }

    /// The column that a person named, read as they said, or as its values say.
    pub(super) fn mapped(
        columns: &Columns,
        twins: &Twins,
        column: &Column,
        reading: Option<Reading>,
    ) -> Self {
        let label = &column.name;
        let names = vec![label.clone()];
        if let Some(reading) = reading {
            let says = format!("labels in `{label}` ({})", reading.describe());
            let says = with_example(columns, twins, says, &names, &reading);
            return Self::certain(Source::Votes(names, reading), says);
        }
        if let Some(of) = repeated_by(columns, twins, column) {
            let says = format!("labels in `{label}`, which repeats `{}` or `{}`", of[0], of[1]);
            return Self::certain(Source::Repeats(label.clone(), of), says);
        }
        match read(columns, twins, &[column]) {
            Ok((labels, _)) => labels,
            Err(reason) => Self::nobody(&[format!("`{label}` ({reason})")]),
        }
    }

    fn certain(source: Source, says: String) -> Self {
        Self { source, says, note: None }
    }

    fn nobody(reasons: &[String]) -> Self {
        if reasons.is_empty() {
            return Self::certain(Source::Nobody, "no labels".to_owned());
        }
        let says = format!("no labels: those in {} cannot be read", reasons.join(", "));
        let note = format!("{says}; say how with data.columns.label and data.columns.reading");
        Self { source: Source::Nobody, says, note: Some(note) }
    }

    /// The columns that are read.
    pub(super) fn columns(&self) -> Vec<String> {
        match &self.source {
            Source::Votes(names, _) => names.clone(),
            Source::Ratings(names, _) => names.to_vec(),
            Source::Repeats(name, of) => [std::slice::from_ref(name), &of[..]].concat(),
            Source::Nobody => Vec::new(),
        }
    }

    /// What a row's annotators say together.
    pub(super) fn verdict(&self, row: &Fields) -> Result<Verdict, Bad> {
        match &self.source {
            Source::Nobody => Ok(Verdict::Unlabelled),
            Source::Votes(names, reading) => votes(row, names, reading),
            Source::Ratings(names, lower) => {
                let [Some(first), Some(second)] = names.each_ref().map(|name| number(row, name))
                else {
                    return Ok(Verdict::Unlabelled);
                };
                let label = higher(first, second, *lower).map(|preferred| {
                    let margin = Some((first - second).abs() as f32);
                    Label { margin, ..Label::certain(preferred) }
                });
                Ok(label.map_or(Verdict::Tie, Verdict::Preferred))
            }
            Source::Repeats(name, of) => match row.get(name) {
                None | Some(Value::Null) => Ok(Verdict::Unlabelled),
                Some(value) => match repeated(row, value, of) {
                    Some(side) => Ok(Verdict::Preferred(Label::certain(side))),
                    None if tie_word(value) => Ok(Verdict::Tie),
                    None => Err(unknown(
                        name,
                        value,
                        &format!("what stands in `{}` or `{}`", of[0], of[1]),
                    )),
                },
            },
        }
    }
}

fn unknown(name: &str, value: &Value, expected: &str) -> Bad {
    let detail = format!("`{name}` holds {}; expected {expected}", describe(value));
    Bad::new(BadReason::UnknownLabel, detail)
}

fn tie_word(value: &Value) -> bool {
    let tie = Reading::Values([String::new(), String::new()], None);
    scalar(value).is_some_and(|text| tie.vote(&text) == Some(Vote::Tie))
}

fn votes(row: &Fields, names: &[String], reading: &Reading) -> Result<Verdict, Bad> {
    let mut all = Vec::with_capacity(names.len());
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
            Some(Vote::Nothing) => {}
            Some(vote) => all.push(vote),
            None => return Err(unknown(name, value, &reading.describe())),
        }
    }
    Ok(majority(&all))
}

/// The verdict of votes for the first, for the second and for a tie.
fn majority(votes: &[Vote]) -> Verdict {
    match votes {
        [] => Verdict::Unlabelled,
        [Vote::For(preferred, agreement, margin)] => {
            let (preferred, agreement, margin) = (*preferred, *agreement, *margin);
            Verdict::Preferred(Label { preferred, agreement, margin })
        }
        votes => {
            let count = |side| votes.iter().filter(|vote| vote.side() == side).count();
            let [first, second] = [Side::First, Side::Second].map(|side| count(Some(side)));
            let (preferred, votes_for) =
                if first > second { (Side::First, first) } else { (Side::Second, second) };
            if first == second || votes_for <= count(None) {
                return Verdict::Tie;
            }
            let agreement = votes_for as f32 / votes.len() as f32;
            Verdict::Preferred(Label { agreement, ..Label::certain(preferred) })
        }
    }
}

/// Read a family of columns: the labels, and whether that is certain; or why they are none.
fn read(columns: &Columns, twins: &Twins, family: &[&Column]) -> Result<(Labels, bool), String> {
    if family.iter().any(|column| column.open_ended) {
        return Err("they are texts".to_owned());
    }
    let mut values: BTreeMap<&str, usize> = BTreeMap::new();
    for (value, count) in family.iter().flat_map(|column| &column.values) {
        *values.entry(value).or_default() += count;
    }
    let name = family.first().map_or("", |column| column.name.as_str());
    let Guess { mut reading, mut doubt } = Reading::find(&values, name, twins)?;
    let names: Vec<_> = family.iter().map(|column| column.name.clone()).collect();
    let mut shown = "";
    if reading.is_numeric()
        && let Some(agrees) = rated_alike(columns, twins, &names, &reading)
    {
        if !agrees {
            reading = reading.reversed();
        }
        (doubt, shown) = (None, ", as the ratings show");
    }
    let majority = if names.len() > 1 { ", by majority" } else { "" };
    let says = format!("labels in {} ({}{shown}{majority})", listed(family), reading.describe());
    let says = with_example(columns, twins, says, &names, &reading);
    let note = doubt.map(|doubt| {
        format!("how {} is read is a guess ({}), as {doubt}; if it is wrong, say what it means with data.columns.label and data.columns.reading", listed(family), reading.describe())
    });
    let certain = note.is_none();
    Ok((Labels { source: Source::Votes(names, reading), says, note }, certain))
}

/// The reading shown on the first row that prefers one.
fn with_example(
    columns: &Columns,
    twins: &Twins,
    says: String,
    names: &[String],
    reading: &Reading,
) -> String {
    let example = columns.rows.iter().find_map(|row| {
        let value = row.fields.get(names.first()?)?;
        let side = reading.vote(&scalar(value)?)?.side()?;
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), |text| format!("“{}”", excerpt(text.trim())));
        Some(format!("; {value} in line {} prefers `{}`", row.line, twins.names[side.index()]))
    });
    says + &example.unwrap_or_default()
}

/// How much a column's name sounds like a label; less is more.
fn rank(column: &Column) -> Option<usize> {
    let words = words(&column.name);
    let has = |name: &str| words.iter().any(|word| word == name);
    // An index of the better one, not of the annotator.
    let id = has("id")
        && !["better", "preferred", "chosen", "winner", "best", "safer", "selected"]
            .iter()
            .any(|name| has(name));
    let signed = column.values.keys().any(|value| value.starts_with('-'));
    let about = ABOUT.iter().any(|name| has(name)) && !(has("strength") && signed);
    // What says the same in a sentence comes last.
    let place = |at| at + if has("statement") { NAMES.len() } else { 0 };
    NAMES.iter().position(|name| has(name)).filter(|_| !id && !about).map(place)
}

/// Columns that sound like labels, best first; annotators of one question stand together.
fn families<'a>(columns: &'a Columns, twins: &Twins) -> Vec<Vec<&'a Column>> {
    let mut families: BTreeMap<(usize, Vec<String>), Vec<&Column>> = BTreeMap::new();
    for column in columns.iter().filter(|column| !twins.names.contains(&column.name)) {
        // A text on the judgement is none.
        let Some(rank) = rank(column).filter(|_| !(column.speaks() && column.open_ended)) else {
            continue;
        };
        if column.values.is_empty() {
            continue;
        }
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

/// Whether ratings of both candidates bear a reading of numbers out; `None` without any.
fn rated_alike(
    columns: &Columns,
    twins: &Twins,
    names: &[String],
    reading: &Reading,
) -> Option<bool> {
    let (ratings, lower) = ratings(columns, twins)?;
    let verdict = |row: &Fields| {
        let vote = reading.vote(&scalar(row.get(&names[0])?)?)?.side()?;
        let [first, second] = ratings.each_ref().map(|name| number(row, name));
        Some(vote == higher(first?, second?, lower)?)
    };
    let known = columns.rows.iter().filter(|row| verdict(&row.fields).is_some()).count();
    let share = columns.share(verdict);
    // Neither bears it out nor speaks against it: they rate something else.
    (known > 0 && !(0.25..=0.75).contains(&share)).then_some(share > 0.5)
}

/// Two columns of numbers that rate or rank the candidates, and whether the lower is better.
fn ratings(columns: &Columns, twins: &Twins) -> Option<([String; 2], bool)> {
    let of = |words, lower| Some((number_twins(columns, twins, words).next()?, lower));
    of(RATINGS, false).or_else(|| of(RANKS, true))
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

/// Pairs of columns of numbers, one for each candidate, with one of the words in their names;
/// those with the fewest words first.
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
    let mut found: Vec<_> = found.into_iter().filter(fits).map(|found| found.names).collect();
    found.sort_by_key(|names| words(&names[0]).len());
    found.into_iter()
}

/// A column that sounds like a label and repeats what stands beside one of the candidates.
fn repeats(columns: &Columns, twins: &Twins) -> Option<(String, [String; 2])> {
    let named = columns.iter().filter(|column| {
        words(&column.name).iter().any(|word| NAMES.contains(&word.as_str()))
            && !twins.names.contains(&column.name)
    });
    let mut found = named
        .filter_map(|column| Some((column.name.clone(), repeated_by(columns, twins, column)?)));
    found.next()
}

/// The columns beside the candidates of which a column repeats one in each row.
fn repeated_by(columns: &Columns, twins: &Twins, column: &Column) -> Option<[String; 2]> {
    if column.kind() != Kind::Text {
        return None;
    }
    let texts = columns.iter().filter(|other| other.kind() == Kind::Text);
    let beside = numbered(texts.map(|other| other.name.as_str()));
    let mut beside = beside.into_iter().filter(|beside| {
        // `winner_model_b` beside `winner_model_a` is no companion of itself.
        beside.sides == twins.sides && !beside.names.contains(&column.name)
    });
    let found = beside.find(|beside| {
        let share = |row: &Fields| {
            let value = row.get(&column.name).filter(|value| !values::is_empty(value))?;
            if tie_word(value) {
                return None;
            }
            Some(repeated(row, value, &beside.names).is_some())
        };
        columns.share(share) >= UNDERSTOOD
    });
    found.map(|beside| beside.names)
}

/// Which of two columns a value repeats, if one and not the other.
fn repeated(row: &Fields, value: &Value, of: &[String; 2]) -> Option<Side> {
    let text = normalised(value.as_str()?);
    let same =
        |name: &String| row.get(name).and_then(Value::as_str).map(normalised) == Some(text.clone());
    match [same(&of[0]), same(&of[1])] {
        [true, false] => Some(Side::First),
        [false, true] => Some(Side::Second),
        _ => None,
    }
}

fn number(row: &Fields, name: &str) -> Option<f64> {
    values::number(row.get(name)?)
}

/// The better rating; `None` where they are equal.
fn higher(first: f64, second: f64, lower_is_better: bool) -> Option<Side> {
    let (first, second) = if lower_is_better { (second, first) } else { (first, second) };
    if first > second { Some(Side::First) } else { (second > first).then_some(Side::Second) }
}
