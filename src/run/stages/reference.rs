//! Log-probabilities of the frozen reference, which the objective compares the policy with.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::super::Recipe;
use super::super::cache::OutputCache;
use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::{AboutStage, Stage, StageEstimate, Whose};
use super::aligning::Aligning;
use super::estimating::Estimating;
use super::material::{LabelledPair, Material, tuned};
use super::policy::{ALIGN, idle};
use super::work::Work;
use super::{StageDefinition, Then};
use crate::annotate::response_log_probs;
use crate::batch::{Ranked, Sequence};
use crate::files::hex;
use crate::model::{SavedTensor, Storage, load_named, save_tensors};
use crate::train::OutputKind;

pub(super) struct Reference;

impl Stage {
    /// Log-probabilities of the frozen reference.
    pub const REFERENCE: Self = Self("reference");
}

static ABOUT: AboutStage = AboutStage {
    stage: Stage::REFERENCE,
    title: "Reference",
    part: &ALIGN,
    model: Whose::Policy,
    computes: true,
    seed: 4,
};

impl StageDefinition for Reference {
    fn about(&self) -> &'static AboutStage {
        &ABOUT
    }

    fn is_skipped(&self, recipe: &Recipe) -> bool {
        idle(recipe) || !recipe.policy.objective.needs().reference
    }

    /// It is computed in the parts in which the policy will be.
    fn planned_as(&self) -> Stage {
        Stage::POLICY
    }

    fn estimate(&self, inputs: &Estimating<'_>) -> Result<Option<StageEstimate>, RunError> {
        let policy = inputs.policy()?;
        let batch = 2 * inputs.recipe.policy.training.batch_size;
        let kind = OutputKind::LogProbs;
        let needs =
            inputs.inferred(Stage::REFERENCE, policy.footprint(), kind, &policy.pairs, batch);
        Ok(Some(needs))
    }

    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError> {
        if session.is_done(Stage::POLICY) {
            return Ok(Then::Next);
        }
        let material = work.material(session)?;
        let mut aligning = work.take_aligning(session)?;
        let known = log_probs(session, material, &aligning)?;
        aligning.task.set_reference(known);
        work.aligning.replace(Some(aligning));
        Ok(Then::Next)
    }
}

/// What is read of a reference.
const LOG_PROBS: &str = "log-probabilities of responses";

/// Log-probabilities of all responses under the reference;
/// computed once and kept under a key made of everything that they depend on.
fn log_probs(
    session: &mut Session<'_>,
    material: &Material,
    aligning: &Aligning,
) -> Result<Vec<Ranked<f32>>, RunError> {
    let pairs = &aligning.pairs(material)[..];
    let name = format!("checkpoints/reference-log-probs-{}.safetensors", key(session, pairs));
    let path = session.folder.path().join(&name);
    session.stage(Stage::REFERENCE, pairs.len() as u64, |session| {
        let pad = material.encoder.tokenizer.pad;
        let mut cache = session.cached(&aligning.checkpoint.decoder, LOG_PROBS)?;
        in_training_batches(session, aligning, (pairs, pad), &mut cache)?;
        let all = pairs.iter().flat_map(|(sides, _)| sides.each());
        let values = all.map(|side| cache.get(side).unwrap_or(f32::NAN)).collect();
        session.keep_cache(cache)?;
        let saved = SavedTensor { shape: vec![pairs.len(), 2], values };
        save_tensors(&path, &BTreeMap::from([("log_probs".to_owned(), saved)]), Storage::F32)?;
        session.produced(&name)
    })?;
    let saved = load_named(&path)?.remove("log_probs");
    let values = saved.map(|tensor| tensor.values).unwrap_or_default();
    if values.len() != 2 * pairs.len() {
        return Err(RunError::Impossible(format!(
            "{}: {} log-probabilities; expected two for each of {} pairs; begin the run again",
            path.display(),
            values.len(),
            pairs.len()
        )));
    }
    let pairs = values.as_chunks::<2>().0.iter();
    Ok(pairs.map(|&[chosen, rejected]| Ranked { chosen, rejected }).collect())
}

/// Learn what is not known yet, computed in the very batches of the first epoch: there the policy
/// is still the reference, and batches of other shapes may differ from it in the last bits.
fn in_training_batches(
    session: &mut Session<'_>,
    aligning: &Aligning,
    (pairs, pad): (&[&LabelledPair], u32),
    cache: &mut OutputCache,
) -> Result<(), RunError> {
    let batch_size = session.recipe.policy.training.batch_size;
    let total = pairs.len() as u64;
    let mut done = 0;
    for items in aligning.order.first_epoch() {
        for part in aligning.plan.parts(&items, batch_size) {
            let sides = || part.iter().map(|&i| &pairs[i].0);
            let chosen = sides().map(|sides| &sides.chosen);
            let all: Vec<&Sequence> = chosen.chain(sides().map(|sides| &sides.rejected)).collect();
            let new: Vec<&Sequence> =
                all.into_iter().filter(|side| cache.get(side).is_none()).collect();
            if !new.is_empty() {
                let sums = response_log_probs(&aligning.checkpoint.decoder, &new, pad)?;
                new.into_iter().zip(sums).for_each(|(side, sum)| cache.put(side, sum));
            }
            done += part.len() as u64;
            session.progress(Stage::REFERENCE, done, total)?;
        }
    }
    Ok(())
}

/// A hash of the reference's weights and of all token sequences.
fn key(session: &Session<'_>, pairs: &[&LabelledPair]) -> String {
    let mut hash = Sha256::new();
    hash.update(session.state.inputs.get("policy.model").map(String::as_bytes).unwrap_or_default());
    hash.update(tuned(session).and_then(|path| std::fs::read(path).ok()).unwrap_or_default());
    for sequence in pairs.iter().flat_map(|(sides, _)| sides.each()) {
        for part in [&sequence.prompt[..], &sequence.response[..]] {
            hash.update((part.len() as u64).to_le_bytes());
            part.iter().for_each(|token| hash.update(token.to_le_bytes()));
        }
    }
    hex(&hash.finalize()[..8])
}
