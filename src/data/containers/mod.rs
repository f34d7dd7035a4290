//! Bytes → rows. What a file is gets decided by its bytes, never by its name.

mod csv;
mod gzip;
mod json;
mod parquet;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::columns::Row;
use super::error::Fault;
use super::report::{BadReason, BadRow};

/// Files that are larger, packed or unpacked, are refused: all text is held in memory.
const LARGEST: u64 = 4 << 30;

/// The rows of one file.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// What the rows stood in, for a person.
    pub(super) container: String,
    /// Rows, in order.
    pub(super) rows: Vec<Row>,
    /// Records that are no rows.
    pub(super) bad: Vec<BadRow>,
    /// Size of the file.
    pub(super) bytes: u64,
}

impl Table {
    fn bad(&mut self, line: u64, reason: BadReason, detail: impl Into<String>) {
        self.bad.push(BadRow { line, reason, detail: detail.into() });
    }
}

/// Beginnings of files that people mistake for tables, and what to do with each.
const OTHERS: &[(&[u8], &str, &str)] = &[
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet", "unpack it, or save the sheet as CSV"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "unpack it with zstd -d"),
    (b"BZh", "a bzip2 archive", "unpack it with bunzip2"),
    (b"\xfd7zXZ", "an XZ archive", "unpack it with unxz"),
    (b"ARROW1", "an Arrow file", "save it as Parquet"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"%PDF", "a PDF document", "choose a data file"),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS in place of the data",
        "fetch the data with git lfs pull",
    ),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
];

/// Read all rows of a file.
pub(super) fn open(path: &Path) -> Result<Table, Fault> {
    let mut file = File::open(path).map_err(Fault::Open)?;
    let facts = file.metadata().map_err(Fault::Open)?;
    if facts.is_dir() {
        return Err(Fault::unknown("a folder", "name the files in it"));
    }
    if facts.len() > LARGEST {
        return Err(too_large());
    }
    let mut start = Vec::new();
    file.by_ref().take(4).read_to_end(&mut start).map_err(Fault::Open)?;
    let mut table = if start == parquet::MAGIC {
        parquet::read(path)?
    } else {
        // Not by the size that the system reports: pipes have none.
        let mut bytes = start;
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(Fault::Open)?;
        from_bytes(bytes)?
    };
    table.bytes = facts.len();
    Ok(table)
}

fn too_large() -> Fault {
    Fault::unknown(format!("more than {} GiB of data", LARGEST >> 30), "split the file")
}

fn from_bytes(bytes: Vec<u8>) -> Result<Table, Fault> {
    let packed = bytes.starts_with(gzip::MAGIC);
    let bytes = if packed { gzip::unpack(&bytes)? } else { bytes };
    if packed && bytes.starts_with(parquet::MAGIC) {
        return Err(Fault::unknown("a Parquet file inside gzip", "unpack it with gunzip"));
    }
    let mut table = from_text(&bytes)?;
    if packed {
        table.container.push_str(" (gzip)");
    }
    // The text goes before the pairs are made: it is as large as they are.
    drop(bytes);
    Ok(table)
}

fn from_text(bytes: &[u8]) -> Result<Table, Fault> {
    for (start, found, advice) in OTHERS {
        if bytes.starts_with(start) {
            return Err(Fault::unknown(*found, *advice));
        }
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.iter().take(4096).any(|byte| *byte == 0) {
        return Err(Fault::unknown(
            "binary data that is neither Parquet nor gzip",
            "choose a data file",
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = 1 + bytes[..e.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Fault::Damaged(format!(
            "line {line} is not UTF-8 text (or the file has another encoding: save it as UTF-8)"
        ))
    })?;
    if text.trim().is_empty() {
        return Err(Fault::unknown("an empty file", "choose another file"));
    }
    match json::read(text)? {
        Some(table) => Ok(table),
        None => csv::read(text),
    }
}
