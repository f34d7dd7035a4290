//! Parquet: texts, numbers, and lists of chat messages.

use std::fs::File;
use std::panic::catch_unwind;
use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Number, Value};

use super::super::columns::{Fields, Row};
use super::super::error::Fault;
use super::record::ORDERED;
use super::{LARGEST, Table, too_large};

/// How a Parquet file begins and ends.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// More rows than any preference data have: a damaged file may claim any number.
const MOST_ROWS: i64 = 100_000_000;

/// Read a whole file.
pub(super) fn read(path: &Path) -> Result<Table, Fault> {
    let path = path.to_owned();
    // The reader asserts what a damaged file need not keep.
    catch_unwind(move || rows(&path)).unwrap_or_else(|_| {
        Err(Fault::Damaged("its Parquet data contradict themselves".to_owned()))
    })
}

fn rows(path: &Path) -> Result<Table, Fault> {
    let file = File::open(path).map_err(Fault::Open)?;
    let reader = SerializedFileReader::new(file).map_err(|e| damaged(&e, 0))?;
    let groups = reader.metadata().row_groups();
    let size = groups
        .iter()
        .map(|group| group.total_byte_size().max(0) as u64)
        .fold(0, u64::saturating_add);
    let claimed = groups.iter().map(|group| group.num_rows().max(0)).fold(0, i64::saturating_add);
    if size > LARGEST || claimed > MOST_ROWS {
        return Err(too_large());
    }
    let mut table = Table { container: "Parquet".to_owned(), ..Table::default() };
    let rows = reader.get_row_iter(None).map_err(|e| damaged(&e, 0))?;
    for (line, row) in (1..).zip(rows) {
        let columns = row.map_err(|e| damaged(&e, table.rows.len()))?.into_columns();
        let fields = columns.into_iter().map(named);
        table.rows.push(Row { line, fields: fields.collect::<Fields>() });
    }
    Ok(table)
}

fn damaged(error: &ParquetError, whole: usize) -> Fault {
    let words = error.to_string();
    let codec = words.to_lowercase();
    // The file is sound; this build cannot unpack it.
    if codec.contains("codec") || codec.contains("disabled feature") || codec.contains("encrypt") {
        return Fault::unknown(
            format!("Parquet that is packed in a way that is not read here ({words})"),
            "write it again with the compression zstd, snappy, gzip, lz4_raw or brotli, and \
             without encryption (in Python: pandas.read_parquet(…).to_parquet(…))",
        );
    }
    Fault::Damaged(format!("its Parquet data cannot be read ({error}) after {whole} whole rows"))
}

/// A column or a field of a group.
fn named((name, field): (String, Field)) -> (String, Value) {
    let is_tree = matches!(field, Field::Group(_) | Field::ListInternal(_));
    let value = match ORDERED.contains(&name.as_str()) && is_tree {
        true => Value::String(in_order(&field)),
        false => value(field),
    };
    (name, value)
}

/// JSON with the keys in the file's order. A table has every key in every row: what is null was
/// not there.
fn in_order(field: &Field) -> String {
    match field {
        Field::Group(row) => {
            let there = row.get_column_iter().filter(|(_, field)| **field != Field::Null);
            let entry = |(name, field): (&String, &Field)| {
                format!("{}:{}", Value::from(name.as_str()), in_order(field))
            };
            format!("{{{}}}", there.map(entry).collect::<Vec<_>>().join(","))
        }
        Field::ListInternal(list) => {
            format!("[{}]", list.elements().iter().map(in_order).collect::<Vec<_>>().join(","))
        }
        other => value(other.clone()).to_string(),
    }
}

fn value(field: Field) -> Value {
    match field {
        Field::Str(text) => Value::String(text),
        // Some writers do not mark text as text.
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => text.into(),
            // Of no use as a text, but something is there, a picture say.
            Err(_) => serde_json::json!({"bytes": bytes.len()}),
        },
        Field::Group(row) => row.into_columns().into_iter().map(named).collect(),
        Field::ListInternal(list) => list.elements().iter().cloned().map(value).collect(),
        Field::Bool(value) => Value::Bool(value),
        Field::Byte(n) => n.into(),
        Field::Short(n) => n.into(),
        Field::Int(n) => n.into(),
        Field::Long(n) => n.into(),
        Field::UByte(n) => n.into(),
        Field::UShort(n) => n.into(),
        Field::UInt(n) => n.into(),
        Field::ULong(n) => n.into(),
        Field::Float(n) => float(f64::from(n)),
        Field::Double(n) => float(n),
        // Dates, decimals and maps are neither texts nor labels.
        _ => Value::Null,
    }
}

fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
