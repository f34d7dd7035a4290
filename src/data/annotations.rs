//! What the annotator said of each pair, as a Parquet table that other programs read too.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::containers::check_pages;
use super::error::Fault;
use super::limits::Budget;
use super::{DataError, Side};

/// A pair with what the annotator says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnotatedPair {
    /// The pair's place among all that the run has read; unknown in tables of 0.1.0.
    pub pair: Option<u64>,
    /// `unlabelled`, `held_out`, or `calibration` where something is fitted.
    pub split: String,
    /// The prompt as text.
    pub prompt: String,
    /// First and second response.
    pub responses: [String; 2],
    /// Which of them a human preferred, if known.
    pub human: Option<Side>,
    /// The annotator's scores of both; where it says a margin or a probability, the other one's is 0.
    pub scores: [f32; 2],
    /// The weak label: see [`weak_label`].
    pub label: Side,
    /// d ≥ 0, how much better the preferred one is: |s₁ − s₂| where both have scores.
    pub margin: f64,
    /// What else the annotator says, by name: a spread, the scores of another one.
    pub columns: BTreeMap<String, f64>,
}

/// The response with the higher score. Between equal ones `coin` decides, and not their order,
/// which in many files is the human's choice.
pub fn weak_label<S: PartialOrd + Copy>(scores: [S; 2], coin: impl FnOnce() -> Side) -> Side {
    match scores[0].partial_cmp(&scores[1]) {
        Some(Ordering::Greater) => Side::First,
        Some(Ordering::Less) => Side::Second,
        _ => coin(),
    }
}

impl AnnotatedPair {
    /// The response that the weak label prefers.
    pub fn chosen(&self) -> &str {
        &self.responses[self.label.index()]
    }

    /// The other response.
    pub fn rejected(&self) -> &str {
        &self.responses[self.label.other().index()]
    }

    /// Whether a human agrees with the annotator; a tie agrees with nobody, whatever the coin says.
    /// `None` where no human spoke.
    pub fn agrees(&self) -> Option<bool> {
        // A gate may distrust a label that the annotator was sure of.
        let stated = self.columns.get(STATED_MARGIN).copied().unwrap_or(self.margin);
        self.human.map(|side| side == self.label && stated > 0.0)
    }

    /// The margin, below 0 where a human prefers the other response. `None` where no human spoke.
    pub fn signed_margin(&self) -> Option<f64> {
        self.human.map(|side| if side == self.label { self.margin } else { -self.margin })
    }
}

/// The column of the annotator's own margin, where something else stands in its place.
pub const STATED_MARGIN: &str = "stated_margin";

/// Where the values of a column come from.
enum Values<'a> {
    /// A text.
    Text(fn(&AnnotatedPair) -> &str),
    /// 1 or 2, 0 for unknown.
    Side(fn(&AnnotatedPair) -> Option<Side>),
    /// A number that every row has.
    Float(fn(&AnnotatedPair) -> f32),
    /// A number that a row may lack.
    Double(&'a dyn Fn(&AnnotatedPair) -> Option<f64>),
    /// A whole number that a row may lack.
    Whole(fn(&AnnotatedPair) -> Option<u64>),
}

/// The columns that every table has.
const COLUMNS: &[(&str, Values<'static>)] = &[
    ("pair", Values::Whole(|p| p.pair)),
    ("split", Values::Text(|p| &p.split)),
    ("prompt", Values::Text(|p| &p.prompt)),
    ("response_1", Values::Text(|p| &p.responses[0])),
    ("response_2", Values::Text(|p| &p.responses[1])),
    ("human", Values::Side(|p| p.human)),
    ("score_1", Values::Float(|p| p.scores[0])),
    ("score_2", Values::Float(|p| p.scores[1])),
    ("label", Values::Side(|p| Some(p.label))),
    ("margin", Values::Double(&|p| Some(p.margin))),
];

impl Values<'_> {
    fn column(&self, name: &str) -> Result<Type, ParquetError> {
        let (physical, converted, repetition) = match self {
            Self::Text(_) => (Physical::BYTE_ARRAY, ConvertedType::UTF8, Repetition::REQUIRED),
            Self::Side(_) => (Physical::INT32, ConvertedType::NONE, Repetition::REQUIRED),
            Self::Float(_) => (Physical::FLOAT, ConvertedType::NONE, Repetition::REQUIRED),
            Self::Double(_) => (Physical::DOUBLE, ConvertedType::NONE, Repetition::OPTIONAL),
            Self::Whole(_) => (Physical::INT64, ConvertedType::NONE, Repetition::OPTIONAL),
        };
        Type::primitive_type_builder(name, physical)
            .with_converted_type(converted)
            .with_repetition(repetition)
            .build()
    }

    fn write(
        &self,
        writer: &mut ColumnWriter<'_>,
        pairs: &[AnnotatedPair],
    ) -> Result<(), ParquetError> {
        match (self, writer) {
            (Self::Text(of), ColumnWriter::ByteArrayColumnWriter(w)) => {
                let texts: Vec<ByteArray> = pairs.iter().map(|p| ByteArray::from(of(p))).collect();
                w.write_batch(&texts, None, None)?;
            }
            (Self::Side(of), ColumnWriter::Int32ColumnWriter(w)) => {
                let sides: Vec<i32> = pairs.iter().map(|p| number(of(p))).collect();
                w.write_batch(&sides, None, None)?;
            }
            (Self::Float(of), ColumnWriter::FloatColumnWriter(w)) => {
                let numbers: Vec<f32> = pairs.iter().map(of).collect();
                w.write_batch(&numbers, None, None)?;
            }
            (Self::Double(of), ColumnWriter::DoubleColumnWriter(w)) => {
                let (known, there) = known(pairs.iter().map(of));
                w.write_batch(&known, Some(&there), None)?;
            }
            (Self::Whole(of), ColumnWriter::Int64ColumnWriter(w)) => {
                let whole = |p: &AnnotatedPair| of(p).and_then(|n| i64::try_from(n).ok());
                let (known, there) = known(pairs.iter().map(whole));
                w.write_batch(&known, Some(&there), None)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// The values that are there, and for each row whether it has one.
fn known<T>(values: impl Iterator<Item = Option<T>>) -> (Vec<T>, Vec<i16>) {
    let all: Vec<Option<T>> = values.collect();
    let there = all.iter().map(|value| i16::from(value.is_some())).collect();
    (all.into_iter().flatten().collect(), there)
}

fn number(side: Option<Side>) -> i32 {
    side.map_or(0, |side| side.index() as i32 + 1)
}

/// Write annotations: first under a temporary name, then renamed.
///
/// Columns: pair, split, prompt, response_1, response_2, human and label (1 or 2; 0: unknown),
/// score_1, score_2, margin, and those that the annotator names itself.
///
/// # Errors
///
/// The file cannot be written.
pub fn write_annotations(path: &Path, pairs: &[AnnotatedPair]) -> Result<(), DataError> {
    crate::files::write_with(path, |file| write_table(file, pairs).map_err(std::io::Error::other))
        .map_err(|source| DataError::Write { path: path.to_owned(), source })
}

fn write_table(
    file: &mut (impl Write + Send),
    pairs: &[AnnotatedPair],
) -> Result<(), ParquetError> {
    let own = |name: &str| !COLUMNS.iter().any(|(known, _)| *known == name);
    let more: BTreeSet<&str> = pairs
        .iter()
        .flat_map(|p| p.columns.keys())
        .map(String::as_str)
        .filter(|n| own(n))
        .collect();
    let read: Vec<_> = more
        .iter()
        .map(|name| move |pair: &AnnotatedPair| pair.columns.get(*name).copied())
        .collect();
    let more = more.iter().zip(&read).map(|(name, read)| (*name, Values::Double(read)));
    let more: Vec<(&str, Values<'_>)> = more.collect();
    let columns = || COLUMNS.iter().chain(&more);
    let fields: Result<Vec<_>, _> =
        columns().map(|(name, values)| values.column(name).map(Arc::new)).collect();
    let schema = Type::group_type_builder("annotations").with_fields(fields?).build()?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (_, values) in columns() {
        let Some(mut column) = group.next_column()? else { break };
        values.write(column.untyped(), pairs)?;
        column.close()?;
    }
    group.close()?;
    writer.close()?;
    Ok(())
}

/// Read what [`write_annotations`] wrote.
///
/// # Errors
///
/// The file is missing or damaged.
pub fn read_annotations(path: &Path) -> Result<Vec<AnnotatedPair>, DataError> {
    // The reader asserts what a damaged file need not keep.
    std::panic::catch_unwind(|| read_table(path)).unwrap_or_else(|_| {
        let found = "its Parquet data contradict themselves".to_owned();
        Err(DataError::Damaged { path: path.to_owned(), found })
    })
}

fn read_table(path: &Path) -> Result<Vec<AnnotatedPair>, DataError> {
    let damaged = |found: String| DataError::Damaged { path: path.to_owned(), found };
    let file = crate::input::open(path)
        .map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    let again =
        file.try_clone().map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    let length = again.metadata().map_or(0, |found| found.len());
    let most = length.saturating_mul(DENSEST).max(ANYWAY);
    let budget = Budget::of_memory(most);
    let too_much = |_| {
        damaged(format!(
            "its {length} bytes unpack to more than {} MiB, which no table of annotations does",
            most >> 20
        ))
    };
    let reader = SerializedFileReader::new(file).map_err(|e| damaged(e.to_string()))?;
    check_pages(&again, reader.metadata(), &budget).map_err(|fault| match fault {
        Fault::TooLarge(..) => too_much(fault),
        other => other.of(path.to_owned()),
    })?;
    let rows = reader.get_row_iter(None).map_err(|e| damaged(e.to_string()))?;
    rows.map(|row| {
        let row = row.map_err(|e| damaged(e.to_string()))?;
        let pair = from_row(&row).ok_or_else(|| {
            damaged("a row without the columns of an annotations table".to_owned())
        })?;
        budget.hold(pair.size()).map_err(too_much)?;
        Ok(pair)
    })
    .collect()
}

/// Bytes of memory for each byte of a table, at most. A row has some twenty bytes of numbers that hardly pack, so
/// that this is some 20 kB of texts in every row, however often they repeat.
const DENSEST: u64 = 1000;
/// What a table may take however small it is.
const ANYWAY: u64 = 256 << 20;

impl AnnotatedPair {
    /// Bytes of memory that it takes, about.
    fn size(&self) -> u64 {
        let [first, second] = &self.responses;
        let texts = [&self.split, &self.prompt, first, second].map(String::len);
        let columns = self.columns.keys().map(|name| name.len() + COLUMN);
        (size_of::<Self>() + texts.iter().sum::<usize>() + columns.sum::<usize>()) as u64
    }
}

/// What a column takes in a row, beside its name.
const COLUMN: usize = 64;

fn from_row(row: &Row) -> Option<AnnotatedPair> {
    let field =
        |name: &str| row.get_column_iter().find(|(n, _)| *n == name).map(|(_, field)| field);
    let text = |name: &str| match field(name)? {
        Field::Str(text) => Some(text.clone()),
        _ => None,
    };
    let float = |name: &str| match field(name)? {
        Field::Float(value) => Some(*value),
        _ => None,
    };
    let double = |field: &Field| match field {
        Field::Double(value) => Some(*value),
        _ => None,
    };
    let pair = match field("pair") {
        Some(Field::Long(pair)) => u64::try_from(*pair).ok(),
        _ => None,
    };
    let own = |name: &str| !COLUMNS.iter().any(|(known, _)| *known == name);
    let more = row.get_column_iter().filter(|(name, _)| own(name));
    let columns = more.filter_map(|(name, field)| Some((name.clone(), double(field)?))).collect();
    let side = |name: &str| match field(name) {
        Some(Field::Int(1)) => Some(Side::First),
        Some(Field::Int(2)) => Some(Side::Second),
        _ => None,
    };
    Some(AnnotatedPair {
        pair,
        split: text("split")?,
        prompt: text("prompt")?,
        responses: [text("response_1")?, text("response_2")?],
        human: side("human"),
        scores: [float("score_1")?, float("score_2")?],
        label: side("label")?,
        margin: field("margin").and_then(double).filter(|margin| *margin >= 0.0)?,
        columns,
    })
}
