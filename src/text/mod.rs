//! From pairs to tokens to batches.

mod batch;
mod encode;
mod prompt;
mod tokenizer;
mod vocabulary;

pub use batch::{Batch, Segment, SegmentKind, bucket};
pub use encode::{EncodedPair, Fit, Sequence, encode_pairs};
pub use prompt::{TextError, prompt_text};
pub use tokenizer::Tokenizer;
