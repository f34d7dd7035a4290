//! Parquet: texts, numbers, and lists of chat messages.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Number, Value};

use super::super::error::Fault;
use super::super::limits::{Budget, size_of};
use super::super::row::{Fields, Row};
use super::super::values::length;
use super::pages;
use super::record::ORDERED;
use super::table::Table;

/// How a Parquet file begins and ends.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// Read a whole file.
pub(super) fn read(file: File, budget: &Budget) -> Result<Table, Fault> {
    // The reader asserts what a damaged file need not keep.
    catch_unwind(AssertUnwindSafe(|| rows(file, budget))).unwrap_or_else(|_| {
        Err(Fault::Damaged("its Parquet data contradict themselves".to_owned()))
    })
}

fn rows(file: File, budget: &Budget) -> Result<Table, Fault> {
    let again = file.try_clone().map_err(Fault::Open)?;
    let reader = SerializedFileReader::new(file).map_err(|e| damaged(&e, 0))?;
    let groups = reader.metadata().row_groups();
    let size = groups
        .iter()
        .map(|group| group.total_byte_size().max(0) as u64)
        .fold(0, u64::saturating_add);
    let claimed =
        groups.iter().map(|group| group.num_rows().max(0)).fold(0, i64::saturating_add) as u64;
    // What the file says of itself, before anything is made of it.
    if claimed > budget.rows() {
        return Err(budget.too_many("rows"));
    }
    if size > budget.left() {
        return Err(budget.no_memory());
    }
    pages::check(&again, reader.metadata(), budget)?;
    let mut table = Table { container: "Parquet".to_owned(), ..Table::default() };
    let rows = reader.get_row_iter(None).map_err(|e| damaged(&e, 0))?;
    for (line, row) in (1..).zip(rows) {
        let columns = row.map_err(|e| damaged(&e, table.rows.len()))?.into_columns();
        let fields = columns.into_iter().map(named).collect::<Fields>();
        budget.check_row(line, fields.values().map(length).sum::<usize>() as u64)?;
        budget.add_rows(1, size_of(&fields))?;
        table.rows.push(Row { line, fields });
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
