//! gzip, of one member or several.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::super::error::Fault;
use super::{LARGEST, too_large};

/// How a gzip file begins.
pub(super) const MAGIC: &[u8] = b"\x1f\x8b";

/// Unpack a whole file.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::with_capacity(packed.len().saturating_mul(3).min(1 << 30));
    match MultiGzDecoder::new(packed).take(LARGEST + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > LARGEST => Err(too_large()),
        Ok(_) => Ok(bytes),
        Err(e) => {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            Err(Fault::Damaged(format!(
                "its gzip data end or break off ({e}) after {lines} whole lines"
            )))
        }
    }
}
