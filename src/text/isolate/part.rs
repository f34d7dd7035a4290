//! What of the work on text can exceed a limit.

use serde::{Deserialize, Serialize};

/// What can exceed a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::text) enum Part {
    /// The program itself, before it does anything.
    Start,
    /// The tokenizer.
    Tokenizer,
    /// The chat template.
    Template,
}
