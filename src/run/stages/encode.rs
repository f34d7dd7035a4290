//! Pairs in the tokens of one model, with what there is to say about it.

use std::path::PathBuf;

use jiff::Zoned;

use super::super::error::RunError;
use super::super::event::Event;
use super::super::session::Session;
use super::super::{PromptsReport, Recipe};
use super::prepared::Prepared;
use crate::data::Pair;
use crate::model::{DecoderConfig, ModelFiles, Position, read_config};
use crate::text::{Chat, Encoded, EncodedPair, Encoder, TextError, encode_pairs, moment};

/// The encoder of a model, in the recipe's style.
pub(crate) fn encoder(session: &mut Session<'_>, files: &ModelFiles) -> Result<Encoder, RunError> {
    if session.state.began.is_empty() {
        session.state.began = moment::to_text(&Zoned::now());
    }
    let began = &session.state.began;
    let now = moment::from_text(began).map_err(|e| {
        RunError::Impossible(format!("state.json: began is “{began}” ({e}); expected a time"))
    })?;
    encoder_at(&session.recipe, files, now)
}

/// The encoder of a model in a recipe's style; `now` is the present time of chat templates.
pub(crate) fn encoder_at(
    recipe: &Recipe,
    files: &ModelFiles,
    now: Zoned,
) -> Result<Encoder, RunError> {
    let own = Some(PathBuf::from(&recipe.data.chat_template));
    let template = own.filter(|path| !path.as_os_str().is_empty());
    Ok(Encoder::load(
        files,
        &Chat { style: recipe.data.chat, template, words: recipe.data.special_tokens, now },
    )?)
}

/// Tokens of the longest sequence of a model: what the recipe says, and no more than positions
/// that were learnt one by one.
pub(crate) fn length_of(recipe: &Recipe, config: &DecoderConfig) -> usize {
    match config.position {
        Position::Learned { .. } => recipe.data.max_length.min(config.positions),
        Position::Rotary { .. } => recipe.data.max_length,
    }
}

/// The same for a model's files.
pub(crate) fn max_length(recipe: &Recipe, files: &ModelFiles) -> Result<usize, RunError> {
    Ok(length_of(recipe, &read_config(files)?.1))
}

/// Encode pairs of a split; `model` names the reader, `split` the pairs.
///
/// Pairs that the chat template refuses are left out, counted and named.
///
/// # Errors
///
/// The template refuses all of them, unless they are there for evaluation alone; the tokenizer
/// fails.
pub(crate) fn encode(
    session: &mut Session<'_>,
    encoder: &Encoder,
    prepared: &Prepared,
    indexes: &[usize],
    [model, split]: [&str; 2],
) -> Result<Vec<EncodedPair>, RunError> {
    let encoded = encode_pairs(encoder, &prepared.pairs, indexes)?;
    if let Some((first, error)) = encoded.refused.first() {
        let line = prepared.pairs[*first].source.line;
        let (refused, all) = (encoded.refused.len(), indexes.len());
        if split != "held-out" {
            none_is_left(&encoded, prepared, all, [model, split])?;
        }
        session.warn(format!(
            "{refused} of {all} {split} pairs are left out, because {} of the {model} refuses them, the first (line {line} of its file) so: {error}",
            match error {
                TextError::Control { .. } => "data.special_tokens, for the tokenizer",
                _ => "the chat template",
            }
        ))?;
        session.refused.extend(encoded.refused.iter().map(|(i, _)| i));
    }
    let pair = |i: &usize| encoder.leaves_tools_out(&prepared.pairs[*i].prompt);
    let without_tools = indexes.iter().filter(|i| pair(i)).count();
    if without_tools > 0 {
        session.warn(format!(
            "in {without_tools} of {} {split} pairs the {model} reads nothing of the prompt's tools: its chat template does not ask for them, or it has none (data.chat, data.chat_template)",
            indexes.len()
        ))?;
    }
    let merged = encoded.merged();
    if merged > 0 {
        session.warn(format!(
            "in {merged} of {} {split} pairs the {model} reads the end of the prompt in other tokens before a response than alone (the tokenizer merges them, or the chat template writes them differently); the tokens of both together are used",
            encoded.pairs.len()
        ))?;
    }
    if [model, split] == ["policy", "training"] {
        ends(session, encoder, prepared, &encoded.pairs)?;
    }
    if let Some(first) = encoded.pairs.first() {
        told(session, encoder, &prepared.pairs[first.pair], model)?;
    }
    Ok(encoded.pairs)
}

/// Refuse pairs that are all refused themselves.
pub(crate) fn none_is_left(
    encoded: &Encoded,
    prepared: &Prepared,
    all: usize,
    [model, split]: [&str; 2],
) -> Result<(), RunError> {
    let (true, Some((first, error))) = (encoded.pairs.is_empty(), encoded.refused.first()) else {
        return Ok(());
    };
    let line = prepared.pairs[*first].source.line;
    let (what, advice) = match error {
        TextError::Control { .. } => {
            ("data.special_tokens, for the tokenizer", "set it to \"keep\" or \"escape\"")
        }
        _ => (
            "the chat template",
            "try data.chat = \"hh\", or another template by data.chat_template",
        ),
    };
    Err(RunError::Impossible(format!(
        "all {all} {split} pairs are refused by {what} of the {model}, the first (line {line} of its file) so: {error}; {advice}"
    )))
}

/// Tell whether what the policy learns to write ends, and ends once.
fn ends(
    session: &mut Session<'_>,
    encoder: &Encoder,
    prepared: &Prepared,
    encoded: &[EncodedPair],
) -> Result<(), RunError> {
    let endless = |p: &&EncodedPair| p.sides.iter().any(|side| encoder.is_endless(&side.response));
    let count = encoded.iter().filter(endless).count();
    if count > 0 {
        session.warn(format!(
            "in {count} of {} training pairs no end token follows a response, so that the policy is not taught to stop: {}",
            encoded.len(),
            encoder.why_endless()
        ))?;
    }
    let brings = |p: &&EncodedPair| {
        let Pair { prompt, responses, .. } = &prepared.pairs[p.pair];
        responses.iter().any(|response| encoder.brings_end(prompt, response))
    };
    let count = encoded.iter().filter(brings).count();
    if count > 0 {
        session.warn(format!(
            "in {count} of {} training pairs a response brings the end of its turn along, as text; it is written once",
            encoded.len()
        ))?;
    }
    Ok(())
}

/// Tell once how prompts are written for a model, with a pair as an example.
pub(crate) fn told(
    session: &mut Session<'_>,
    encoder: &Encoder,
    pair: &Pair,
    model: &str,
) -> Result<(), RunError> {
    if session.state.now.report.prompts.contains_key(model) {
        return Ok(());
    }
    let written = written(encoder, pair)?;
    session.emit(Event::Prompts { model: model.to_owned(), written })
}

/// How an encoder writes: the style, and the first side of a pair written in it.
///
/// # Errors
///
/// The template's.
pub fn written(encoder: &Encoder, pair: &Pair) -> Result<PromptsReport, TextError> {
    let alone = encoder.prompt(&pair.prompt)?.text;
    let whole = encoder.whole(&pair.prompt, &pair.responses[0])?.text;
    let same = |((_, x), (_, y)): &((usize, char), (usize, char))| x == y;
    let shared: usize = alone
        .char_indices()
        .zip(whole.char_indices())
        .take_while(same)
        .map(|((_, c), _)| c.len_utf8())
        .sum();
    Ok(PromptsReport {
        style: encoder.describe(),
        prompt: whole[..shared].to_owned(),
        response: whole[shared..].to_owned(),
    })
}
