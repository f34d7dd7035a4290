//! How much of a file is read, so that a small one that unpacks to a lot ends in words.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use serde_json::Value;

use super::error::Fault;
use super::pair::{Message, Prompt};
use super::row::Fields;

/// What a file may hold; each has a setting of its name in a recipe's `[data]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Rows of one file, and pairs that come of them.
    pub max_rows: usize,
    /// Bytes of one row.
    pub max_row_bytes: usize,
    /// GiB of memory that the rows of one file take; 0 for half of what is free.
    pub max_memory: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_rows: 2_000_000, max_row_bytes: 16 << 20, max_memory: 0.0 }
    }
}

/// What a map, an entry of one and a value take beside their texts; about, on 64 bits.
pub(super) const MAP: u64 = 640;
pub(super) const ENTRY: u64 = 32;
pub(super) const VALUE: u64 = 32;
/// What a pair takes beside its texts.
const PAIR: u64 = 256;

/// Bytes of memory that a value takes, without those of its own place.
pub(super) fn size(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64 + ENTRY,
        Value::Array(items) => items.iter().map(|item| VALUE + size(item)).sum(),
        Value::Object(fields) => size_of(fields),
        _ => 0,
    }
}

/// Bytes of memory that the fields of a row take.
pub(super) fn size_of(fields: &Fields) -> u64 {
    // A node of the tree that a map is has room for eleven.
    let nodes = MAP * (fields.len() as u64).div_ceil(6);
    nodes + fields.iter().map(|(key, value)| key.len() as u64 + ENTRY + size(value)).sum::<u64>()
}

/// Bytes of memory that a pair takes.
pub(super) fn size_of_pair(prompt: &Prompt, responses: &[String; 2]) -> u64 {
    let beside = |m: &Message| m.fields.iter().map(|(a, b)| a.len() + b.len() + 96).sum::<usize>();
    let turn = |m: &Message| m.content.len() + 96 + beside(m);
    let asked = match prompt {
        Prompt::Text(text) => text.len(),
        Prompt::Messages(messages) => messages.iter().map(turn).sum(),
    };
    PAIR + (asked + responses[0].len() + responses[1].len()) as u64
}

/// What is left of the limits while one file is read; threads share it.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    memory: u64,
    /// What was let go may be more than what was counted: rows change on their way.
    held: AtomicI64,
    rows: AtomicU64,
    pairs: AtomicU64,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        let memory = if limits.max_memory > 0.0 {
            (limits.max_memory * f64::from(1 << 30)) as u64
        } else {
            crate::device::free_memory().map_or(u64::MAX, |free| free / 2)
        };
        let none = || AtomicU64::new(0);
        Self { limits: *limits, memory, held: AtomicI64::new(0), rows: none(), pairs: none() }
    }

    /// Of so many bytes of memory, and as many rows as they hold.
    pub(super) fn of_memory(memory: u64) -> Self {
        let limits = Limits { max_rows: usize::MAX, max_row_bytes: usize::MAX, max_memory: 0.0 };
        Self { memory, ..Self::new(&limits) }
    }

    /// Bytes that a row may have.
    pub(super) fn row_bytes(&self) -> u64 {
        self.limits.max_row_bytes as u64
    }

    /// Rows that a file may have.
    pub(super) fn rows(&self) -> u64 {
        self.limits.max_rows as u64
    }

    /// Bytes of memory that are left.
    pub(super) fn left(&self) -> u64 {
        self.memory.saturating_sub(self.held.load(Ordering::Relaxed).max(0) as u64)
    }

    /// So many more bytes are held.
    ///
    /// # Errors
    ///
    /// There is no memory left for them.
    pub(super) fn hold(&self, bytes: u64) -> Result<(), Fault> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let held = self.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if held.max(0) as u64 <= self.memory { Ok(()) } else { Err(self.no_memory()) }
    }

    /// Bytes that are held no more.
    pub(super) fn release(&self, bytes: u64) {
        self.held.fetch_sub(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// So many more rows, which take memory.
    ///
    /// # Errors
    ///
    /// They are more than may be, or take more memory.
    pub(super) fn add_rows(&self, rows: u64, bytes: u64) -> Result<(), Fault> {
        let rows = self.rows.fetch_add(rows, Ordering::Relaxed).saturating_add(rows);
        if rows > self.limits.max_rows as u64 {
            return Err(self.too_many("rows"));
        }
        self.hold(bytes)
    }

    /// So many more pairs, which take memory.
    ///
    /// # Errors
    ///
    /// As [`Budget::add_rows`].
    pub(super) fn add_pairs(&self, pairs: u64, bytes: u64) -> Result<(), Fault> {
        let pairs = self.pairs.fetch_add(pairs, Ordering::Relaxed).saturating_add(pairs);
        if pairs > self.limits.max_rows as u64 {
            return Err(self.too_many("pairs"));
        }
        self.hold(bytes)
    }

    /// Whether a row is no longer than may be; `line` is its number.
    ///
    /// # Errors
    ///
    /// It is.
    pub(super) fn check_row(&self, line: u64, bytes: u64) -> Result<(), Fault> {
        if bytes <= self.limits.max_row_bytes as u64 {
            return Ok(());
        }
        let most = self.limits.max_row_bytes;
        Err(Fault::TooLarge(
            format!("row {line} has more than {most} bytes"),
            format!("at most data.max_row_bytes = {most}: raise it, or shorten the row"),
        ))
    }

    /// Bytes of memory that one record may become: some times its text, as lists of short numbers do.
    pub(super) fn record(&self, text: u64) -> u64 {
        Self::most_of(text).min(self.left())
    }

    fn most_of(text: u64) -> u64 {
        16 * text + (1 << 20)
    }

    /// Bytes that the pairs of one row may take.
    pub(super) fn pairs_of_row(&self) -> u64 {
        (self.left() / 4).min(1 << 30)
    }

    /// A row, of so many bytes of text, that becomes more than may be.
    pub(super) fn unpacks(&self, line: u64, text: u64) -> Fault {
        if self.left() < Self::most_of(text) {
            return self.no_memory();
        }
        let most = self.limits.max_row_bytes;
        Fault::TooLarge(
            format!("row {line} unpacks to many times its size"),
            format!(
                "texts, as preference data hold (at most data.max_row_bytes = {most}, and data.max_memory)"
            ),
        )
    }

    /// A row of which too many pairs come.
    pub(super) fn pairs_take(&self, line: u64) -> Fault {
        Fault::TooLarge(
            format!("the pairs of row {line} alone take more memory than there is for one row's"),
            "fewer answers in one row: set data.pairing = \"best-worst\", or raise data.max_memory"
                .to_owned(),
        )
    }

    pub(super) fn too_many(&self, what: &str) -> Fault {
        let most = self.limits.max_rows;
        Fault::TooLarge(
            format!("more than {most} {what}"),
            format!("at most data.max_rows = {most}: raise it, or split the file"),
        )
    }

    pub(super) fn no_memory(&self) -> Fault {
        let gib = self.memory as f64 / f64::from(1 << 30);
        let whence = if self.limits.max_memory > 0.0 {
            "data.max_memory"
        } else {
            "half of what is free; data.max_memory says how much instead"
        };
        Fault::TooLarge(
            format!("its rows take more than {gib:.2} GiB of memory"),
            format!("no more than that ({whence}): raise it, or split the file"),
        )
    }
}
