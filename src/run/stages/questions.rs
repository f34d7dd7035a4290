//! What an annotator that asks its model asks of pairs, with what there is to say about it.

use super::super::Recipe;
use super::super::error::RunError;
use super::super::session::Session;
use super::encode::{none_is_left, told};
use super::prepared::Prepared;
use crate::annotate::{Asking, QuestionError, encode_questions};
use crate::data::{Message, Pair, Prompt, Role};
use crate::text::Encoder;

/// Questions about chosen pairs in the tokens of the annotator's model.
pub(crate) fn questions(
    recipe: &Recipe,
    encoder: &Encoder,
    pairs: &[Pair],
    indexes: &[usize],
) -> Result<Asking, RunError> {
    let (kind, settings) = (recipe.annotator.kind, &recipe.annotator.constants);
    encode_questions(encoder, kind.0, settings, pairs, indexes).map_err(|error| match error {
        QuestionError::Text(error) => error.into(),
        other => RunError::Impossible(other.to_string()),
    })
}

/// The same for a split in a run, which is told what is left out.
pub(super) fn ask(
    session: &mut Session<'_>,
    encoder: &Encoder,
    prepared: &Prepared,
    indexes: &[usize],
    split: &str,
) -> Result<Asking, RunError> {
    let asking = questions(&session.recipe, encoder, &prepared.pairs, indexes)?;
    if let Some((first, error)) = asking.encoded.refused.first() {
        if split != "held-out" {
            none_is_left(&asking.encoded, prepared, indexes.len(), ["annotator", split])?;
        }
        session.warn(format!(
            "{} of {} {split} pairs are left out, because questions about them are refused by the annotator's tokenizer or chat template, the first (line {} of its file) so: {error}",
            asking.encoded.refused.len(),
            indexes.len(),
            prepared.pairs[*first].source.line
        ))?;
        session.refused.extend(asking.encoded.refused.iter().map(|(i, _)| i));
    }
    let without = indexes.iter().filter(|i| has_tools(&prepared.pairs[**i].prompt)).count();
    if without > 0 {
        session.warn(format!(
            "in {without} of {} {split} pairs the annotator reads nothing of the prompt's tools: its question has no place for them",
            indexes.len()
        ))?;
    }
    if let Some(first) = asking.encoded.pairs.first() {
        example(session, encoder, &prepared.pairs[first.pair])?;
    }
    Ok(asking)
}

/// Whether a prompt names functions that may be called.
fn has_tools(prompt: &Prompt) -> bool {
    match prompt {
        Prompt::Text(_) => false,
        Prompt::Messages(messages) => messages.iter().any(|message| message.role == Role::Tools),
    }
}

/// Tell once how the annotator is asked, with a pair as an example.
fn example(session: &mut Session<'_>, encoder: &Encoder, pair: &Pair) -> Result<(), RunError> {
    let chat = encoder.template().is_some();
    let (kind, settings) = (session.recipe.annotator.kind, &session.recipe.annotator.constants);
    let Some([question, _]) = kind.asks(pair, settings, chat) else { return Ok(()) };
    let prompt = match chat {
        true => Prompt::Messages(vec![Message::new(Role::User, question.text)]),
        false => Prompt::Text(question.text),
    };
    let responses = question.answers.map(|answer| format!(" {answer}"));
    let asked = Pair { prompt, responses, ..pair.clone() };
    told(session, encoder, &asked, "annotator")
}
