//! Text as it comes out of a file, in blocks of whole lines, so that a file of records a line is
//! never held as a whole.

use std::io::Read;

use super::super::error::Fault;
use super::super::limits::Budget;

/// Files that are larger, packed or unpacked, are refused: all text is held in memory.
pub(super) const LARGEST: u64 = 4 << 30;

/// Bytes of one block, unless a line is longer.
const BLOCK: usize = 1 << 20;
/// Blocks that are read while the ones before them are parsed.
const AHEAD: usize = 4;

/// See [`LARGEST`].
pub(super) fn too_large() -> Fault {
    Fault::unknown(format!("more than {} GiB of data", LARGEST >> 30), "split the file")
}

/// Whole lines.
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    /// Number of its first line, from 1.
    pub(super) line: u64,
}

/// The text of a file, unpacked where it is packed.
pub(super) struct Blocks<'a, R> {
    source: R,
    budget: &'a Budget,
    packed: bool,
    /// Read, and not given yet.
    rest: Vec<u8>,
    ended: bool,
    /// Line ends and bytes given so far.
    lines: u64,
    given: u64,
}

impl<'a, R: Read> Blocks<'a, R> {
    /// `packed` says whether an error of the source is one of its gzip data.
    pub(super) fn new(source: R, packed: bool, budget: &'a Budget) -> Self {
        Self { source, budget, packed, rest: Vec::new(), ended: false, lines: 0, given: 0 }
    }

    /// Whether the source has no more than was read of it.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// What the text begins with: a block, or all of it.
    pub(super) fn head(&mut self) -> Result<&[u8], Fault> {
        self.fill(BLOCK)?;
        Ok(&self.rest)
    }

    /// All of the text that was not given yet.
    pub(super) fn whole(mut self) -> Result<Vec<u8>, Fault> {
        let most = usize::try_from(self.budget.left()).unwrap_or(usize::MAX).saturating_add(1);
        let step = usize::try_from(self.budget.row_bytes()).unwrap_or(usize::MAX).max(BLOCK);
        while !self.ended && self.rest.len() < most {
            let known = self.rest.len();
            self.fill(known.saturating_add(step).min(most))?;
            // So much without the end of a text or of a line is one row.
            let new = &self.rest[known..];
            if new.len() == step && memchr::memchr2(b'"', b'\n', new).is_none() {
                self.budget.check_row(1, step as u64 + 1)?;
            }
        }
        self.budget.hold(self.rest.len() as u64)?;
        Ok(self.rest)
    }

    /// The next blocks; none at the end.
    pub(super) fn next(&mut self) -> Result<Vec<Block>, Fault> {
        let mut blocks = Vec::new();
        while blocks.len() < AHEAD {
            match self.block()? {
                Some(block) => blocks.push(block),
                None => break,
            }
        }
        Ok(blocks)
    }

    fn block(&mut self) -> Result<Option<Block>, Fault> {
        let mut wanted = BLOCK;
        let end = loop {
            self.fill(wanted)?;
            match memchr::memrchr(b'\n', &self.rest) {
                _ if self.ended && self.rest.len() <= BLOCK => break self.rest.len(),
                Some(last) => break last + 1,
                None if self.ended => break self.rest.len(),
                // A line that is longer than a block.
                None => {
                    self.budget.check_row(self.lines + 1, self.rest.len() as u64)?;
                    wanted = wanted.saturating_mul(2);
                }
            }
        };
        if end == 0 {
            return Ok(None);
        }
        let rest = self.rest.split_off(end);
        let bytes = std::mem::replace(&mut self.rest, rest);
        let line = self.lines + 1;
        self.lines += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        self.given += bytes.len() as u64;
        Ok(Some(Block { bytes, line }))
    }

    /// Read on until so many bytes are there, or the source ends.
    fn fill(&mut self, wanted: usize) -> Result<(), Fault> {
        let missing = wanted.saturating_sub(self.rest.len()) as u64;
        if self.ended || missing == 0 {
            return Ok(());
        }
        let room = (LARGEST + 1).saturating_sub(self.given + self.rest.len() as u64);
        let asked = missing.min(room);
        let read = self.source.by_ref().take(asked).read_to_end(&mut self.rest);
        let read = read.map_err(|e| self.broken(e))? as u64;
        self.ended = read < asked;
        if self.given + self.rest.len() as u64 > LARGEST { Err(too_large()) } else { Ok(()) }
    }

    fn broken(&self, error: std::io::Error) -> Fault {
        if !self.packed {
            return Fault::Open(error);
        }
        let lines = self.lines + memchr::memchr_iter(b'\n', &self.rest).count() as u64;
        Fault::Damaged(format!(
            "its gzip data end or break off ({error}) after {lines} whole lines"
        ))
    }
}
