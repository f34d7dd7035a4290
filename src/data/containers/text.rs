//! Bytes as text.

use super::super::error::Fault;

/// How some programs begin UTF-8 text.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// Bytes as text; `line` is the number of the first line.
pub(super) fn utf8(bytes: &[u8], line: u64) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|e| {
        let line = line + memchr::memchr_iter(b'\n', &bytes[..e.valid_up_to()]).count() as u64;
        Fault::Damaged(format!(
            "line {line} is not UTF-8 text (or the file has another encoding: save it as UTF-8)"
        ))
    })
}
