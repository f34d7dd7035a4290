//! Align the policy with the labels, each weighted by its confidence.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::super::error::RunError;
use super::super::export::Export;
use super::super::passes::Passes;
use super::super::session::Session;
use super::super::stage::Stage;
use super::super::{AnnotatorKind, Normalisation};
use super::confidence::Labelled;
use super::sft::{Material, reference, tuned};
use super::stream;
use crate::annotate::response_log_probs;
use crate::batch::{Ranked, Sequence};
use crate::files::hex;
use crate::model::{Decoder, Footprint, SavedTensor, Storage, load_named, save_tensors};
use crate::train::{Order, Plan, PolicyPair, PreferenceTask, WeightedMean};

pub(crate) fn run(session: &mut Session<'_>, material: &Material) -> Result<(), RunError> {
    if session.is_done(Stage::Policy) {
        return Ok(());
    }
    let settings = session.recipe.policy.clone();
    let (shuffle, seed) = (session.recipe.data.shuffle, session.recipe.seed);
    let pairs = kept(session, material);
    let order = Order::new(pairs.len(), &settings.training, shuffle, seed, stream::POLICY);
    let mut checkpoint = reference(session, material)?;
    if settings.disable_dropout {
        // The policy begins as its reference, which drops nothing.
        checkpoint.decoder = checkpoint.decoder.without_dropout();
    }
    // The reference is computed in the parts in which the policy will be, so the plan comes first.
    let footprint = Footprint::of(&checkpoint, settings.precision);
    let mut task = task(session, material, &pairs);
    let plan = session.plan(Stage::Policy, &footprint, &task, &order, &settings.training)?;
    if needs_reference(session) {
        let reference = &checkpoint.decoder;
        let known = reference_log_probs(session, material, &pairs, reference, &order, plan)?;
        task.set_reference(known);
    }
    session.stage(Stage::Policy, order.total, |session| {
        let total = order.total;
        checkpoint.decoder = session.train(
            Stage::Policy,
            checkpoint.decoder,
            &mut task,
            order,
            &settings.training,
            plan,
        )?;
        session.measured("policy.steps", total as f64)?;
        let export = Export {
            source: &material.files,
            pad: Some(material.encoder.tokenizer.pad),
            ends: material.encoder.stop(),
            merge: settings.lora.merge,
        };
        session.export("policy", &checkpoint, &export)
    })
}

/// What is read of a reference.
const LOG_PROBS: &str = "log-probabilities of responses";

/// A pair in the policy's tokens with its label.
type LabelledPair = (Ranked<Sequence>, Labelled);

/// Whether the objective compares the policy with a frozen reference.
pub(crate) fn needs_reference(session: &Session<'_>) -> bool {
    session.recipe.policy.objective.needs().reference
}

/// The pairs that batches are made of: all, or those that the weighting selects.
fn kept<'a>(session: &Session<'_>, material: &'a Material) -> Vec<&'a LabelledPair> {
    let weighting = &session.recipe.confidence;
    let weak = session.recipe.annotator.kind != AnnotatorKind::Human;
    let margins = || material.pairs.iter().map(|(_, label)| label.margin).collect::<Vec<_>>();
    // Not by the threshold, which may move while the policy is trained.
    match weak.then(|| weighting.selection(&margins())).flatten() {
        Some(kept) => {
            let pairs = material.pairs.iter().zip(kept);
            pairs.filter(|(_, kept)| *kept).map(|(pair, _)| pair).collect()
        }
        None => material.pairs.iter().collect(),
    }
}

/// The weighted objective over pairs; what the reference says of them is not known yet.
fn task(session: &Session<'_>, material: &Material, pairs: &[&LabelledPair]) -> PreferenceTask {
    let given = pairs.iter().map(|(_, label)| label.weight).collect();
    let pairs = pairs.iter().map(|(sides, label)| PolicyPair {
        sides: sides.clone(),
        reference: Ranked::default(),
        margin: label.margin,
    });
    let mean = match session.recipe.policy.normalisation {
        Normalisation::Pairs => WeightedMean::Pairs,
        Normalisation::Weights => WeightedMean::Weights,
    };
    let weak = session.recipe.annotator.kind != AnnotatorKind::Human;
    let weighting = weak.then(|| session.recipe.confidence.clone());
    let pad = material.encoder.tokenizer.pad;
    let sampling = session.recipe.policy.sampling;
    let preference = session.recipe.policy.preference();
    PreferenceTask::new(pairs.collect(), pad, preference, mean, weighting)
        .with_selected_pairs()
        .with_sampling(sampling)
        .with_given_weights(given)
}

/// Log-probabilities of all responses under the reference;
/// computed once and kept under a key made of everything that they depend on.
fn reference_log_probs(
    session: &mut Session<'_>,
    material: &Material,
    pairs: &[&LabelledPair],
    reference: &Decoder,
    order: &Order,
    plan: Plan,
) -> Result<Vec<Ranked<f32>>, RunError> {
    let name = format!("checkpoints/reference-log-probs-{}.safetensors", key(session, pairs));
    let path = session.folder.path().join(&name);
    session.stage(Stage::Reference, pairs.len() as u64, |session| {
        let pad = material.encoder.tokenizer.pad;
        let mut passes = session.passes(reference, LOG_PROBS)?;
        in_training_batches(session, reference, (pairs, pad), (order, plan), &mut passes)?;
        let all = pairs.iter().flat_map(|(sides, _)| sides.each());
        let values = all.map(|side| passes.get(side).unwrap_or(f32::NAN)).collect();
        session.keep_passes(passes)?;
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
    reference: &Decoder,
    (pairs, pad): (&[&LabelledPair], u32),
    (order, plan): (&Order, Plan),
    passes: &mut Passes,
) -> Result<(), RunError> {
    let batch_size = session.recipe.policy.training.batch_size;
    let total = pairs.len() as u64;
    let mut done = 0;
    for items in order.first_epoch() {
        for part in plan.parts(&items, batch_size) {
            let sides = || part.iter().map(|&i| &pairs[i].0);
            let chosen = sides().map(|sides| &sides.chosen);
            let all: Vec<&Sequence> = chosen.chain(sides().map(|sides| &sides.rejected)).collect();
            let new: Vec<&Sequence> =
                all.into_iter().filter(|side| passes.get(side).is_none()).collect();
            if !new.is_empty() {
                let sums = response_log_probs(reference, &new, pad)?;
                new.into_iter().zip(sums).for_each(|(side, sum)| passes.put(side, sum));
            }
            done += part.len() as u64;
            session.progress(Stage::Reference, done, total)?;
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
