//! Opening what a person, or a file, names: regular files of a size that their kind can have.
//!
//! A named pipe would block for ever, a device such as `/dev/zero` never end.

use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// Bytes of a recipe.
pub(crate) const RECIPE: u64 = 1 << 20;
/// Bytes of a model's settings in JSON, the index of its weights among them.
pub(crate) const SETTINGS: u64 = 16 << 20;
/// Bytes of a run's events.
pub(crate) const EVENTS: u64 = 4 << 30;
/// Bytes of a run's state or report.
pub(crate) const RUN: u64 = 256 << 20;

fn refused(words: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, words.into())
}

/// What stands in the way of reading something as a file.
fn regular(facts: &Metadata) -> Result<()> {
    match what(facts) {
        None => Ok(()),
        Some(what) => Err(refused(format!("this is {what}, and no file"))),
    }
}

/// What something is that is no file.
fn what(facts: &Metadata) -> Option<&'static str> {
    if facts.is_file() {
        None
    } else if facts.is_dir() {
        Some("a folder")
    } else if is_pipe(facts) {
        Some("a pipe")
    } else {
        Some("a device")
    }
}

#[cfg(unix)]
fn is_pipe(facts: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    facts.file_type().is_fifo()
}

#[cfg(not(unix))]
fn is_pipe(_: &Metadata) -> bool {
    false
}

/// Open a regular file.
///
/// # Errors
///
/// What the system says; it is a folder, a pipe or a device.
pub(crate) fn open(path: &Path) -> Result<File> {
    // To open a pipe may block, and to open some devices does something.
    regular(&std::fs::metadata(path)?)?;
    let file = File::open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// Open a regular file, or a pipe that somebody writes to, as shells make of `<(zcat pairs.gz)`.
///
/// # Errors
///
/// As [`open`]; a pipe that nobody writes to.
pub(crate) fn open_stream(path: &Path) -> Result<File> {
    if is_pipe(&std::fs::metadata(path)?) { open_pipe(path) } else { open(path) }
}

/// Milliseconds in which somebody must write to a pipe. One that only opened it meanwhile is waited
/// for; where there is nobody, reading ends at once.
#[cfg(unix)]
const WRITER: i32 = 2000;

#[cfg(unix)]
fn open_pipe(path: &Path) -> Result<File> {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    // Otherwise a pipe without a writer is waited for here.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut waiting = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the pointer is to one live pollfd, and the descriptor is open.
    let known = unsafe { libc::poll(&raw mut waiting, 1, WRITER) };
    // One that has gone, with nothing left to read.
    if known > 0 && waiting.revents & (libc::POLLIN | libc::POLLHUP) == libc::POLLHUP {
        return Err(refused("this is a pipe that nobody writes to"));
    }
    // SAFETY: the descriptor is open; F_SETFL takes flags and touches no memory. A pipe is read
    // without further flags.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, 0) } < 0 {
        return Err(Error::last_os_error());
    }
    Ok(file)
}

#[cfg(not(unix))]
fn open_pipe(path: &Path) -> Result<File> {
    open(path)
}

/// All of a regular file that has `most` bytes at most.
///
/// # Errors
///
/// As [`open`]; the file is larger.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    // Some systems say nothing of a file's size.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large(most)) } else { Ok(bytes) }
}

/// As [`read`], for text.
///
/// # Errors
///
/// As [`read`]; the bytes are no UTF-8.
pub(crate) fn read_text(path: &Path, most: u64) -> Result<String> {
    let text = String::from_utf8(read(path, most)?);
    text.map_err(|_| Error::new(ErrorKind::InvalidData, "this is no UTF-8 text"))
}

fn too_large(most: u64) -> Error {
    let size = match most {
        m if m >= 1 << 20 => format!("{} MiB", m >> 20),
        m => format!("{m} bytes"),
    };
    refused(format!("the file has more than {size}"))
}
