//! Models that are asked about the very sequences that the policy reads.

use super::super::error::RunError;
use super::prepared::Prepared;
use crate::model::{ModelFiles, read_config};
use crate::text::{Encoder, encode_pairs};

/// Pairs whose tokens are compared.
pub(super) const LOOKED_AT: usize = 64;

/// A model's files, and its way of writing prompts.
pub(super) type Written<'a> = (&'a ModelFiles, &'a Encoder);

/// Whether a model reads some pairs in the policy's tokens; `setting` names it, `role` says what it is.
///
/// # Errors
///
/// It does not: its tokenizer, its chat template or its vocabulary is another.
pub(super) fn same_tokens(
    prepared: &Prepared,
    looked_at: &[usize],
    (ours, our_encoder): Written<'_>,
    (files, encoder): Written<'_>,
    [setting, role]: [&str; 2],
) -> Result<(), RunError> {
    let known = |files: &ModelFiles| Ok::<_, RunError>(read_config(files)?.1.vocabulary);
    let (theirs_known, ours_known) = (known(files)?, known(ours)?);
    let mut same = theirs_known == ours_known;
    // One with fewer tokens has no row for some of the policy's, which would be another error.
    if same {
        let theirs = encode_pairs(encoder, &prepared.pairs, looked_at)?.pairs;
        same = theirs == encode_pairs(our_encoder, &prepared.pairs, looked_at)?.pairs;
    }
    if !same {
        return Err(RunError::Impossible(format!(
            "{setting}: {} reads the pairs in other tokens than the policy {} ({theirs_known} and {ours_known} in their vocabularies); {role} needs the policy's tokenizer and its way of writing prompts",
            files.name(),
            ours.name()
        )));
    }
    Ok(())
}
