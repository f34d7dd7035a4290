//! From pairs to tokens to batches.

mod batch;
mod byte_level;
mod chat;
mod controls;
mod encode;
mod encoder;
mod guard;
mod isolate;
mod lengths;
pub(crate) mod moment;
mod prompt;
mod tokenizer;
mod vocabulary;

pub use batch::{Batch, Segment, SegmentKind, Span, bucket};
pub use chat::{ChatTemplate, Special, TEMPLATE_FILE, special_tokens};
pub use controls::{ControlWords, ControlsFound};
pub use encode::{Encoded, EncodedPair, Fit, Sequence, encode_pairs};
pub use encoder::{Chat, ChatStyle, Encoder, Rendered};
pub use isolate::{COMMAND as PROCESS_COMMAND, Isolation, Limits, isolate_in, serve};
pub use lengths::{Lengths, QUANTILES};
pub use prompt::{TextError, prompt_text};
pub use tokenizer::Tokenizer;
