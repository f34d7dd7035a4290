//! Tables as text: comma, semicolon or tab between columns, quotation marks around texts
//! that contain them or line ends. The first row names the columns.

use csv::{ReaderBuilder, StringRecord};
use serde_json::Value;

use super::super::error::Fault;
use super::super::limits::{Budget, size_of};
use super::super::report::BadReason;
use super::super::row::{Fields, Row};
use super::super::values::excerpt;
use super::table::{BAD, Table};

const SEPARATORS: [(u8, &str); 3] =
    [(b',', "CSV"), (b'\t', "tab-separated table"), (b';', "CSV with semicolons")];

/// Read text as a table.
pub(super) fn read(text: &str, budget: &Budget) -> Result<Table, Fault> {
    let Some((separator, container)) = separator(text) else { return Err(prose(text)) };
    let mut reader =
        ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(text.as_bytes());
    let broken = |e: csv::Error| Fault::Damaged(format!("its CSV breaks off: {e}"));
    let names = names(reader.headers().map_err(broken)?);
    let mut table = Table { container: container.to_owned(), flat: true, ..Table::default() };
    let mut record = StringRecord::new();
    let mut last = 0;
    let mut line = Lines { text: text.as_bytes(), line: 1, at: 0 };
    while reader.read_record(&mut record).map_err(broken)? {
        last = record.position().map_or(0, csv::Position::byte) as usize;
        let line = line.of(last);
        budget.check_row(line, record.as_slice().len() as u64)?;
        if record.len() == names.len() {
            let fields =
                names.iter().zip(&record).map(|(name, cell)| (name.clone(), Value::from(cell)));
            let fields = fields.collect::<Fields>();
            budget.add_rows(1, size_of(&fields))?;
            table.rows.push(Row { line, fields });
        } else {
            let detail = format!("{} columns; the header has {}", record.len(), names.len());
            budget.add_rows(1, BAD)?;
            table.bad(line, BadReason::WrongColumnCount, detail);
        }
    }
    // Prose with commas in its first line has no constant number of columns.
    if table.bad.len() > table.rows.len() && table.bad.len() > 1 {
        return Err(prose(text));
    }
    check_last_quote(&mut table, &text[last.min(text.len())..], line.of(last));
    Ok(table)
}

fn prose(text: &str) -> Fault {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let found = format!("text that is no table (it begins “{}”)", excerpt(first.trim()));
    Fault::unknown(found, "choose a data file, or add a first row with the names of the columns")
}

/// The separator that makes most columns in the first row; at least two columns.
fn separator(text: &str) -> Option<(u8, &'static str)> {
    let columns = |separator: u8| {
        let mut reader =
            ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(text.as_bytes());
        reader.headers().map_or(0, StringRecord::len)
    };
    let counts = SEPARATORS.map(|(separator, name)| (columns(separator), separator, name));
    // The first of equals, so a comma where nothing speaks against it.
    let best = counts.into_iter().rev().max_by_key(|(columns, _, _)| *columns)?;
    (best.0 >= 2).then_some((best.1, best.2))
}

fn names(header: &StringRecord) -> Vec<String> {
    // An index column often has no name.
    let name = |(i, name): (usize, &str)| match name.trim() {
        "" => format!("column {}", i + 1),
        name => name.to_owned(),
    };
    header.iter().enumerate().map(name).collect()
}

/// Line numbers of ascending places; the reader's own skip blank lines unreliably.
struct Lines<'a> {
    text: &'a [u8],
    line: u64,
    at: usize,
}

impl Lines<'_> {
    /// The line of the first character at or after a place that ends no line.
    fn of(&mut self, place: usize) -> u64 {
        let blank = |byte: &&u8| matches!(**byte, b'\n' | b'\r');
        let place = place.min(self.text.len());
        let start = place + self.text[place..].iter().take_while(blank).count();
        if start > self.at {
            self.line +=
                self.text[self.at..start].iter().filter(|byte| **byte == b'\n').count() as u64;
            self.at = start;
        }
        self.line
    }
}

/// A quotation mark that never closes swallows the rest of the file into one cell.
fn check_last_quote(table: &mut Table, record: &str, line: u64) {
    let odd = record.bytes().filter(|byte| *byte == b'"').count() % 2 == 1;
    if !odd || !record.trim().contains('\n') {
        return;
    }
    table.rows.pop_if(|row| row.line == line);
    table.bad.retain(|row| row.line != line);
    let lines = record.trim().lines().count();
    table.bad(
        line,
        BadReason::UnreadableLine,
        format!("a quotation mark never closes and swallows {lines} lines"),
    );
}
