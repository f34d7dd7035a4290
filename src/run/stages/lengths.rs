//! What the limit on lengths loses of a recipe's data, found out before anything is trained.

use std::collections::BTreeMap;

use jiff::Zoned;

use super::super::error::RunError;
use super::super::event::Event;
use super::super::models::find_model;
use super::super::session::Session;
use super::super::{AnnotatorKind, Recipe};
use super::confidence::for_policy;
use super::data::Prepared;
use super::encode::{encoder_at, max_length};
use crate::data::Pair;
use crate::text::{Encoder, Fit, Lengths, encode_pairs};

/// Pairs of a split that are looked at: enough to tell a share to two parts of a hundred.
const LOOKED_AT: usize = 4000;
/// Lost shares above this are warned of.
const WARNED: f64 = 0.05;

/// What `data.max_length` loses for each model of a recipe, `annotator` and `policy`. Of many pairs
/// some are looked at, spread over all of them.
///
/// # Errors
///
/// A model's tokenizer cannot be had.
pub(crate) fn lengths(
    recipe: &Recipe,
    prepared: &Prepared,
) -> Result<BTreeMap<String, Lengths>, RunError> {
    let split = &prepared.split;
    let mut found = BTreeMap::new();
    if recipe.annotator.kind == AnnotatorKind::RewardHead {
        let all = [&split.labelled[..], &split.unlabelled, &split.held_out].concat();
        let lengths = of_model(recipe, &recipe.annotator.model, prepared, &all, Fit::Whole)?;
        found.insert("annotator".to_owned(), lengths);
    }
    let pairs = for_policy(recipe, prepared);
    if recipe.policy.training.epochs > 0.0 && !pairs.is_empty() {
        let lengths = of_model(recipe, &recipe.policy.model, prepared, &pairs, Fit::Start)?;
        found.insert("policy".to_owned(), lengths);
    }
    Ok(found)
}

fn of_model(
    recipe: &Recipe,
    model: &str,
    prepared: &Prepared,
    indexes: &[usize],
    fit: Fit,
) -> Result<Lengths, RunError> {
    let files = find_model(model)?;
    let encoder = encoder_at(recipe, &files, Zoned::now())?;
    lengths_in(&encoder, &prepared.pairs, indexes, fit, max_length(recipe, &files)?)
}

/// What a limit loses of some pairs in an encoder's tokens.
///
/// # Errors
///
/// The tokenizer's own failure.
pub fn lengths_in(
    encoder: &Encoder,
    pairs: &[Pair],
    indexes: &[usize],
    fit: Fit,
    limit: usize,
) -> Result<Lengths, RunError> {
    let step = indexes.len().div_ceil(LOOKED_AT).max(1);
    let some: Vec<usize> = indexes.iter().step_by(step).copied().collect();
    let encoded = encode_pairs(encoder, pairs, &some)?;
    Ok(Lengths::of(&encoded.pairs, indexes.len(), fit, limit))
}

/// Tell what the limit loses, once in a run; refuse to begin where that is more than
/// `data.max_lost`.
pub(super) fn check(session: &mut Session<'_>, prepared: &Prepared) -> Result<(), RunError> {
    if !session.state.report.data.lengths.is_empty() {
        return Ok(());
    }
    toys(session)?;
    for (model, lengths) in lengths(&session.recipe, prepared)? {
        let share = lengths.share_lost();
        let refused = lengths.exceeds(session.recipe.data.max_lost);
        let longer = lengths.keeps_most();
        let advice = if lengths.limit < session.recipe.data.max_length {
            "the model has learned no more positions; one with rotary positions has no such end"
                .to_owned()
        } else {
            format!("data.max_length = {longer} keeps 95 %")
        };
        let told = format!("for the {model}, {lengths}");
        session.state.report.data.lengths.insert(model.clone(), lengths.clone());
        session.emit(Event::Lengths { model, lengths })?;
        if refused {
            return Err(RunError::Impossible(format!(
                "{told}; {advice}, and data.max_lost = 1 trains on what is left"
            )));
        }
        if share > WARNED {
            session.warn(format!("{told}; those are left out ({advice})"))?;
        }
    }
    Ok(())
}

/// The demonstration's models on other data give numbers that look like results.
fn toys(session: &mut Session<'_>) -> Result<(), RunError> {
    let recipe = &session.recipe;
    let built_in = |name: &String| name.starts_with("builtin:");
    let models = [&recipe.annotator.model, &recipe.policy.model];
    let Some(model) = models.into_iter().find(|model| built_in(model)) else { return Ok(()) };
    if recipe.data.files.iter().all(built_in) {
        return Ok(());
    }
    session.warn(format!(
        "{model} is a toy that knows the demonstration's small world alone: on these data its numbers say nothing; name another model (annotator.model, policy.model)"
    ))
}
