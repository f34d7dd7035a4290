//! What references say of pairs, which an objective compares the policy with.

use std::collections::BTreeMap;

use super::super::error::RunError;
use super::super::find_model;
use super::super::session::Session;
use super::super::sizes::frozen_footprint;
use super::super::stage::Stage;
use super::aligning::Aligning;
use super::encode::encoder;
use super::estimating::Estimating;
use super::log_probs::{LOG_PROBS, learn};
use super::same_tokens::{LOOKED_AT, same_tokens};
use super::work::Work;
use crate::annotate::response_log_probs;
use crate::batch::{Ranked, Sequence};
use crate::model::{
    Decoder, MemoryEstimate, SavedTensor, Storage, load_as, load_named, save_tensors,
};
use crate::preference::joint_reference;
use crate::train::{OutputKind, Task};

/// The model that the policy is compared with first.
#[derive(Clone, Copy)]
pub(super) struct Base<'a> {
    pub(super) decoder: &'a Decoder,
    /// Whether runs to come may ask it the same.
    pub(super) lasts: bool,
}

/// Leave in a file of the run's folder what all references together say of the pairs: log-probabilities of the
/// sequences of each, chosen, rejected, and what else the objective reads.
pub(super) fn write(
    session: &mut Session<'_>,
    work: &Work,
    aligning: &Aligning,
    base: Base<'_>,
    name: &str,
) -> Result<(), RunError> {
    let pad = work.material(session)?.encoder.tokenizer.pad;
    let values = of_all(session, work, aligning, base, pad)?;
    let (items, sides) = (values.len(), values.first().map_or(2, Vec::len));
    let values = values.into_iter().flatten().map(|value| value as f32).collect();
    let saved = SavedTensor { shape: vec![items, sides], values };
    let path = session.folder.path().join(name);
    save_tensors(&path, &BTreeMap::from([("log_probs".to_owned(), saved)]), Storage::F32)?;
    session.produced(name)
}

/// Let the objective know what [`write`] left.
///
/// # Errors
///
/// The file is damaged, or of other pairs.
pub(super) fn take(
    session: &Session<'_>,
    aligning: &mut Aligning,
    name: &str,
) -> Result<(), RunError> {
    let path = session.folder.path().join(name);
    let saved = load_named(&path)?.remove("log_probs");
    let values = saved.map(|tensor| tensor.values).unwrap_or_default();
    let items = aligning.kept.len();
    let sides = aligning.task.sequences(&[0]).len();
    if values.len() != sides * items {
        return Err(RunError::Impossible(format!(
            "{}: {} log-probabilities; expected {sides} for each of {items} pairs; begin the run again",
            path.display(),
            values.len(),
        )));
    }
    let known: Vec<Vec<f64>> =
        values.chunks(sides).map(|pair| pair.iter().map(|v| f64::from(*v)).collect()).collect();
    let side = |pair: &Vec<f64>, i: usize| pair.get(i).copied().unwrap_or_default();
    aligning.task.set_mismatched(known.iter().map(|pair| side(pair, 2)).collect());
    let both = |pair| Ranked { chosen: side(pair, 0), rejected: side(pair, 1) };
    aligning.task.set_reference(known.iter().map(both).collect());
    Ok(())
}

/// What all references together say of each pair's sequences.
fn of_all(
    session: &mut Session<'_>,
    work: &Work,
    aligning: &Aligning,
    base: Base<'_>,
    pad: u32,
) -> Result<Vec<Vec<f64>>, RunError> {
    let others = session.recipe.policy.references.clone();
    let turns = 1 + others.len() as u64;
    let mut found = of_one(session, base, aligning, pad, [0, turns])?;
    let mut all: Vec<Vec<Ranked<f64>>> = Vec::new();
    for (i, field) in others.iter().enumerate() {
        let decoder = another(session, work, field)?;
        let other = Base { decoder: &decoder, lasts: true };
        let said = of_one(session, other, aligning, pad, [i as u64 + 1, turns])?;
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

/// The most that one of the further references takes by itself, each being asked in its turn; `None` where there is
/// none.
///
/// # Errors
///
/// Its settings cannot be read.
pub(super) fn further(
    inputs: &Estimating<'_>,
    pairs: &[[Sequence; 2]],
) -> Result<Option<MemoryEstimate>, RunError> {
    let settings = &inputs.recipe.policy;
    let batch = 2 * settings.training.batch_size;
    let mut most: Option<MemoryEstimate> = None;
    for field in &settings.references {
        let files = find_model(field)?;
        let footprint = frozen_footprint(&files, settings.precision, inputs.device())?;
        let kind = OutputKind::LogProbs;
        let needs = inputs.inferred(Stage::REFERENCE, &footprint, kind, pairs, batch).needs;
        most = most.into_iter().chain([needs]).max_by_key(MemoryEstimate::total);
    }
    Ok(most)
}

/// What one reference says, computed in the very batches of the first epoch: there the policy is still the
/// reference, and batches of other shapes may differ from it in the last bits. It speaks as one of several, in its
/// turn.
fn of_one(
    session: &mut Session<'_>,
    Base { decoder, lasts }: Base<'_>,
    aligning: &Aligning,
    pad: u32,
    [turn, turns]: [u64; 2],
) -> Result<Vec<Vec<f64>>, RunError> {
    let batch_size = session.recipe.policy.training.batch_size;
    let task = &aligning.task;
    let mut found = vec![Vec::new(); task.len()];
    let total = task.len() as u64;
    // A sum that leaves part of the tokens out depends on the other response, which no cache knows.
    let whole = session.recipe.policy.preference().ld_alpha.is_none();
    let mut cache = match whole && lasts {
        true => Some(session.cached(decoder, LOG_PROBS)?),
        false => None,
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
            session.progress(Stage::REFERENCE, (turn * total + done) / turns, total)?;
        }
    }
    if let Some(cache) = cache {
        session.keep_cache(cache)?;
    }
    Ok(found)
}
