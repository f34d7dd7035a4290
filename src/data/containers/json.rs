//! JSON: one record a line, one array of records, or one object that holds such an array.

use std::io::Read;

use rayon::prelude::*;
use serde_json::Value;

use super::super::error::Fault;
use super::super::limits::{Budget, size_of};
use super::super::report::BadReason;
use super::super::row::Row;
use super::super::values::{describe, excerpt, length};
use super::blocks::{Block, Blocks};
use super::record::{Wrong, parse};
use super::table::{BAD, Table};
use super::text::{BOM, utf8};
use super::wrappers::unwrap;

/// What records a line are called.
const LINES: &str = "JSON lines";

/// Lines that are looked at to tell JSON lines from other text.
const SAMPLE: usize = 64;
/// Bytes of memory that one of them may become.
const SAMPLED: u64 = 64 << 20;

/// Read text that is JSON in some form; `None` where it is not.
///
/// Records are parsed one by one, so that a bad one costs no other.
pub(super) fn read(text: &str, budget: &Budget) -> Result<Option<Table>, Fault> {
    if are_lines(text) {
        return lines(text, budget).map(Some);
    }
    match text.trim_start().as_bytes().first() {
        Some(b'[') => array(text.trim_start(), budget).map(Some),
        Some(b'{') => match object(text, budget)? {
            Some(table) => Ok(Some(table)),
            None => lines(text, budget).map(Some),
        },
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
            && parse(line, SAMPLED).is_ok_and(|(value, _)| value.is_object())
    });
    let objects = objects.count();
    // One line alone may be a wrapper.
    objects >= 2 && 2 * objects >= sample().count()
}

fn lines(text: &str, budget: &Budget) -> Result<Table, Fault> {
    table(LINES, &numbered(text, 1, budget), budget)
}

/// The lines of a text that are not blank, with their numbers.
///
/// No more than one beyond those that may be: each takes more than a short line does.
fn numbered<'a>(text: &'a str, first: u64, budget: &Budget) -> Vec<(u64, &'a str)> {
    let lines = (first..).zip(text.split('\n')).filter(|(_, line)| !line.trim().is_empty());
    lines.take(most(budget)).collect()
}

/// One record more than there may be.
fn most(budget: &Budget) -> usize {
    usize::try_from(budget.rows()).unwrap_or(usize::MAX).saturating_add(1)
}

/// Read records a line; blocks are read while those before them are parsed.
pub(super) fn read_lines(
    mut blocks: Blocks<impl Read + Send>,
    budget: &Budget,
) -> Result<Table, Fault> {
    let mut all = Table { container: LINES.to_owned(), ..Table::default() };
    let mut ready = blocks.next()?;
    while !ready.is_empty() {
        let parse = |block| parse_block(block, budget);
        let parse = || ready.par_iter().map(parse).collect::<Vec<_>>();
        let (next, parsed) = rayon::join(|| blocks.next(), parse);
        for table in parsed {
            all.append(table?);
        }
        ready = next?;
    }
    Ok(all)
}

fn parse_block(block: &Block, budget: &Budget) -> Result<Table, Fault> {
    let bytes = block.bytes.as_slice();
    let bytes = if block.line == 1 { bytes.strip_prefix(BOM).unwrap_or(bytes) } else { bytes };
    let text = utf8(bytes, block.line)?;
    table(LINES, &numbered(text, block.line, budget), budget)
}

fn array(text: &str, budget: &Budget) -> Result<Table, Fault> {
    let elements = elements(text, most(budget)).map_err(|(whole, what)| {
        Fault::Damaged(format!("its JSON array {what} after {whole} whole records"))
    })?;
    let records: Vec<_> =
        elements.into_iter().enumerate().map(|(i, text)| (i as u64 + 1, text)).collect();
    table("JSON array", &records, budget)
}

/// Parse records on all cores; order is kept.
fn table(container: &str, records: &[(u64, &str)], budget: &Budget) -> Result<Table, Fault> {
    if records.len() as u64 > budget.rows() {
        return Err(budget.too_many("rows"));
    }
    let parse = |(line, text): &(u64, &str)| {
        budget.check_row(*line, text.len() as u64)?;
        let parsed = parse(text, budget.record(text.len() as u64));
        let bytes = match &parsed {
            Ok((Value::Object(fields), _)) => size_of(fields),
            Ok(_) | Err(Wrong::Json(_)) => BAD,
            Err(Wrong::Memory) => return Err(budget.unpacks(*line, text.len() as u64)),
        };
        budget.add_rows(1, bytes).map(|()| parsed)
    };
    let parsed = records.par_iter().map(parse).collect::<Result<Vec<_>, Fault>>()?;
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
            Err(Wrong::Json(e)) => {
                table.bad(*line, BadReason::UnreadableLine, why_unreadable(&e, text));
            }
            Err(Wrong::Memory) => {}
        }
    }
    Ok(table)
}

fn why_unreadable(error: &serde_json::Error, text: &str) -> String {
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    format!("no JSON: {words} at column {} of “{}”", error.column(), excerpt(text.trim()))
}

/// The texts of an array's elements, or how many were whole and what went wrong then.
fn elements(text: &str, most: usize) -> Result<Vec<&str>, (usize, &'static str)> {
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
                if found.len() == most {
                    return Ok(found);
                }
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
fn object(text: &str, budget: &Budget) -> Result<Option<Table>, Fault> {
    let (fields, no_numbers) = match parse(text, budget.left()) {
        Ok((Value::Object(fields), no_numbers)) => (fields, no_numbers),
        Err(Wrong::Memory) => return Err(budget.no_memory()),
        _ => return Ok(None),
    };
    let table = Table { no_numbers, ..unwrap(fields) };
    for row in &table.rows {
        budget.check_row(row.line, row.fields.values().map(length).sum::<usize>() as u64)?;
        budget.add_rows(1, size_of(&row.fields))?;
    }
    Ok(Some(table))
}
