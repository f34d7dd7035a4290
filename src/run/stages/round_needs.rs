//! What rounds take of memory before they train: the policy stays where it is, and whoever is asked stands beside it.

use super::super::error::RunError;
use super::super::find_model;
use super::super::sizes::footprint_of;
use super::super::stage::Stage;
use super::compared::further;
use super::estimating::Estimating;
use super::gold_pairs::{self, BATCH};
use super::sampling::longest;
use crate::batch::{Ranked, Sequence};
use crate::evaluate::SAMPLED_AT_ONCE;
use crate::model::{BatchShape, Footprint, MemoryEstimate, PassKind};
use crate::train::OutputKind;

/// The most that any of it takes: to write, to ask the annotator and the gold model, to ask the first policy.
///
/// # Errors
///
/// A model cannot be read.
pub(super) fn most(
    inputs: &Estimating<'_>,
    sides: &[Ranked<Sequence>],
    max_length: usize,
) -> Result<MemoryEstimate, RunError> {
    let policy = inputs.policy()?.footprint();
    let all = [
        Some(writing(inputs, policy, sides)),
        annotator(inputs)?,
        gold(inputs, max_length)?,
        references(inputs, sides, max_length)?,
    ];
    let beside = all.into_iter().flatten().max_by_key(MemoryEstimate::total).unwrap_or_default();
    Ok(MemoryEstimate { weights: beside.weights + policy.weights(), ..beside })
}

fn of_model(footprint: &Footprint, activations: u64) -> MemoryEstimate {
    MemoryEstimate { weights: footprint.weights(), activations, ..MemoryEstimate::default() }
}

fn writing(
    inputs: &Estimating<'_>,
    policy: &Footprint,
    sides: &[Ranked<Sequence>],
) -> MemoryEstimate {
    let prompt = sides.iter().map(|sides| sides.chosen.prompt.len()).max().unwrap_or(0);
    let new = inputs.recipe.online.max_new_tokens;
    let activations = policy.sampled(SAMPLED_AT_ONCE, prompt, new);
    MemoryEstimate { activations, ..MemoryEstimate::default() }
}

/// The annotator's model, as it reads the pairs that are there.
fn annotator(inputs: &Estimating<'_>) -> Result<Option<MemoryEstimate>, RunError> {
    let settings = &inputs.recipe.annotator;
    if inputs.recipe.rejects_own() || !settings.kind.reads().model() {
        return Ok(None);
    }
    let reader = inputs.annotator()?;
    let pairs = inputs.asked(reader, &inputs.prepared.split.unlabelled)?;
    Ok(Some(inputs.read_by_annotator(reader, &pairs).needs))
}

fn gold(inputs: &Estimating<'_>, max_length: usize) -> Result<Option<MemoryEstimate>, RunError> {
    let name = gold_pairs::model(inputs.recipe).filter(|_| !inputs.recipe.rejects_own());
    let Some(name) = name else { return Ok(None) };
    let precision = inputs.recipe.evaluate.gold_precision;
    let footprint = footprint_of(&find_model(name)?, None, precision, true, inputs.device())?;
    let batch = BatchShape { tokens: BATCH * max_length, targets: 0 };
    let activations = footprint.pass(&batch, true, PassKind::Infer);
    Ok(Some(of_model(&footprint, activations)))
}

/// What is asked how likely it finds the pairs: the policy as it was before the first round, where later ones are
/// compared with that, and further references, beside it.
fn references(
    inputs: &Estimating<'_>,
    sides: &[Ranked<Sequence>],
    max_length: usize,
) -> Result<Option<MemoryEstimate>, RunError> {
    let recipe = inputs.recipe;
    if !recipe.policy.objective.needs().reference {
        return Ok(None);
    }
    let longest = longest(recipe, sides, max_length).into_iter().map(Ranked::into_array);
    let pairs: Vec<[Sequence; 2]> = longest.collect();
    let (policy, batch) = (inputs.policy()?.footprint(), 2 * recipe.policy.training.batch_size);
    let first = (!recipe.compares_with_previous()).then(|| {
        inputs.inferred(Stage::REFERENCE, policy, OutputKind::LogProbs, &pairs, batch).needs
    });
    let held = first.map_or(0, |first| first.weights);
    let further = further(inputs, &pairs)?
        .map(|needs| MemoryEstimate { weights: needs.weights + held, ..needs });
    Ok(first.into_iter().chain(further).max_by_key(MemoryEstimate::total))
}
