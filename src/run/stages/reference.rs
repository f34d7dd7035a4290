//! Log-probabilities of the frozen reference, which the objective compares the policy with.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::{AboutStage, Stage, StageEstimate, Whose};
use super::super::{Recipe, find_model};
use super::aligning::Aligning;
use super::encode::encoder;
use super::estimating::Estimating;
use super::log_probs::{LOG_PROBS, learn};
use super::material::tuned;
use super::policy::{ALIGN, idle};
use super::same_tokens::{LOOKED_AT, same_tokens};
use super::work::Work;
use super::{StageDefinition, Then};
use crate::annotate::response_log_probs;
use crate::batch::Ranked;
use crate::files::hex;
use crate::model::{Decoder, SavedTensor, Storage, load_as, load_named, save_tensors};
use crate::preference::joint_reference;
use crate::train::{OutputKind, Task};

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
        let mut aligning = work.take_aligning(session)?;
        let known = log_probs(session, work, &aligning)?;
        let side = |pair: &Vec<f64>, i: usize| pair.get(i).copied().unwrap_or_default();
        aligning.task.set_mismatched(known.iter().map(|pair| side(pair, 2)).collect());
        let both = |pair| Ranked { chosen: side(pair, 0), rejected: side(pair, 1) };
        aligning.task.set_reference(known.iter().map(both).collect());
        work.aligning.replace(Some(aligning));
        Ok(Then::Next)
    }
}

/// Log-probabilities of all sequences of the pairs under the reference, those of each pair together: chosen,
/// rejected, and what else the objective reads. Computed once and kept under a key made of everything that they
/// depend on.
fn log_probs(
    session: &mut Session<'_>,
    work: &Work,
    aligning: &Aligning,
) -> Result<Vec<Vec<f64>>, RunError> {
    let material = work.material(session)?;
    let items = aligning.kept.len();
    let name = format!("checkpoints/reference-log-probs-{}.safetensors", key(session, aligning));
    let path = session.folder.path().join(&name);
    session.stage(Stage::REFERENCE, items as u64, |session| {
        let pad = material.encoder.tokenizer.pad;
        let values = of_all(session, work, aligning, pad)?;
        let sides = values.first().map_or(2, Vec::len);
        let values = values.into_iter().flatten().map(|value| value as f32).collect();
        let saved = SavedTensor { shape: vec![items, sides], values };
        save_tensors(&path, &BTreeMap::from([("log_probs".to_owned(), saved)]), Storage::F32)?;
        session.produced(&name)
    })?;
    let saved = load_named(&path)?.remove("log_probs");
    let values = saved.map(|tensor| tensor.values).unwrap_or_default();
    let sides = aligning.task.sequences(&[0]).len();
    if values.len() != sides * items {
        return Err(RunError::Impossible(format!(
            "{}: {} log-probabilities; expected {sides} for each of {items} pairs; begin the run again",
            path.display(),
            values.len(),
        )));
    }
    Ok(values.chunks(sides).map(|pair| pair.iter().map(|v| f64::from(*v)).collect()).collect())
}

/// What all references together say of each pair's sequences.
fn of_all(
    session: &mut Session<'_>,
    work: &Work,
    aligning: &Aligning,
    pad: u32,
) -> Result<Vec<Vec<f64>>, RunError> {
    let others = session.recipe.policy.references.clone();
    let rounds = 1 + others.len() as u64;
    let mut found = of_one(session, &aligning.checkpoint.decoder, aligning, pad, [0, rounds])?;
    let mut all: Vec<Vec<Ranked<f64>>> = Vec::new();
    for (i, field) in others.iter().enumerate() {
        let decoder = another(session, work, field)?;
        let said = of_one(session, &decoder, aligning, pad, [i as u64 + 1, rounds])?;
        all.push(said.iter().map(|pair| Ranked { chosen: pair[0], rejected: pair[1] }).collect());
    }
    if all.is_empty() {
        return Ok(found);
    }
    let preference = session.recipe.policy.preference();
    for (i, pair) in found.iter_mut().enumerate() {
        let base = Ranked { chosen: pair[0], rejected: pair[1] };
        let others: Vec<Ranked<f64>> = all.iter().map(|said| said[i]).collect();
        let joint = joint_reference(base, &others, &preference);
        (pair[0], pair[1]) = (joint.chosen, joint.rejected);
    }
    Ok(found)
}

/// A further reference, which has to read the same tokens.
fn another(session: &mut Session<'_>, work: &Work, field: &str) -> Result<Decoder, RunError> {
    let files = find_model(field)?;
    let material = work.material(session)?;
    let prepared = work.prepared()?;
    let own = encoder(session, &files)?;
    let looked_at: Vec<usize> =
        material.pairs.iter().take(LOOKED_AT).map(|(_, label)| label.pair).collect();
    let ours = (&material.files, &material.encoder);
    let names = ["policy.references", "a reference"];
    same_tokens(prepared, &looked_at, ours, (&files, &own), names)?;
    let checkpoint = load_as(&files, &session.device, session.recipe.policy.precision)?;
    Ok(checkpoint.decoder.without_dropout())
}

/// What one reference says, computed in the very batches of the first epoch: there the policy is still the
/// reference, and batches of other shapes may differ from it in the last bits. It is one of several `rounds`.
fn of_one(
    session: &mut Session<'_>,
    decoder: &Decoder,
    aligning: &Aligning,
    pad: u32,
    [round, rounds]: [u64; 2],
) -> Result<Vec<Vec<f64>>, RunError> {
    let batch_size = session.recipe.policy.training.batch_size;
    let task = &aligning.task;
    let mut found = vec![Vec::new(); task.len()];
    let total = task.len() as u64;
    // A sum that leaves part of the tokens out depends on the other response, which no cache knows.
    let mut cache = match session.recipe.policy.preference().ld_alpha {
        Some(_) => None,
        None => Some(session.cached(decoder, LOG_PROBS)?),
    };
    let mut done = 0;
    for items in aligning.order.first_epoch() {
        for part in aligning.plan.parts(&items, batch_size) {
            let all = task.sequences(part);
            let values: Vec<f32> = match &mut cache {
                Some(cache) => {
                    learn(cache, decoder, &all, pad)?;
                    all.iter().map(|side| cache.get(side).unwrap_or(f32::NAN)).collect()
                }
                None => response_log_probs(decoder, &all, pad, &task.reference_reading(part))?,
            };
            for (i, value) in values.into_iter().enumerate() {
                found[part[i % part.len()]].push(f64::from(value));
            }
            done += part.len() as u64;
            session.progress(Stage::REFERENCE, (round * total + done) / rounds, total)?;
        }
    }
    if let Some(cache) = cache {
        session.keep_cache(cache)?;
    }
    Ok(found)
}

/// A hash of the references' weights, of how they are read, and of all token sequences.
fn key(session: &Session<'_>, aligning: &Aligning) -> String {
    let settings = &session.recipe.policy;
    let mut hash = Sha256::new();
    let input = |name: &str| session.state.inputs.get(name).map(String::as_bytes);
    hash.update(input("policy.model").unwrap_or_default());
    hash.update(tuned(session).and_then(|path| std::fs::read(path).ok()).unwrap_or_default());
    for i in 0..settings.references.len() {
        hash.update(input(&reference_name(i)).unwrap_or_default());
    }
    let preference = settings.preference();
    if let Some(alpha) = preference.ld_alpha {
        hash.update(alpha.to_le_bytes());
    }
    for item in 0..aligning.task.len() {
        for sequence in aligning.task.sequences(&[item]) {
            for part in [&sequence.prompt[..], &sequence.response[..]] {
                hash.update((part.len() as u64).to_le_bytes());
                part.iter().for_each(|token| hash.update(token.to_le_bytes()));
            }
        }
    }
    hex(&hash.finalize()[..8])
}

/// What the state calls a further reference.
pub(super) fn reference_name(i: usize) -> String {
    format!("policy.references.{i}")
}
