//! Pairs → token sequences, by TRL's conventions.

use std::sync::Arc;

use rayon::prelude::*;

use super::encoded::{EachPair, Encoded, EncodedPair, common_prefix};
use super::{Encoder, Rendered, TextError};
use crate::batch::Sequence;
use crate::data::{Pair, Prompt};

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
