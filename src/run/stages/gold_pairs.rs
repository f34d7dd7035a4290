//! What a gold reward says of pairs that the policy wrote.

use super::super::error::RunError;
use super::super::session::Session;
use super::encode::encoder;
use super::prepared::Prepared;
use crate::annotate::score_sequences;
use crate::batch::Sequence;
use crate::data::{AnnotatedPair, Prompt};
use crate::model::{load_as, read_config, score_pad};
use crate::run::{Recipe, find_model};
use crate::text::{Encoder, TextError};

/// Sequences that the gold model scores at once.
pub(super) const BATCH: usize = 8;

/// The gold rewards of both responses of a pair; `None` where it cannot be judged.
pub(super) type Rewards = Option<[f64; 2]>;

/// The gold model that judges rounds of a recipe, where there is one.
pub(super) fn model(recipe: &Recipe) -> Option<&str> {
    let asked = recipe.evaluate.samples > 0 && !recipe.evaluate.gold.is_empty();
    asked.then_some(recipe.evaluate.gold.as_str())
}

/// Whether the reward of the built-in world is that of all pairs.
fn is_the_world(recipe: &Recipe) -> bool {
    let data = &recipe.data;
    data.files.iter().chain(&data.unlabelled).all(|file| file.starts_with("builtin:"))
}

/// The gold rewards of each row's responses: those of a gold model, or of the built-in world; nothing where neither
/// is there.
///
/// # Errors
///
/// The gold model cannot be read, or the device fails.
pub(super) fn rewards(
    session: &mut Session<'_>,
    prepared: &Prepared,
    rows: &[AnnotatedPair],
) -> Result<Vec<Rewards>, RunError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(name) = model(&session.recipe).map(str::to_owned) {
        return by_a_model(session, prepared, rows, &name);
    }
    if !is_the_world(&session.recipe) {
        return Ok(Vec::new());
    }
    let reward = |row: &AnnotatedPair| {
        row.responses.each_ref().map(|text| crate::builtin::gold_reward(&row.prompt, text))
    };
    Ok(rows.iter().map(|row| Some(reward(row))).collect())
}

fn by_a_model(
    session: &mut Session<'_>,
    prepared: &Prepared,
    rows: &[AnnotatedPair],
    name: &str,
) -> Result<Vec<Rewards>, RunError> {
    let files = find_model(name)?;
    let encoder = encoder(session, &files)?;
    let positions = read_config(&files)?.1.positions;
    let of_row = |row: &AnnotatedPair| {
        let pair = row.pair.and_then(|pair| prepared.pairs.get(usize::try_from(pair).ok()?));
        let Some(pair) = pair else { return Ok(None) };
        let [first, second] = &row.responses;
        let first = readable(&encoder, &pair.prompt, first, positions)?;
        let second = readable(&encoder, &pair.prompt, second, positions)?;
        Ok(first.zip(second).map(<[Sequence; 2]>::from))
    };
    let sequences = rows.iter().map(of_row).collect::<Result<Vec<_>, TextError>>()?;
    let silent = sequences.iter().filter(|pair| pair.is_none()).count();
    if silent > 0 {
        session.warn(format!(
            "the gold model cannot judge {silent} of {} pairs that the policy wrote: they are refused, or longer than its {positions} positions",
            rows.len()
        ))?;
    }
    let gold = load_as(&files, &session.device, session.recipe.evaluate.gold_precision)?;
    let pad = score_pad(&files, encoder.tokenizer.pad)?;
    let all: Vec<&Sequence> = sequences.iter().flatten().flatten().collect();
    let scores = score_sequences(&gold.decoder, &all, pad, BATCH, &mut |_| session.poll())?;
    let mut scores = scores.chunks(2).map(|pair| [f64::from(pair[0]), f64::from(pair[1])]);
    Ok(sequences.iter().map(|pair| pair.as_ref().and_then(|_| scores.next())).collect())
}

/// A response as the gold model reads it, if it can.
fn readable(
    encoder: &Encoder,
    prompt: &Prompt,
    response: &str,
    positions: usize,
) -> Result<Option<Sequence>, TextError> {
    match encoder.sequence(prompt, response) {
        Ok(found) => Ok(Some(found).filter(|all| !all.is_empty() && all.len() <= positions)),
        Err(TextError::Refused { .. } | TextError::Template { .. } | TextError::Beyond { .. }) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
