//! The hardest responses that a weak model could have guessed (SALT_DS, arXiv 2410.18779).

use super::super::error::RunError;
use super::super::find_model;
use super::super::session::Session;
use super::super::sizes::frozen_footprint;
use super::super::stage::{Stage, StageEstimate};
use super::estimating::Estimating;
use super::material::Material;
use crate::annotate::{scoring_needs, shapes_of};
use crate::batch::{Batch, Sequence};
use crate::device::read;
use crate::model::{Decoder, Footprint, ModelError, load_as, token_ranks};
use crate::train::{OutputKind, difficulty, hardest};

/// What stands in a cache for a response of which no token could be guessed; losses are not negative.
const NONE: f32 = -1.0;

/// Of these pairs those whose chosen responses are the hardest; all of them where the recipe asks for no choice.
pub(super) fn selected(
    session: &mut Session<'_>,
    material: &Material,
    pairs: Vec<usize>,
) -> Result<Vec<usize>, RunError> {
    let settings = session.recipe.sft.clone();
    let Some(field) = session.recipe.teacher().filter(|_| settings.select_share < 1.0) else {
        return Ok(pairs);
    };
    let files = find_model(field)?;
    let checkpoint = load_as(&files, &session.device, session.recipe.policy.precision)?;
    let footprint = Footprint::of(&checkpoint, session.recipe.policy.precision);
    let decoder = checkpoint.decoder.without_dropout();
    let chosen: Vec<&Sequence> = pairs.iter().map(|&i| &material.pairs[i].0.chosen).collect();
    let wanted = settings.training.batch_size;
    let (size, _) =
        scoring_needs(&footprint, false, &|size| shapes_of(&chosen, size), wanted, session.memory);
    let top_k = settings.select_top_k as usize;
    let mut cache = session
        .cached(&decoder, &format!("median losses of tokens among the {top_k} likeliest"))?;
    let pad = material.encoder.tokenizer.pad;
    for part in chosen.chunks(size) {
        session.poll()?;
        cache.learn(part, |new| difficulties(&decoder, new, pad, top_k))?;
    }
    let known = |side: &&Sequence| cache.get(side).filter(|loss| *loss >= 0.0).map(f64::from);
    let found: Vec<Option<f64>> = chosen.iter().map(known).collect();
    session.keep_cache(cache)?;
    let places = hardest(&found, settings.select_share);
    let unknown = found.iter().filter(|loss| loss.is_none()).count();
    session.warn(format!(
        "fine-tuning learns from {} of {} responses, those that {} finds hardest (sft.select_share = {}); of {unknown} no token is among its {top_k} likeliest",
        places.len(),
        pairs.len(),
        files.name(),
        settings.select_share
    ))?;
    Ok(places.into_iter().map(|place| pairs[place]).collect())
}

/// Of what fine-tuning takes and what choosing before it takes, the larger.
///
/// # Errors
///
/// There is no such model.
pub(super) fn larger(
    inputs: &Estimating<'_>,
    training: StageEstimate,
) -> Result<StageEstimate, RunError> {
    let recipe = inputs.recipe;
    let Some(field) = recipe.teacher().filter(|_| recipe.sft.select_share < 1.0) else {
        return Ok(training);
    };
    let files = find_model(field)?;
    let footprint = frozen_footprint(&files, recipe.policy.precision, inputs.device())?;
    let (kind, batch) = (OutputKind::LogProbs, recipe.sft.training.batch_size);
    let choosing = inputs.inferred(Stage::SFT, &footprint, kind, &inputs.policy()?.pairs, batch);
    let more = choosing.needs.total() > training.needs.total();
    Ok(StageEstimate { needs: if more { choosing.needs } else { training.needs }, ..training })
}

/// How hard each of these responses is; [`NONE`] where none of its tokens could be guessed.
fn difficulties(
    decoder: &Decoder,
    sequences: &[&Sequence],
    pad: u32,
    top_k: usize,
) -> Result<Vec<f32>, ModelError> {
    let batch = Batch::packed(sequences, pad);
    let [log_probs, likelier] = token_ranks(decoder, &batch);
    let [log_probs, likelier] =
        [read(log_probs).map_err(ModelError::Device)?, read(likelier).map_err(ModelError::Device)?];
    if let Some(&found) = log_probs.iter().find(|number| !number.is_finite()) {
        return Err(ModelError::NoNumber { what: "a sequence", found });
    }
    let mut tokens = vec![Vec::new(); sequences.len()];
    for ((target, log_prob), likelier) in batch.targets().iter().zip(log_probs).zip(likelier) {
        tokens[target.sequence].push((log_prob, likelier as usize));
    }
    let of = |tokens: &Vec<_>| difficulty(tokens, top_k).map_or(NONE, |loss| loss as f32);
    Ok(tokens.iter().map(of).collect())
}
