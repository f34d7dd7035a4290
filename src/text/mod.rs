//! From pairs to tokens.

mod byte_level;
mod chat;
mod control_words;
mod controls;
mod encode;
mod encoded;
mod encoder;
mod error;
mod facts;
mod guard;
mod inner;
mod isolate;
mod lengths;
mod library;
mod model_error;
pub(crate) mod moment;
mod prompt;
mod special;
mod style;
mod tokenizer;
mod vocabulary;

pub use chat::{ChatTemplate, TEMPLATE_FILE};
pub use control_words::ControlWords;
pub use controls::ControlsFound;
pub use encode::encode_pairs;
pub use encoded::{Encoded, EncodedPair, Fit};
pub use encoder::{Encoder, Rendered};
pub use error::TextError;
pub use isolate::{COMMAND as PROCESS_COMMAND, Isolation, Limits, isolate_in, serve};
pub use lengths::{Lengths, QUANTILES};
pub use prompt::prompt_text;
pub use special::{Special, special_tokens};
pub use style::{Chat, ChatStyle};
pub use tokenizer::Tokenizer;
