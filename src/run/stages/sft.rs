//! Fine-tune the policy on the chosen responses; the result is also the reference.

use std::path::PathBuf;

use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::Stage;
use super::confidence::Labelled;
use super::data::Prepared;
use super::encode::{encode, encoder, max_length};
use super::{load_to_train, stream};
use crate::batch::{Ranked, Sequence};
use crate::data::Side;
use crate::model::{
    Checkpoint, Footprint, ModelFiles, Storage, collect_trained, load_as, load_named, save_tensors,
    take_tensors,
};
use crate::run::find_model;
use crate::text::{Encoder, Fit};
use crate::train::{Order, SftTask};

/// The labelled pairs in the policy's tokens.
pub(crate) struct Material {
    /// The policy's files.
    pub(crate) files: ModelFiles,
    /// Its tokenizer and its way of writing prompts.
    pub(crate) encoder: Encoder,
    /// Tokens of its longest sequence.
    pub(crate) max_length: usize,
    /// Pairs that fit, told apart by their labels.
    pub(crate) pairs: Vec<(Ranked<Sequence>, Labelled)>,
}

impl Material {
    pub(crate) fn new(
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
pub(crate) fn no_pair_fits(max_length: usize) -> RunError {
    RunError::Impossible(format!(
        "no pair fits into {max_length} tokens; raise data.max_length, as far as the policy's positions allow"
    ))
}

/// What SFT leaves: the trained weights of the reference.
const REFERENCE: &str = "checkpoints/reference.safetensors";

/// The file of what SFT left, if it was part of the run and is complete.
pub(crate) fn tuned(session: &Session<'_>) -> Option<PathBuf> {
    session.file_of(Stage::Sft, REFERENCE)
}

/// The policy's starting point, which is also its reference.
pub(crate) fn reference(
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
pub(crate) fn aligned(session: &Session<'_>) -> Result<Checkpoint, RunError> {
    let folder = session.folder.path().join("policy");
    let precision = session.recipe.policy.precision;
    Ok(load_as(&find_model(&folder.to_string_lossy())?, &session.device, precision)?)
}

pub(crate) fn run(session: &mut Session<'_>, material: &Material) -> Result<(), RunError> {
    let training = session.recipe.sft.training.clone();
    let (shuffle, seed) = (session.recipe.data.shuffle, session.recipe.seed);
    let order = Order::new(material.pairs.len(), &training, shuffle, seed, stream::SFT);
    if order.total == 0 {
        return Ok(());
    }
    session.stage(Stage::Sft, order.total, |session| {
        let checkpoint = reference(session, material)?;
        let sequences = material.pairs.iter().map(|(sides, _)| sides.chosen.clone()).collect();
        let mut task = SftTask::new(sequences, material.encoder.tokenizer.pad);
        let footprint = Footprint::of(&checkpoint, session.recipe.policy.precision);
        let plan = session.plan(Stage::Sft, &footprint, &task, &order, &training)?;
        let decoder = checkpoint.decoder;
        let tuned = session.train(Stage::Sft, decoder, &mut task, order, &training, plan)?;
        let path = session.folder.path().join(REFERENCE);
        save_tensors(&path, &collect_trained(&tuned), Storage::F32)?;
        session.produced(REFERENCE)
    })
}
