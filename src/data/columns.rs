//! What the columns of rows hold over a whole file.

use std::collections::BTreeMap;

use serde_json::Value;

use super::names::words;
use super::row::{Fields, Row};
use super::values::{Kind, length, scalar};

/// Longer texts are no labels, so their values are not collected.
const LABEL_LENGTH: usize = 64;
/// Columns with more distinct values are no labels.
const LABEL_VALUES: usize = 64;
/// Wider tables are not looked at beyond this, as comparing names is quadratic.
const WIDEST: usize = 512;

/// What one column holds over a whole file.
#[derive(Debug, Default)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// Rows that have it.
    pub(super) rows: usize,
    /// Rows by what they hold; null is not counted.
    kinds: BTreeMap<Kind, usize>,
    /// Bytes of text in all.
    length: usize,
    /// Its distinct short values, normalised, with their counts.
    pub(super) values: BTreeMap<String, usize>,
    /// Whether there are too many, or too long ones, to be labels.
    pub(super) open_ended: bool,
}

impl Column {
    fn add(&mut self, value: &Value) {
        self.rows += 1;
        let kind = Kind::of(value);
        if kind != Kind::Null {
            *self.kinds.entry(kind).or_default() += 1;
        }
        let length = length(value);
        self.length += length;
        self.open_ended |= length > LABEL_LENGTH;
        if self.open_ended {
            return;
        }
        if let Some(value) = scalar(value) {
            *self.values.entry(value).or_default() += 1;
            self.open_ended = self.values.len() > LABEL_VALUES;
        }
    }

    /// What most rows hold.
    pub(super) fn kind(&self) -> Kind {
        self.kinds.iter().max_by_key(|(_, count)| **count).map_or(Kind::Null, |(kind, _)| *kind)
    }

    /// Rows that hold something.
    pub(super) fn filled(&self) -> usize {
        self.kinds.values().sum()
    }

    /// Whether it can hold a response or a prompt: text or texts, a message or messages.
    pub(super) fn speaks(&self) -> bool {
        matches!(self.kind(), Kind::Text | Kind::Message | Kind::Messages | Kind::Texts)
    }

    /// Whether it holds more than the few short texts of a category, such as names of models.
    pub(super) fn is_varied(&self) -> bool {
        self.open_ended || 2 * self.values.len() > self.filled()
    }

    /// Mean bytes of text.
    pub(super) fn mean_length(&self) -> usize {
        self.length / self.rows.max(1)
    }
}

/// The columns of a file and its rows.
#[derive(Debug)]
pub(super) struct Columns<'a> {
    all: Vec<Column>,
    frequent: usize,
    /// The rows, for decisions that need to see them.
    pub(super) rows: &'a [Row],
}

impl<'a> Columns<'a> {
    /// Look at all rows.
    pub(super) fn of(rows: &'a [Row]) -> Self {
        let mut all: Vec<Column> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, value) in rows.iter().flat_map(|row| &row.fields) {
            let place = places.get(name.as_str()).copied().or_else(|| {
                (all.len() < WIDEST).then(|| {
                    all.push(Column { name: name.clone(), ..Column::default() });
                    places.insert(name, all.len() - 1);
                    all.len() - 1
                })
            });
            if let Some(place) = place {
                all[place].add(value);
            }
        }
        Self { all, frequent: rows.len().div_ceil(2), rows }
    }

    /// The same, with rare columns taken as seriously as frequent ones.
    pub(super) fn with_rare(self) -> Self {
        Self { frequent: 1, ..self }
    }

    /// Columns that at least half of the rows have, unless [`with_rare`](Self::with_rare).
    pub(super) fn iter(&self) -> impl Iterator<Item = &Column> {
        self.all.iter().filter(|column| column.rows >= self.frequent)
    }

    /// All columns, however rare.
    pub(super) fn every(&self) -> impl Iterator<Item = &Column> {
        self.all.iter()
    }

    /// Such columns that can hold a response or a prompt.
    pub(super) fn speaking(&self) -> impl Iterator<Item = &Column> {
        self.iter().filter(|column| column.speaks())
    }

    /// A column by its exact name, however rare.
    pub(super) fn get(&self, name: &str) -> Option<&Column> {
        self.all.iter().find(|column| column.name == name)
    }

    /// A frequent column whose name has exactly these words.
    pub(super) fn named(&self, name: &str) -> Option<&Column> {
        let wanted = words(name);
        self.iter().find(|column| words(&column.name) == wanted)
    }

    /// Share of the rows that satisfy a condition among those to which it applies.
    pub(super) fn share(&self, condition: impl Fn(&Fields) -> Option<bool>) -> f64 {
        self.share_of_some(self.rows.len(), condition)
    }

    /// The same over about so many rows from all of the file, where a look at one is dear.
    pub(super) fn share_of_some(
        &self,
        rows: usize,
        condition: impl Fn(&Fields) -> Option<bool>,
    ) -> f64 {
        let step = (self.rows.len() / rows.max(1)).max(1);
        let (mut yes, mut all) = (0_usize, 0_usize);
        let some = self.rows.iter().step_by(step);
        for answer in some.filter_map(|row| condition(&row.fields)) {
            all += 1;
            yes += usize::from(answer);
        }
        if all == 0 { 0.0 } else { yes as f64 / all as f64 }
    }
}
