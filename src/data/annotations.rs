//! What the annotator said of each pair, as a Parquet table that other programs read too.

use std::cmp::Ordering;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::{Field, Row};
use parquet::schema::parser::parse_message_type;

use super::{DataError, Side};

/// A pair with the annotator's scores.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnotatedPair {
    /// `unlabelled` or `held_out`.
    pub split: String,
    /// The prompt as text.
    pub prompt: String,
    /// First and second response.
    pub responses: [String; 2],
    /// Which of them a human preferred, if known.
    pub human: Option<Side>,
    /// The annotator's scores of both.
    pub scores: [f32; 2],
    /// The weak label: see [`weak_label`].
    pub label: Side,
}

/// The response with the higher score. Between equal ones `coin` decides, and not their order,
/// which in many files is the human's choice.
pub fn weak_label(scores: [f32; 2], coin: impl FnOnce() -> Side) -> Side {
    match scores[0].partial_cmp(&scores[1]) {
        Some(Ordering::Greater) => Side::First,
        Some(Ordering::Less) => Side::Second,
        _ => coin(),
    }
}

impl AnnotatedPair {
    /// d = |s₁ − s₂| ≥ 0.
    pub fn margin(&self) -> f64 {
        (f64::from(self.scores[0]) - f64::from(self.scores[1])).abs()
    }

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
        self.human.map(|side| side == self.label && self.margin() > 0.0)
    }
}

const SCHEMA: &str = "message annotations {
    required binary split (UTF8);
    required binary prompt (UTF8);
    required binary response_1 (UTF8);
    required binary response_2 (UTF8);
    required int32 human;
    required float score_1;
    required float score_2;
    required int32 label;
    required double margin;
}";

fn number(side: Option<Side>) -> i32 {
    side.map_or(0, |side| side.index() as i32 + 1)
}

/// Write annotations: first under a temporary name, then renamed.
///
/// Columns: split, prompt, response_1, response_2, human and label (1 or 2; 0: unknown),
/// score_1, score_2, margin.
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
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let mut index = 0;
    while let Some(mut column) = group.next_column()? {
        match column.untyped() {
            ColumnWriter::ByteArrayColumnWriter(w) => {
                let text = |p: &AnnotatedPair| match index {
                    0 => ByteArray::from(p.split.as_str()),
                    1 => ByteArray::from(p.prompt.as_str()),
                    2 => ByteArray::from(p.responses[0].as_str()),
                    _ => ByteArray::from(p.responses[1].as_str()),
                };
                w.write_batch(&pairs.iter().map(text).collect::<Vec<_>>(), None, None)?;
            }
            ColumnWriter::Int32ColumnWriter(w) => {
                let side = |p: &AnnotatedPair| {
                    if index == 4 { number(p.human) } else { number(Some(p.label)) }
                };
                w.write_batch(&pairs.iter().map(side).collect::<Vec<_>>(), None, None)?;
            }
            ColumnWriter::FloatColumnWriter(w) => {
                w.write_batch(
                    &pairs.iter().map(|p| p.scores[index - 5]).collect::<Vec<_>>(),
                    None,
                    None,
                )?;
            }
            ColumnWriter::DoubleColumnWriter(w) => {
                w.write_batch(
                    &pairs.iter().map(AnnotatedPair::margin).collect::<Vec<_>>(),
                    None,
                    None,
                )?;
            }
            _ => {}
        }
        column.close()?;
        index += 1;
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
    let reader = SerializedFileReader::new(file).map_err(|e| damaged(e.to_string()))?;
    let rows = reader.get_row_iter(None).map_err(|e| damaged(e.to_string()))?;
    rows.map(|row| {
        let row = row.map_err(|e| damaged(e.to_string()))?;
        from_row(&row)
            .ok_or_else(|| damaged("a row without the columns of an annotations table".to_owned()))
    })
    .collect()
}

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
    let side = |name: &str| match field(name) {
        Some(Field::Int(1)) => Some(Side::First),
        Some(Field::Int(2)) => Some(Side::Second),
        _ => None,
    };
    Some(AnnotatedPair {
        split: text("split")?,
        prompt: text("prompt")?,
        responses: [text("response_1")?, text("response_2")?],
        human: side("human"),
        scores: [float("score_1")?, float("score_2")?],
        label: side("label")?,
    })
}
