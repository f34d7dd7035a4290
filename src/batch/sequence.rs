//! One sequence of tokens.

use std::sync::Arc;

/// A prompt and one response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Ids of the prompt.
    pub prompt: Arc<[u32]>,
    /// Ids of the response, EOS included.
    pub response: Vec<u32>,
}

impl Sequence {
    /// Tokens in all.
    pub fn len(&self) -> usize {
        self.prompt.len() + self.response.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `limit` tokens.
    pub(crate) fn cut(&self, limit: usize) -> Self {
        let mut cut = self.clone();
        cut.response.truncate(limit.saturating_sub(self.prompt.len()));
        cut
    }
}
