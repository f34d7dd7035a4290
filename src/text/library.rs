//! What is asked of the tokenizers library where nobody knows whether a file breaks it.

use super::guard::guarded;

/// What the tokenizers library does with a file or a text; where one breaks it, that is an error
/// like any other.
pub(super) fn tried<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match guarded(work) {
        Some(outcome) => outcome.map_err(|e| e.to_string()),
        None => Err("this breaks the tokenizers library".to_owned()),
    }
}

/// The ids that a tokenizer puts before and behind every text, where they are always the same.
pub(super) fn frame(tokenizer: &tokenizers::Tokenizer) -> Option<[Vec<u32>; 2]> {
    let around = |text: &str| {
        let ids =
            |special| Some(tried(|| tokenizer.encode_fast(text, special)).ok()?.get_ids().to_vec());
        let (bare, whole): (Vec<u32>, Vec<u32>) = (ids(false)?, ids(true)?);
        let starts = (0..=whole.len().checked_sub(bare.len())?)
            .filter(|&i| whole[i..i + bare.len()] == bare[..]);
        // A text that the frame holds as well would be found twice.
        let starts: Vec<usize> = starts.collect();
        let [start] = starts[..] else { return None };
        Some([whole[..start].to_vec(), whole[start + bare.len()..].to_vec()])
    };
    let found = around("two words")?;
    (around("other 7!")? == found).then_some(found)
}
