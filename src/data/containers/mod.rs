//! Bytes → rows. What a file is gets decided by its bytes, never by its name.

mod blocks;
mod csv;
mod json;
mod pages;
mod parquet;
mod record;
mod table;
mod text;
mod wrappers;

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use self::blocks::{Blocks, LARGEST, too_large};
pub(super) use self::pages::check as check_pages;
pub(super) use self::record::{Wrong, parse as parse_record};
pub(super) use self::table::Table;
use self::text::{BOM, utf8};
use super::error::Fault;
use super::limits::Budget;

/// How a gzip file begins.
const GZIP: &[u8] = b"\x1f\x8b";

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
pub(super) fn open(path: &Path, budget: &Budget) -> Result<Table, Fault> {
    if path.is_dir() {
        return Err(Fault::unknown("a folder", "name the files in it"));
    }
    let mut file = crate::input::open_stream(path).map_err(Fault::Open)?;
    let facts = file.metadata().map_err(Fault::Open)?;
    if facts.len() > LARGEST {
        return Err(too_large());
    }
    let mut start = Vec::new();
    file.by_ref().take(4).read_to_end(&mut start).map_err(Fault::Open)?;
    let mut table = if start == parquet::MAGIC {
        if !facts.is_file() {
            return Err(Fault::unknown("Parquet from a pipe", "save it as a file"));
        }
        parquet::read(file, budget)?
    } else if start.starts_with(GZIP) {
        // Of one member or several.
        let source = MultiGzDecoder::new(start.chain(file));
        let mut table = from_text(Blocks::new(source, true, budget), budget)?;
        table.container.push_str(" (gzip)");
        table
    } else {
        // Not by the size that the system reports: pipes have none.
        from_text(Blocks::new(start.chain(file), false, budget), budget)?
    };
    table.bytes = facts.len();
    Ok(table)
}

/// Records a line are read block by block; all else is held as a whole.
fn from_text(mut blocks: Blocks<impl Read + Send>, budget: &Budget) -> Result<Table, Fault> {
    let head = blocks.head()?;
    refuse(head)?;
    // A block may end inside a line, and even inside a character.
    let lines = memchr::memrchr(b'\n', head).map_or(&[][..], |end| &head[..end]);
    let lines = std::str::from_utf8(lines.strip_prefix(BOM).unwrap_or(lines));
    let of_lines = lines.is_ok_and(json::are_lines);
    if of_lines && !blocks.has_ended() {
        return json::read_lines(blocks, budget);
    }
    from_whole(&blocks.whole()?, budget)
}

/// What is no text.
fn refuse(bytes: &[u8]) -> Result<(), Fault> {
    if bytes.starts_with(parquet::MAGIC) {
        return Err(Fault::unknown("a Parquet file inside gzip", "unpack it with gunzip"));
    }
    for (start, found, advice) in OTHERS {
        if bytes.starts_with(start) {
            return Err(Fault::unknown(*found, *advice));
        }
    }
    if bytes.iter().take(4096).any(|byte| *byte == 0) {
        return Err(Fault::unknown(
            "binary data that is neither Parquet nor gzip",
            "choose a data file",
        ));
    }
    Ok(())
}

fn from_whole(bytes: &[u8], budget: &Budget) -> Result<Table, Fault> {
    let text = utf8(bytes.strip_prefix(BOM).unwrap_or(bytes), 1)?;
    if text.trim().is_empty() {
        return Err(Fault::unknown("an empty file", "choose another file"));
    }
    match json::read(text, budget)? {
        Some(table) => Ok(table),
        None => csv::read(text, budget),
    }
}
