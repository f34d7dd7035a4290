//! What the policy learns from, and the models that it is compared with.

use std::path::PathBuf;

use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::Stage;
use super::encode::{encode, encoder, max_length};
use super::labels::Labelled;
use super::load::load_to_train;
use super::prepared::Prepared;
use crate::batch::{Ranked, Sequence};
use crate::data::Side;
use crate::model::{Checkpoint, ModelFiles, load_as, load_named, take_tensors};
use crate::run::find_model;
use crate::text::{Encoder, Fit};

/// A pair in the policy's tokens with its label.
pub(super) type LabelledPair = (Ranked<Sequence>, Labelled);

/// The labelled pairs in the policy's tokens.
pub(super) struct Material {
    /// The policy's files.
    pub(super) files: ModelFiles,
    /// Its tokenizer and its way of writing prompts.
    pub(super) encoder: Encoder,
    /// Tokens of its longest sequence.
    pub(super) max_length: usize,
    /// Pairs that fit, told apart by their labels.
    pub(super) pairs: Vec<LabelledPair>,
}

impl Material {
    pub(super) fn new(
        session: &mut Session<'_>,
        prepared: &Prepared,
        labels: &[Labelled],
    ) -> Result<Self, RunError> {
        let files = find_model(&session.recipe.policy.model)?;
        let encoder = encoder(session, &files)?;
        let max_length = max_length(&session.recipe, &files)?;
        let indexes: Vec<usize> = labels.iter().map(|l| l.pair).collect();
        let encoded = encode(session, &encoder, prepared, &indexes, ["policy", "training"])?;
        let mut pairs = Vec::with_capacity(encoded.len());
        // Some pairs may have been refused; the others stand in the order of their labels.
        let mut labels = labels.iter();
        for pair in encoded {
            let Some(label) = labels.find(|label| label.pair == pair.pair) else { break };
            match pair.fit(Fit::Start, max_length) {
                Some(sides) => {
                    pairs.push((Ranked::of(sides, label.chosen == Side::Second), *label));
                }
                None => {
                    session.too_long.insert(pair.pair);
                }
            }
        }
        if pairs.is_empty() {
            return Err(no_pair_fits(max_length));
        }
        Ok(Self { files, encoder, max_length, pairs })
    }
}

/// Nothing is left to train on.
pub(super) fn no_pair_fits(max_length: usize) -> RunError {
    RunError::Impossible(format!(
        "no pair fits into {max_length} tokens; raise data.max_length, as far as the policy's positions allow"
    ))
}

/// What SFT leaves: the trained weights of the reference.
pub(super) const REFERENCE: &str = "checkpoints/reference.safetensors";

/// The file of what SFT left, if it was part of the run and is complete.
pub(super) fn tuned(session: &Session<'_>) -> Option<PathBuf> {
    session.file_of(Stage::SFT, REFERENCE)
}

/// The policy's starting point, which is also its reference.
pub(super) fn reference(
    session: &Session<'_>,
    material: &Material,
) -> Result<Checkpoint, RunError> {
    let settings = &session.recipe.policy;
    let (precision, lora) = (settings.precision, &settings.lora);
    let mut checkpoint = load_to_train(session, &material.files, "policy", precision, lora)?;
    // A sequence classifier's scalar head has no part in a policy.
    checkpoint.decoder.score = None;
    if let Some(path) = tuned(session) {
        checkpoint.decoder = take_tensors(checkpoint.decoder, load_named(&path)?);
    }
    Ok(checkpoint)
}

/// The aligned policy, as it was written.
pub(super) fn aligned(session: &Session<'_>) -> Result<Checkpoint, RunError> {
    let folder = session.folder.path().join("policy");
    let precision = session.recipe.policy.precision;
    Ok(load_as(&find_model(&folder.to_string_lossy())?, &session.device, precision)?)
}
