//! Pairs as token sequences, and what of them fits a length.

use super::error::TextError;
use crate::batch::Sequence;

/// Pairs by their index, as tokens or refused.
pub(super) type EachPair = Vec<(usize, Result<EncodedPair, TextError>)>;

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

/// How many ids two sequences begin with alike.
pub(super) fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}
