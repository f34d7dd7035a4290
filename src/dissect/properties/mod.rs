//! Properties of a response that can be counted, each describing itself. One more is a line in one of the lists
//! here, and what it counts.

mod english;
mod form;
mod layout;
mod lexicon;
mod wording;

use super::reading::{Prompt, Reading};

/// Something that can be counted in a response.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// How reports spell it.
    pub name: &'static str,
    /// What a person calls it.
    pub title: &'static str,
    /// What is counted, in a sentence.
    pub summary: &'static str,
    /// How it enters a comparison.
    pub amount: Amount,
    /// How much of it there is.
    measure: fn(&Reading<'_>) -> f64,
}

/// How a property enters a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// A count n, as ln(1 + n): the tenth item says less than the first.
    Count,
    /// A share, a mean, a yes or no: as it is.
    Share,
}

impl Property {
    /// How much of it a response has: a count, a share from 0 to 1, or a mean.
    pub fn measure(&self, reading: &Reading<'_>) -> f64 {
        (self.measure)(reading)
    }

    /// The same as it is compared.
    pub fn amount(&self, reading: &Reading<'_>) -> f64 {
        match self.amount {
            Amount::Count => self.measure(reading).ln_1p(),
            Amount::Share => self.measure(reading),
        }
    }
}

/// All of them, in the order in which they are told.
pub fn properties() -> impl Iterator<Item = &'static Property> {
    [form::ALL, layout::ALL, wording::ALL, english::ALL].into_iter().flatten()
}

/// By how much the first of two responses has more of each property than the second, in the order of
/// [`properties`], and whether one of the texts was too long to be read whole.
pub fn differences(prompt: &str, responses: [&str; 2]) -> (Vec<f64>, bool) {
    let prompt = Prompt::new(prompt);
    let [first, second] = responses.map(|response| Reading::new(response, &prompt));
    let of = |property: &Property| property.amount(&first) - property.amount(&second);
    (properties().map(of).collect(), first.is_cut() || second.is_cut())
}

/// Something that is counted.
const fn count(
    name: &'static str,
    title: &'static str,
    summary: &'static str,
    measure: fn(&Reading<'_>) -> f64,
) -> Property {
    Property { name, title, summary, amount: Amount::Count, measure }
}

/// Something that is a share, a mean, a yes or no.
const fn share(
    name: &'static str,
    title: &'static str,
    summary: &'static str,
    measure: fn(&Reading<'_>) -> f64,
) -> Property {
    Property { name, title, summary, amount: Amount::Share, measure }
}

/// A part of a whole; 0 of nothing.
fn part(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}
