//! Pairs as token sequences, by TRL's conventions.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Encoder, Rendered, TextError};
use crate::data::{Pair, Prompt};

/// Pairs by their index, as tokens or refused.
pub(super) type EachPair = Vec<(usize, Result<EncodedPair, TextError>)>;

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

/// Pairs as tokens, and those that the chat template refuses.
#[derive(Debug, Default)]
pub struct Encoded {
    /// In the order asked for.
    pub pairs: Vec<EncodedPair>,
    /// Indexes of the pairs that the template refuses or cannot render, with its words.
    pub refused: Vec<(usize, TextError)>,
}

impl Encoded {
    /// Pairs whose prompt has other tokens alone than before a response.
    pub fn merged(&self) -> usize {
        self.pairs.iter().filter(|pair| pair.merged).count()
    }
}

/// Encode chosen pairs of a pool, in parallel, in order.
///
/// The prompt of a pair is what its own tokens share with those of prompt + response, on both
/// sides; each response is what follows. How they are written says [`Encoder::whole`].
///
/// # Errors
///
/// The tokenizer's own failure.
pub fn encode_pairs(
    encoder: &Encoder,
    pairs: &[Pair],
    indexes: &[usize],
) -> Result<Encoded, TextError> {
    let each: EachPair = match encoder.process() {
        Some(process) => process.pairs(pairs, indexes)?,
        None => indexes.par_iter().map(|&i| (i, encode_pair(encoder, i, &pairs[i]))).collect(),
    };
    let mut encoded = Encoded::default();
    for (i, outcome) in each {
        match outcome {
            Ok(pair) => encoded.pairs.push(pair),
            Err(
                error @ (TextError::Template { .. }
                | TextError::Refused { .. }
                | TextError::Control { .. }),
            ) => {
                encoded.refused.push((i, error));
            }
            Err(TextError::Beyond { path, token, id, rows, .. }) => {
                let line = pairs[i].source.line;
                return Err(TextError::Beyond { path, token, id, rows, line });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(encoded)
}

fn encode_pair(encoder: &Encoder, index: usize, pair: &Pair) -> Result<EncodedPair, TextError> {
    cut_pair(encoder, index, &write_pair(encoder, &pair.prompt, &pair.responses)?)
}

/// The prompt alone, and with either response.
pub(super) fn write_pair(
    encoder: &Encoder,
    prompt: &Prompt,
    responses: &[String; 2],
) -> Result<[Rendered; 3], TextError> {
    let [first, second] = responses;
    Ok([encoder.prompt(prompt)?, encoder.whole(prompt, first)?, encoder.whole(prompt, second)?])
}

/// The tokens of what [`write_pair`] wrote.
pub(super) fn cut_pair(
    encoder: &Encoder,
    index: usize,
    [alone, first, second]: &[Rendered; 3],
) -> Result<EncodedPair, TextError> {
    let alone = encoder.encode(alone)?;
    let both = [encoder.encode(first)?, encoder.encode(second)?];
    let shared = both.iter().map(|all| common_prefix(&alone, all)).min().unwrap_or(0);
    let head: Arc<[u32]> = alone[..shared].into();
    let sides = both.map(|all| Sequence { prompt: head.clone(), response: all[shared..].to_vec() });
    Ok(EncodedPair { pair: index, sides, merged: shared < alone.len() })
}

pub(super) fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}
