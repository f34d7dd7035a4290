//! What the limit on lengths loses of a recipe's data, found out before anything is trained.

use super::super::Recipe;
use super::super::error::RunError;
use super::super::event::Event;
use super::super::session::Session;
use super::encode::max_length;
use super::labels::for_policy;
use super::prepared::Prepared;
use super::questions::questions;
use crate::data::{Pair, Split};
use crate::model::ModelFiles;
use crate::text::{Encoder, Fit, Lengths, encode_pairs};

/// Pairs of a split that are looked at: enough to tell a share to two parts of a hundred.
const LOOKED_AT: usize = 4000;

/// What `data.max_length` loses of the pairs that `annotator` or `policy` trains on or labels; `None`
/// for other readers, and where there are no pairs. Of many pairs some are looked at, spread over all.
///
/// # Errors
///
/// The tokenizer's own failure.
pub(crate) fn lengths(
    recipe: &Recipe,
    prepared: &Prepared,
    who: &str,
    files: &ModelFiles,
    encoder: &Encoder,
) -> Result<Option<Lengths>, RunError> {
    let split = &prepared.split;
    let (pairs, fit) = match who {
        "annotator" if recipe.annotator.kind.reads().asks() => {
            let learned = match recipe.annotator.kind.reads().learns() {
                true => split.labelled.clone(),
                false => Vec::new(),
            };
            let (calibration, held_out) = (split.calibration.clone(), split.held_out.clone());
            let asked = [learned, for_policy(recipe, prepared), calibration, held_out];
            let asked = asked.concat();
            let limit = max_length(recipe, files)?;
            return of_questions(recipe, encoder, &prepared.pairs, &asked, limit);
        }
        "annotator" if !recipe.annotator.kind.reads().learns() => {
            let read = [&for_policy(recipe, prepared)[..], &split.calibration, &split.held_out];
            (read.concat(), Fit::Whole)
        }
        "annotator" => {
            let Split { labelled, calibration, unlabelled, held_out, .. } = split;
            ([&labelled[..], calibration, unlabelled, held_out].concat(), Fit::Whole)
        }
        "policy" => (for_policy(recipe, prepared), Fit::Start),
        _ => return Ok(None),
    };
    if pairs.is_empty() {
        return Ok(None);
    }
    lengths_in(encoder, &prepared.pairs, &pairs, fit, max_length(recipe, files)?).map(Some)
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
    let encoded = encode_pairs(encoder, pairs, &some_of(indexes))?;
    Ok(Lengths::of(&encoded.pairs, indexes.len(), fit, limit))
}

/// What a limit loses of pairs that the annotator's model is asked about.
fn of_questions(
    recipe: &Recipe,
    encoder: &Encoder,
    pairs: &[Pair],
    indexes: &[usize],
    limit: usize,
) -> Result<Option<Lengths>, RunError> {
    if indexes.is_empty() {
        return Ok(None);
    }
    let encoded = questions(recipe, encoder, pairs, &some_of(indexes))?.encoded;
    Ok(Some(Lengths::of(&encoded.pairs, indexes.len(), Fit::Whole, limit)))
}

/// Those that are looked at.
fn some_of(indexes: &[usize]) -> Vec<usize> {
    let step = indexes.len().div_ceil(LOOKED_AT).max(1);
    indexes.iter().step_by(step).copied().collect()
}

/// What keeps more pairs.
fn advice(recipe: &Recipe, lengths: &Lengths) -> String {
    if lengths.limit < recipe.data.max_length {
        "the model has learned no more positions; one with rotary positions has no such end"
            .to_owned()
    } else {
        format!("data.max_length = {} keeps 95 %", lengths.keeps_most())
    }
}

/// Whether a run may begin that loses so much.
///
/// # Errors
///
/// It is more than `data.max_lost`.
pub(crate) fn allowed(recipe: &Recipe, who: &str, lengths: &Lengths) -> Result<(), RunError> {
    if !lengths.exceeds(recipe.data.max_lost) {
        return Ok(());
    }
    let advice = advice(recipe, lengths);
    Err(RunError::Impossible(format!(
        "for the {who}, {lengths}; {advice}, and data.max_lost = 1 trains on what is left"
    )))
}

/// Tell what the limit loses for a model, once in a run; refuse to begin where that is more than
/// `data.max_lost`.
pub(super) fn tell(
    session: &mut Session<'_>,
    who: &str,
    lengths: &Lengths,
) -> Result<(), RunError> {
    if !session.state.now.report.data.lengths.contains_key(who) {
        session.emit(Event::Lengths { model: who.to_owned(), lengths: lengths.clone() })?;
    }
    allowed(&session.recipe, who, lengths)?;
    if lengths.is_warned_of() {
        let advice = advice(&session.recipe, lengths);
        session.warn(format!("for the {who}, {lengths}; those are left out ({advice})"))?;
    }
    Ok(())
}
