//! What the pages of a Parquet file unpack to, before any of them is: its library believes what a
//! page says of itself, and unpacks some to their end whatever they say.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Seek, SeekFrom, copy, sink};

use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaData;

use super::super::error::Fault;
use super::super::limits::Budget;

/// Structures within structures in the header of a page.
const DEEPEST: usize = 16;

/// Look at every page of a file.
///
/// # Errors
///
/// One of them unpacks to more than there is memory for, or to more than it says.
pub(in crate::data) fn check(
    file: &File,
    metadata: &ParquetMetaData,
    budget: &Budget,
) -> std::result::Result<(), Fault> {
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let (start, length) = column.byte_range();
        let mut pages = Pages { file: BufReader::new(file), left: length };
        pages.file.seek(SeekFrom::Start(start)).map_err(Fault::Open)?;
        while pages.left > 0 {
            let page = pages.header().map_err(|e| damaged(&e))?;
            if page.unpacked.saturating_mul(2) > budget.left() {
                return Err(budget.no_memory());
            }
            pages.body(&page, column.compression()).map_err(|e| damaged(&e))?;
        }
    }
    Ok(())
}

fn damaged(error: &Error) -> Fault {
    Fault::Damaged(format!("its Parquet pages cannot be read ({error})"))
}

fn wrong(words: &str) -> Error {
    Error::new(ErrorKind::InvalidData, words)
}

/// What a page says of itself.
#[derive(Debug, Default)]
struct Page {
    unpacked: u64,
    packed: u64,
    /// Bytes at its beginning that are never packed.
    levels: u64,
    is_packed: bool,
}

/// The pages of one column, from its beginning.
struct Pages<R> {
    file: R,
    /// Bytes of the column that were not read.
    left: u64,
}

/// Fields of a structure in Thrift's compact protocol, by their numbers: whole numbers, flags, and
/// those of structures inside.
#[derive(Debug, Default)]
struct Fields {
    numbers: Vec<(i64, i64)>,
    inside: Vec<(i64, Fields)>,
}

impl Fields {
    fn number(&self, id: i64) -> Option<i64> {
        self.numbers.iter().find(|(known, _)| *known == id).map(|(_, number)| *number)
    }

    fn size(&self, id: i64) -> Result<u64> {
        let number = self.number(id).and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| wrong("a page without its size"))
    }
}

impl<R: BufRead> Pages<R> {
    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.left = self.left.checked_sub(1).ok_or_else(|| wrong("a page breaks off"))?;
        self.file.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn varint(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(wrong("a number without an end"))
    }

    fn zigzag(&mut self) -> Result<i64> {
        let number = self.varint()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| wrong("a page breaks off"))?;
        let skipped = copy(&mut self.file.by_ref().take(bytes), &mut sink())?;
        if skipped == bytes { Ok(()) } else { Err(wrong("a page breaks off")) }
    }

    fn structure(&mut self, depth: usize) -> Result<Fields> {
        if depth > DEEPEST {
            return Err(wrong("a page header that is nested too deeply"));
        }
        let (mut fields, mut id) = (Fields::default(), 0);
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(fields);
            }
            id = match head >> 4 {
                0 => self.zigzag()?,
                more => id + i64::from(more),
            };
            match head & 0x0f {
                flag @ (1 | 2) => fields.numbers.push((id, i64::from(flag == 1))),
                4..=6 => {
                    let number = self.zigzag()?;
                    fields.numbers.push((id, number));
                }
                12 => {
                    let inside = self.structure(depth + 1)?;
                    fields.inside.push((id, inside));
                }
                kind => self.value(kind, depth)?,
            }
        }
    }

    /// Pass over a value; a flag of a list has a byte of its own.
    fn value(&mut self, kind: u8, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(wrong("a page header that is nested too deeply"));
        }
        match kind {
            1..=3 => self.skip(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.varint()?;
                self.skip(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                (0..count).try_for_each(|_| self.value(head & 0x0f, depth + 1))
            }
            12 => self.structure(depth + 1).map(drop),
            _ => Err(wrong("a page header of an unknown kind")),
        }
    }

    fn header(&mut self) -> Result<Page> {
        let fields = self.structure(0)?;
        let second = fields.inside.iter().find(|(id, _)| *id == 8).map(|(_, fields)| fields);
        let level = |id| second.and_then(|f| f.number(id)).map_or(0, |n| n.max(0) as u64);
        Ok(Page {
            unpacked: fields.size(2)?,
            packed: fields.size(3)?,
            levels: level(5) + level(6),
            is_packed: second.and_then(|fields| fields.number(7)) != Some(0),
        })
    }

    /// Pass over what a page holds; where its library would unpack it to its end, count.
    fn body(&mut self, page: &Page, compression: Compression) -> Result<()> {
        let endless = matches!(compression, Compression::GZIP(_) | Compression::BROTLI(_));
        if !endless || !page.is_packed || page.levels > page.packed {
            return self.skip(page.packed);
        }
        self.left = self.left.checked_sub(page.packed).ok_or_else(|| wrong("a page breaks off"))?;
        copy(&mut self.file.by_ref().take(page.levels), &mut sink())?;
        let mut packed = self.file.by_ref().take(page.packed - page.levels);
        let most = page.unpacked.saturating_sub(page.levels) + 1;
        // What cannot be unpacked at all is the library's to tell.
        let unpacked = match compression {
            Compression::GZIP(_) => {
                copy(&mut MultiGzDecoder::new(&mut packed).take(most), &mut sink())
            }
            _ => copy(&mut brotli::Decompressor::new(&mut packed, 4096).take(most), &mut sink()),
        };
        copy(&mut packed, &mut sink())?;
        match unpacked {
            Ok(unpacked) if unpacked >= most => Err(wrong("a page unpacks to more than it says")),
            _ => Ok(()),
        }
    }
}
