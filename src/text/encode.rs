//! Pairs as token sequences, by TRL's conventions.

use std::sync::Arc;

use rayon::prelude::*;

use super::prompt::response_text;
use super::{TextError, Tokenizer, prompt_text};
use crate::data::Pair;

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
    fn cut(&self, limit: usize) -> Self {
        let mut cut = self.clone();
        cut.response.truncate(limit.saturating_sub(self.prompt.len()));
        cut
    }
}

/// A pair as tokens; nothing is cut yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPair {
    /// Index of the pair in its pool.
    pub pair: usize,
    /// First and second response, each with its prompt.
    pub sides: [Sequence; 2],
    /// The tokenizer merges across the border of prompt and response, so that the prompt's
    /// own tokens are not a prefix of the whole.
    pub merged: bool,
}

/// What happens to a pair that exceeds the length limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// A pair with either side over the limit is dropped: the annotator must see the ends.
    Whole,
    /// The start is kept; a pair whose prompt fills the limit, or whose sides become
    /// equal, is dropped.
    Start,
}

impl EncodedPair {
    /// The pair under a limit of `max_length` tokens a side, or `None` where it is dropped.
    pub fn fit(&self, fit: Fit, max_length: usize) -> Option<[Sequence; 2]> {
        let [first, second] = &self.sides;
        match fit {
            Fit::Whole => {
                let fits = first.len() <= max_length && second.len() <= max_length;
                fits.then(|| self.sides.clone())
            }
            Fit::Start => {
                let cut = [first.cut(max_length), second.cut(max_length)];
                let prompt_fills = self.sides.iter().any(|side| side.prompt.len() >= max_length);
                (!prompt_fills && cut[0] != cut[1]).then_some(cut)
            }
        }
    }
}

/// Encode chosen pairs of a pool, in parallel, in order.
///
/// EOS is appended to the text of every response that does not end in it. The prompt of a
/// pair is what its own tokens share with those of prompt + response, on both sides; each
/// response is what follows.
///
/// # Errors
///
/// The tokenizer's own failure.
pub fn encode_pairs(
    tokenizer: &Tokenizer,
    pairs: &[Pair],
    indexes: &[usize],
) -> Result<Vec<EncodedPair>, TextError> {
    indexes.par_iter().map(|&i| encode_pair(tokenizer, i, &pairs[i])).collect()
}

fn encode_pair(tokenizer: &Tokenizer, index: usize, pair: &Pair) -> Result<EncodedPair, TextError> {
    let prompt = prompt_text(&pair.prompt);
    let alone = tokenizer.encode(&prompt)?;
    let whole = |response: &str| {
        let mut text = prompt.clone();
        text.push_str(&response_text(&pair.prompt, response));
        if !text.ends_with(&tokenizer.eos_text) {
            text.push_str(&tokenizer.eos_text);
        }
        tokenizer.encode(&text)
    };
    let both = [whole(&pair.responses[0])?, whole(&pair.responses[1])?];
    let shared = both.iter().map(|all| common_prefix(&alone, all)).min().unwrap_or(0);
    let head: Arc<[u32]> = alone[..shared].into();
    let sides = both.map(|all| Sequence { prompt: head.clone(), response: all[shared..].to_vec() });
    Ok(EncodedPair { pair: index, sides, merged: shared < alone.len() })
}

fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}
