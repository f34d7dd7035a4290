//! How the values of a label column say which of two candidates is better.
//!
//! A value is read by its whole text or not at all: what holds a word or a sign that nobody
//! reads, or names both candidates, is no label. A number is never a name.

use std::collections::BTreeMap;

use super::names::{Twins, words};
use super::pair::Side;
use super::vote::{Vote, number};
use super::wording::{ends_like_a_name, named, says_nothing, says_tie};

/// Share of a column's values that a reading must understand; the rest are bad rows.
const UNDERSTOOD: f64 = 0.9;
/// A value that is rarer than this is an error, not a part of the column's vocabulary; so is
/// none that occurs [`OFTEN`] times.
const RARE: f64 = 0.005;
const OFTEN: usize = 3;
/// The widest scale of whole numbers that people are asked to answer on.
const WIDEST: f64 = 10.0;

/// How values name a candidate.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reading {
    /// One value for the first, one for the second, perhaps one for a tie.
    Values([String; 2], Option<String>),
    /// Numbers from the first to the second; the middle is a tie.
    Scale(f64, f64),
    /// As a scale, whose ends stand for certainty: from 0 to 1, the probability of the second.
    Probability(f64, f64),
    /// The candidates' names, or the part of them in which they differ, or a comparison of both.
    Names(Box<Twins>),
}

/// A reading with what else the values could mean, where that is not certain.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Guess {
    pub(super) reading: Reading,
    pub(super) doubt: Option<&'static str>,
}

/// The distinct values of a column, normalised, with their counts.
pub(super) type Values<'a> = BTreeMap<&'a str, usize>;

impl Reading {
    /// What a person says of it: `1/2`, `A/B/tie`, `1..7`, `-3..3`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().to_lowercase();
        let wrong = || {
            Err(format!(
                "reading = “{text}”; expected the values for the first, the second and perhaps a tie (1/2/0, A/B), or a scale from the first to the second (1..7, -3..3, 0..1)"
            ))
        };
        if let Some((from, to)) = text.split_once("..") {
            return match (number(from), number(to)) {
                (Some(from), Some(to)) if from != to => Ok(match (from, to) {
                    (0.0, 1.0) | (1.0, 0.0) => Self::Probability(from, to),
                    _ => Self::Scale(from, to),
                }),
                _ => wrong(),
            };
        }
        let values: Vec<String> = text.split('/').map(normalised).collect();
        match values.as_slice() {
            [first, second] if first != second => {
                Ok(Self::Values([first.clone(), second.clone()], None))
            }
            [first, second, tie] if first != second && tie != first && tie != second => {
                Ok(Self::Values([first.clone(), second.clone()], Some(tie.clone())))
            }
            _ => wrong(),
        }
    }

    /// The reading of a column's values, decided over the whole file; or why there is none.
    pub(super) fn find(values: &Values, column: &str, twins: &Twins) -> Result<Guess, String> {
        let all: usize = values.values().sum();
        if all == 0 {
            return Err("there are no values".to_owned());
        }
        let worded = values.iter().filter(|(value, _)| {
            number(value).is_none() && !says_tie(value) && !says_nothing(value)
        });
        let (words, counts): (Vec<&str>, Vec<usize>) = worded.unzip();
        let numbers = || values.iter().filter_map(|(v, count)| Some((number(v)?, *count)));
        let guess = if numbers().map(|(_, count)| count).sum::<usize>() > counts.iter().sum() {
            let common = numbers().filter(|(_, count)| is_common(*count, all));
            let numbers: Vec<f64> = common.map(|(number, _)| number).collect();
            let widest = values.keys().filter_map(|value| number(value)).map(f64::abs);
            numeric(&numbers, widest.fold(0.0, f64::max), column, twins)?
        } else if words.is_empty() {
            return Err("no value is a judgement".to_owned());
        } else if let Some([yes, no]) = yes_and_no(&words) {
            let pair = match side_in(column, twins) {
                Some(Side::First) => [yes, no],
                Some(Side::Second) => [no, yes],
                None => {
                    return Err(format!(
                        "{yes} and {no} could mean either; say so with reading = {yes}/{no} or {no}/{yes}"
                    ));
                }
            };
            Guess { reading: Self::Values(pair.map(str::to_owned), None), doubt: None }
        } else {
            Guess { reading: Self::Names(Box::new(twins.clone())), doubt: None }
        };
        guess.reading.fits(values, all)?;
        Ok(guess)
    }

    /// Whether a reading understands a column's values, and finds a preference among them.
    fn fits(&self, values: &Values, all: usize) -> Result<(), String> {
        let known = |value: &str| self.vote(value);
        let read: usize =
            values.iter().filter(|(value, _)| known(value).is_some()).map(|(_, n)| n).sum();
        let strange = values.iter().filter(|(value, count)| {
            // A value of the vocabulary that this reading does not know, and that would change
            // it: a third number, a third candidate.
            is_common(**count, all)
                && known(value).is_none()
                && (number(value).is_some()
                    || value.split_whitespace().count() <= 2 && ends_like_a_name(value))
        });
        if let Some((value, _)) = strange.max_by_key(|(_, count)| **count) {
            return Err(format!("“{value}” names neither candidate"));
        }
        if (read as f64) < UNDERSTOOD * all as f64 {
            let unread = values.iter().filter(|(value, _)| known(value).is_none());
            let value = unread.max_by_key(|(_, count)| **count).map_or("", |(value, _)| value);
            return Err(format!("“{value}” names neither candidate"));
        }
        let prefers =
            |(value, _): (&&str, &usize)| known(value).is_some_and(|v| v.side().is_some());
        if values.iter().any(prefers) { Ok(()) } else { Err("no value prefers either".to_owned()) }
    }

    /// The same with first and second changed about.
    pub(super) fn reversed(self) -> Self {
        match self {
            Self::Values([first, second], tie) => Self::Values([second, first], tie),
            Self::Scale(from, to) => Self::Scale(to, from),
            Self::Probability(from, to) => Self::Probability(to, from),
            names @ Self::Names(_) => names,
        }
    }

    /// Whether it reads numbers, of which the file does not say what they mean.
    pub(super) fn is_numeric(&self) -> bool {
        !matches!(self, Self::Names(_))
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Values([first, second], tie) => {
                let tie = tie.as_ref().map(|tie| format!(", {tie} is a tie")).unwrap_or_default();
                format!("{first} or {second} names the better one{tie}")
            }
            Self::Scale(from, to) => {
                let middle = (from + to) / 2.0;
                let [low, high] = if from < to { ["first", "second"] } else { ["second", "first"] };
                format!(
                    "from {} to {}: below {middle} the {low} is better, above it the {high}, at {middle} a tie",
                    from.min(*to),
                    from.max(*to)
                )
            }
            Self::Probability(from, to) => {
                let side = if from < to { "second" } else { "first" };
                let (low, high) = (from.min(*to), from.max(*to));
                format!("from {low} to {high} the probability that the {side} is better")
            }
            Self::Names(_) => "by name or comparison, or “tie”".to_owned(),
        }
    }

    /// What a normalised value says; `None` where it is none of the vocabulary.
    pub(super) fn vote(&self, value: &str) -> Option<Vote> {
        if let Self::Values([first, second], tie) = self {
            let is = |known: &str| {
                known == value || number(known).is_some_and(|known| Some(known) == number(value))
            };
            return if is(first) {
                Some(Vote::sure(Side::First))
            } else if is(second) {
                Some(Vote::sure(Side::Second))
            } else if tie.as_deref().is_some_and(is) || says_tie(value) {
                Some(Vote::Tie)
            } else {
                says_nothing(value).then_some(Vote::Nothing)
            };
        }
        if says_nothing(value) {
            return Some(Vote::Nothing);
        }
        match self {
            Self::Values(..) => None,
            _ if says_tie(value) => Some(Vote::Tie),
            Self::Scale(from, to) => on_scale(number(value)?, *from, *to),
            Self::Probability(from, to) => {
                let value = number(value)?;
                let second = (value - from) / (to - from);
                Some(match on_scale(value, *from, *to)? {
                    Vote::For(side, _, _) => Vote::For(side, second.max(1.0 - second) as f32, None),
                    other => other,
                })
            }
            Self::Names(twins) => named(twins, value),
        }
    }
}

/// Whether a value occurs too often to be a slip.
fn is_common(count: usize, all: usize) -> bool {
    count >= OFTEN || count as f64 >= RARE * all as f64
}

/// The two words of a column of booleans.
fn yes_and_no(words: &[&str]) -> Option<[&'static str; 2]> {
    [["true", "false"], ["yes", "no"]]
        .into_iter()
        .find(|pair| words.iter().all(|word| pair.contains(word)))
}

/// What a number on a scale says; nothing beyond its ends.
fn on_scale(value: f64, from: f64, to: f64) -> Option<Vote> {
    let (low, high) = (from.min(to), from.max(to));
    if !(low..=high).contains(&value) {
        return None;
    }
    let distance = (value - (from + to) / 2.0) * (to - from).signum();
    let strength = Some(distance.abs() as f32);
    Some(if distance < 0.0 {
        Vote::For(Side::First, 1.0, strength)
    } else if distance > 0.0 {
        Vote::For(Side::Second, 1.0, strength)
    } else {
        Vote::Tie
    })
}

/// A value in the spelling in which columns keep theirs.
pub(super) fn normalised(text: &str) -> String {
    let text = text.trim().to_lowercase();
    text.strip_suffix(".0").filter(|whole| number(whole).is_some()).unwrap_or(&text).to_owned()
}

const DIRECTION: &str = "that a negative number stands for the first is a convention";
const SCALE: &str = "the ends of the scale are those that occur, and that low numbers stand for the first is a convention";
const INDEX: &str = "1 could also stand for the first";
const SOFT: &str = "a probability could be that of either";
const ONE_TWO: &str = "on a longer scale both could mean the first";
const TIE: &str = "the number beside the two is taken for a tie";

/// The reading of the numbers that occur in a column.
fn numeric(numbers: &[f64], widest: f64, column: &str, twins: &Twins) -> Result<Guess, String> {
    let guess = |reading, doubt| Ok(Guess { reading, doubt });
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if numbers.is_empty() {
        return Err("no number occurs often enough to tell what it means".to_owned());
    }
    if least < 0.0 {
        return signed(numbers, widest, column, twins);
    }
    let (named, base) = (side_in(column, twins), twins.sides[0].as_str());
    if numbers.iter().any(|number| number.fract() != 0.0) {
        return match named {
            Some(Side::First) if most <= 1.0 => guess(Reading::Probability(1.0, 0.0), None),
            Some(Side::Second) if most <= 1.0 => guess(Reading::Probability(0.0, 1.0), None),
            // As 1 names the candidate 1, a number near 1 is for it.
            None if most <= 1.0 && base == "0" => guess(Reading::Probability(0.0, 1.0), Some(SOFT)),
            // AlpacaEval's: 1 is surely the first, 2 surely the second.
            None if least >= 1.0 && most <= 2.0 && base == "1" => {
                guess(Reading::Probability(1.0, 2.0), None)
            }
            None if most <= 1.0 => Err("numbers from 0 to 1 could be the probability of either; say so with reading = 0..1 (that the second is better) or 1..0 (the first)".to_owned()),
            _ => Err("fractions without a known scale; say it with reading = 1..5, for instance".to_owned()),
        };
    }
    let pair = |a: &str, b: &str, tie: Option<&str>| {
        Reading::Values([a.to_owned(), b.to_owned()], tie.map(str::to_owned))
    };
    let has = |number: f64| numbers.contains(&number);
    let only = |known: &[f64]| numbers.iter().all(|number| known.contains(number));
    if let (Some(side), true) = (named, only(&[0.0, 1.0])) {
        return match side {
            Side::First => guess(pair("1", "0", None), None),
            Side::Second => guess(pair("0", "1", None), None),
        };
    }
    if named.is_some() {
        return Err("it rates one of the two".to_owned());
    }
    match base {
        "0" if only(&[0.0, 1.0]) => guess(pair("0", "1", None), None),
        "0" if only(&[0.0, 1.0, 2.0]) && has(0.0) && has(1.0) => {
            guess(pair("0", "1", Some("2")), Some(TIE))
        }
        "0" if only(&[1.0, 2.0]) => {
            Err("1 and 2 where the candidates are 0 and 1; say which is which with reading = 1/2"
                .to_owned())
        }
        "1" if only(&[1.0, 2.0]) || (only(&[0.0, 1.0, 2.0]) && has(2.0)) => {
            guess(pair("1", "2", Some("0")), None)
        }
        _ if only(&[0.0, 1.0]) && has(0.0) && has(1.0) => guess(pair("0", "1", None), Some(INDEX)),
        _ if only(&[0.0, 1.0]) => {
            Err(format!("nothing but {least}, which could mean either; say so with reading"))
        }
        _ if only(&[1.0, 2.0]) => guess(pair("1", "2", Some("0")), Some(ONE_TWO)),
        _ if only(&[0.0, 1.0, 2.0]) => guess(pair("1", "2", Some("0")), Some(TIE)),
        _ if most == 3.0 => Err(
            "numbers up to 3 could be a scale, or 3 a tie; say so with reading = 1..3, or 1/2/3"
                .to_owned(),
        ),
        _ if (4.0..=WIDEST).contains(&most) => {
            let low = if has(0.0) { 0.0 } else { 1.0 };
            guess(Reading::Scale(low, most), Some(SCALE))
        }
        _ => Err(format!("numbers up to {most} are no scale that is known; say it with reading")),
    }
}

/// The reading of numbers of which some are below 0: a strength, unless −1 stands for no answer.
fn signed(numbers: &[f64], widest: f64, column: &str, twins: &Twins) -> Result<Guess, String> {
    let has = |number: f64| numbers.contains(&number);
    let only = |known: &[f64]| numbers.iter().all(|number| known.contains(number));
    let scale = words(column).iter().any(|word| SCALES.contains(&word.as_str()));
    if twins.sides[0] == "0" && only(&[-1.0, 0.0, 1.0]) && has(0.0) && has(1.0) && !scale {
        let reading = Reading::Values(["0".to_owned(), "1".to_owned()], Some("-1".to_owned()));
        return Ok(Guess { reading, doubt: Some(TIE) });
    }
    if only(&[-1.0, 0.0, 1.0, 2.0]) && has(2.0) && !scale {
        return Err(
            "-1 beside 1 and 2 could be a scale, or no answer; say so with reading = -2..2, or 1/2"
                .to_owned(),
        );
    }
    // −1 and 1 are often the outcome for the first; a strength has more steps.
    let doubt = (widest <= 1.0).then_some(DIRECTION);
    Ok(Guess { reading: Reading::Scale(-widest, widest), doubt })
}

/// Words in the names of columns that hold a strength.
const SCALES: &[&str] = &["strength", "overall", "scale", "degree", "likert", "magnitude"];

/// The one candidate that the name of a column names, as `a_is_better` or `prob_b` do.
fn side_in(column: &str, twins: &Twins) -> Option<Side> {
    let words = words(column);
    let has = |side: &str| words.iter().any(|word| word == side);
    // A number in a name counts columns.
    let named = |side: &str| side.parse::<u32>().is_err() && has(side);
    let rated = ["better", "preferred", "prefers", "wins", "won", "prob", "probability", "p"];
    let numbered =
        |side: &str| side.parse::<u32>().is_ok() && has(side) && rated.iter().any(|word| has(word));
    match twins.sides.each_ref().map(|side| named(side) || numbered(side)) {
        [true, false] => Some(Side::First),
        [false, true] => Some(Side::Second),
        _ => None,
    }
}
