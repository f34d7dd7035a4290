//! JSON: one record a line, one array of records, or one object that holds such an array.

use std::io::Read;

use rayon::prelude::*;
use serde_json::Value;

use super::super::columns::Row;
use super::super::error::Fault;
use super::super::report::BadReason;
use super::super::values::{describe, excerpt};
use super::blocks::{Block, Blocks};
use super::record::parse;
use super::wrappers::unwrap;
use super::{BOM, Table, utf8};

/// What records a line are called.
const LINES: &str = "JSON lines";

/// Lines that are looked at to tell JSON lines from other text.
const SAMPLE: usize = 64;

/// Read text that is JSON in some form; `None` where it is not.
///
/// Records are parsed one by one, so that a bad one costs no other.
pub(super) fn read(text: &str) -> Result<Option<Table>, Fault> {
    if are_lines(text) {
        return Ok(Some(lines(text)));
    }
    match text.trim_start().as_bytes().first() {
        Some(b'[') => array(text.trim_start()).map(Some),
        Some(b'{') => Ok(Some(object(text)?.unwrap_or_else(|| lines(text)))),
        _ => Ok(None),
    }
}

/// Whether most lines are objects. The first alone does not tell: it may be the bad one.
pub(super) fn are_lines(text: &str) -> bool {
    let sample = || text.lines().filter(|line| !line.trim().is_empty()).take(SAMPLE);
    let objects = sample().filter(|line| {
        let line = line.trim();
        line.starts_with('{')
            && line.ends_with('}')
            && parse(line).is_ok_and(|(value, _)| value.is_object())
    });
    let objects = objects.count();
    // One line alone may be a wrapper.
    objects >= 2 && 2 * objects >= sample().count()
}

fn lines(text: &str) -> Table {
    table(LINES, &numbered(text, 1))
}

/// The lines of a text that are not blank, with their numbers.
fn numbered(text: &str, first: u64) -> Vec<(u64, &str)> {
    (first..).zip(text.split('\n')).filter(|(_, line)| !line.trim().is_empty()).collect()
}

/// Read records a line; blocks are read while those before them are parsed.
pub(super) fn read_lines(mut blocks: Blocks<impl Read + Send>) -> Result<Table, Fault> {
    let mut all = Table { container: LINES.to_owned(), ..Table::default() };
    let mut ready = blocks.next()?;
    while !ready.is_empty() {
        let parse = || ready.par_iter().map(parse_block).collect::<Vec<_>>();
        let (next, parsed) = rayon::join(|| blocks.next(), parse);
        for table in parsed {
            all.append(table?);
        }
        ready = next?;
    }
    Ok(all)
}

fn parse_block(block: &Block) -> Result<Table, Fault> {
    let bytes = block.bytes.as_slice();
    let bytes = if block.line == 1 { bytes.strip_prefix(BOM).unwrap_or(bytes) } else { bytes };
    Ok(table(LINES, &numbered(utf8(bytes, block.line)?, block.line)))
}

fn array(text: &str) -> Result<Table, Fault> {
    let elements = elements(text).map_err(|(whole, what)| {
        Fault::Damaged(format!("its JSON array {what} after {whole} whole records"))
    })?;
    let records: Vec<_> =
        elements.into_iter().enumerate().map(|(i, text)| (i as u64 + 1, text)).collect();
    Ok(table("JSON array", &records))
}

/// Parse records on all cores; order is kept.
fn table(container: &str, records: &[(u64, &str)]) -> Table {
    let parsed: Vec<_> = records.par_iter().map(|(_, text)| parse(text)).collect();
    let mut table = Table { container: container.to_owned(), ..Table::default() };
    table.rows.reserve(parsed.len());
    for ((line, text), parsed) in records.iter().zip(parsed) {
        let value = parsed.map(|(value, nulls)| {
            table.no_numbers += nulls;
            value
        });
        match value {
            Ok(Value::Object(fields)) => table.rows.push(Row { line: *line, fields }),
            Ok(other) => table.bad(
                *line,
                BadReason::WrongType,
                format!("the record is {}; expected an object with named fields", describe(&other)),
            ),
            Err(e) => table.bad(*line, BadReason::UnreadableLine, why_unreadable(&e, text)),
        }
    }
    table
}

fn why_unreadable(error: &serde_json::Error, text: &str) -> String {
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    format!("no JSON: {words} at column {} of “{}”", error.column(), excerpt(text.trim()))
}

/// The texts of an array's elements, or how many were whole and what went wrong then.
fn elements(text: &str) -> Result<Vec<&str>, (usize, &'static str)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut depth, mut start, mut at) = (0_usize, 1, 1);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => match end_of_string(bytes, at + 1) {
                Some(end) => at = end,
                None => return Err((found.len(), "ends inside a text")),
            },
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth > 0 => depth -= 1,
            b',' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            b']' => {
                let last = text[start..at].trim();
                if !last.is_empty() {
                    found.push(last);
                }
                let clean = text[at + 1..].trim().is_empty();
                return if clean {
                    Ok(found)
                } else {
                    Err((found.len(), "is followed by other text"))
                };
            }
            _ => {}
        }
        at += 1;
    }
    Err((found.len(), "is not closed: the file ends"))
}

/// The place of the quotation mark that ends a string.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += bytes.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// A whole text that is one object: a wrapper around rows, or one row.
fn object(text: &str) -> Result<Option<Table>, Fault> {
    match parse(text) {
        Ok((Value::Object(fields), no_numbers)) => Ok(Some(Table { no_numbers, ..unwrap(fields) })),
        _ => Ok(None),
    }
}
