//! What the policy writes to prompts of the pairs that it learns from.

use std::collections::HashSet;

use super::super::Recipe;
use super::super::error::RunError;
use super::super::event::Event;
use super::super::session::Session;
use super::material::Material;
use super::prepared::Prepared;
use super::random::some;
use super::random::stream::{self, of_round};
use crate::batch::{Ranked, Sequence};
use crate::data::Prompt;
use crate::evaluate::{SAMPLED_AT_ONCE, sample_whole};
use crate::model::{Decoder, Sampling, read_config};
use crate::text::TextError;

/// How often it is told how much is written.
const TOLD: usize = 10;

/// A response that the policy wrote.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Response {
    pub(super) text: String,
    /// Tokens of it, without an end.
    pub(super) tokens: usize,
    /// Whether it ended within `online.max_new_tokens`.
    pub(super) ended: bool,
}

/// What the policy wrote to one prompt.
pub(super) struct Written {
    /// The pair whose prompt it is.
    pub(super) pair: usize,
    pub(super) responses: Vec<Response>,
}

/// Pairs whose prompts the policy writes to in a round, counted from 0, each prompt once: all, or as many as the
/// recipe says, drawn for the round.
pub(super) fn prompts(
    recipe: &Recipe,
    prepared: &Prepared,
    material: &Material,
    round: usize,
) -> Vec<usize> {
    let all = material.pairs.iter().map(|(_, label)| label.pair);
    drawn(recipe, &different_prompts(prepared, all), round)
}

/// As many of these as the recipe has the policy write to in a round.
pub(super) fn drawn(recipe: &Recipe, all: &[usize], round: usize) -> Vec<usize> {
    let stream = of_round(stream::PROMPTS, round);
    let drawn = some(all.len(), recipe.online.prompts, recipe.seed, stream);
    drawn.into_iter().map(|i| all[i]).collect()
}

/// Let a model write `count` responses to the prompt of each of these pairs in a round. A prompt that leaves no
/// room for one gets none.
///
/// # Errors
///
/// The tokenizer or the device fails, or a person ended the run.
pub(super) fn write(
    session: &mut Session<'_>,
    prepared: &Prepared,
    material: &Material,
    decoder: &Decoder,
    pairs: &[usize],
    (count, round): (usize, usize),
) -> Result<Vec<Written>, RunError> {
    let (asked, ids) = encoded(session, prepared, material, pairs, round)?;
    let settings = &session.recipe.online;
    let sampling = Sampling {
        max_new_tokens: settings.max_new_tokens,
        temperature: settings.temperature,
        // Parts of what is sampled count on from here; no two rounds have one in common.
        seed: session.recipe.seed.wrapping_add((round as u64 + 1) << 32),
        ..Sampling::default()
    };
    let ids: Vec<Vec<u32>> =
        ids.into_iter().flat_map(|ids| std::iter::repeat_n(ids, count)).collect();
    let (stop, tokenizer) = (material.encoder.stop(), &material.encoder.tokenizer);
    let (parts, mut done) = (ids.len().div_ceil(SAMPLED_AT_ONCE), 0);
    let mut poll = || {
        done += 1;
        session.note_memory();
        // It takes as long as training does, and a person has nothing else to go by.
        if parts >= TOLD && TOLD * done / parts > TOLD * (done - 1) / parts {
            let message = format!(
                "round {}: {} % of its responses are written",
                round + 1,
                100 * done / parts
            );
            session.emit(Event::Note { message })?;
        }
        session.poll()
    };
    let found = sample_whole(decoder, tokenizer, &stop, &ids, &sampling, &mut poll)?;
    let responses: Vec<Response> = found
        .into_iter()
        .map(|(text, said)| Response { text, tokens: said.tokens.len(), ended: said.ended })
        .collect();
    let written = asked.into_iter().zip(responses.chunks(count));
    Ok(written.map(|(pair, responses)| Written { pair, responses: responses.to_vec() }).collect())
}

/// The prompts of pairs in the policy's tokens, where there is room for a response.
fn encoded(
    session: &mut Session<'_>,
    prepared: &Prepared,
    material: &Material,
    pairs: &[usize],
    round: usize,
) -> Result<(Vec<usize>, Vec<Vec<u32>>), RunError> {
    let limit = read_config(&material.files)?.1.positions.min(material.max_length);
    let (mut asked, mut all) = (Vec::new(), Vec::new());
    for &pair in pairs {
        if let Some(ids) = with_room(material, &prepared.pairs[pair].prompt, limit)? {
            asked.push(pair);
            all.push(ids);
        }
    }
    if asked.len() < pairs.len() {
        session.warn(format!(
            "round {}: to {} of {} prompts the policy writes nothing, because they fill the {limit} tokens that a pair may have, or are refused alone",
            round + 1,
            pairs.len() - asked.len(),
            pairs.len()
        ))?;
    }
    Ok((asked, all))
}

/// A prompt in the policy's tokens; none where it leaves no room for a response within `limit` tokens, or is
/// refused.
///
/// # Errors
///
/// The tokenizer fails.
pub(super) fn with_room(
    material: &Material,
    prompt: &Prompt,
    limit: usize,
) -> Result<Option<Vec<u32>>, RunError> {
    match material.encoder.prompt(prompt).and_then(|written| material.encoder.encode(&written)) {
        Ok(ids) => Ok(Some(ids).filter(|ids| !ids.is_empty() && ids.len() < limit)),
        Err(TextError::Refused { .. } | TextError::Template { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Different prompts of these pairs, each by the first that has it.
pub(super) fn different_prompts(
    prepared: &Prepared,
    pairs: impl Iterator<Item = usize>,
) -> Vec<usize> {
    let mut seen = HashSet::new();
    pairs.filter(|&pair| seen.insert(prepared.pairs[pair].prompt.key())).collect()
}

/// Pairs as long as they can be once the policy has written what is its own of them, for whoever counts memory.
pub(super) fn longest(
    recipe: &Recipe,
    pairs: &[Ranked<Sequence>],
    max_length: usize,
) -> Vec<Ranked<Sequence>> {
    let longest = |side: &Sequence| {
        // An end behind the longest response.
        let response = vec![0; recipe.online.max_new_tokens + 1];
        Sequence { prompt: side.prompt.clone(), response }.cut(max_length)
    };
    let pair = |sides: &Ranked<Sequence>| Ranked {
        chosen: if recipe.rejects_own() { sides.chosen.clone() } else { longest(&sides.chosen) },
        rejected: longest(&sides.rejected),
    };
    pairs.iter().map(pair).collect()
}
