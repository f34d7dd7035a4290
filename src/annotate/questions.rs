//! Questions about pairs in the tokens of a model whose next token is the answer.

use std::sync::Arc;

use super::annotators::{Annotating, Annotator};
use super::judging::Question;
use super::sharing::common;
use crate::batch::Sequence;
use crate::data::{Message, Pair, Prompt, Role};
use crate::text::{Encoded, EncodedPair, Encoder, TextError, encode_pairs};

/// Why questions could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    /// The tokenizer's own failure.
    #[error(transparent)]
    Text(#[from] TextError),
    /// An answer is not one token.
    #[error(
        "the annotator reads how probable one token is for each answer, but behind its question the tokenizer makes {found:?} of “{}” and “{}”; expected a single token of each: take another model, or another end of annotator.prompt",
        answers[0], answers[1]
    )]
    NotOneToken {
        /// The answers.
        answers: [&'static str; 2],
        /// Their tokens.
        found: [Vec<u32>; 2],
    },
    /// Answers are other tokens behind other questions.
    #[error(
        "the answers “{}” and “{}” are the tokens {first:?} behind one question and {other:?} behind another (line {line} of its file); end annotator.prompt with words of its own, not with a response",
        answers[0], answers[1]
    )]
    Differ {
        /// The answers.
        answers: [&'static str; 2],
        /// Their tokens behind the first question.
        first: [u32; 2],
        /// And behind this one.
        other: [u32; 2],
        /// Line of the pair.
        line: u64,
    },
}

/// Questions in tokens.
#[derive(Debug, Default)]
pub struct Asking {
    /// Both questions about each pair: what they share with their neighbours, and the rest. The token
    /// that follows is the answer.
    pub encoded: Encoded,
    /// The tokens of both answers; none without a question.
    pub answers: Option<[u32; 2]>,
}

/// Pairs whose questions are made at once.
const AT_ONCE: usize = 1024;

/// What an annotator asks of chosen pairs, in order; nothing where it asks nothing.
///
/// Each question is encoded with either answer behind it, so that the tokenizer says itself where the
/// answer begins, and which token it is.
///
/// # Errors
///
/// An answer is not one token; the tokenizer's own failure.
pub fn encode_questions(
    encoder: &Encoder,
    annotator: &dyn Annotator,
    settings: &Annotating,
    pairs: &[Pair],
    indexes: &[usize],
) -> Result<Asking, QuestionError> {
    let mut asking = Asking::default();
    for part in indexes.chunks(AT_ONCE) {
        let chat = encoder.template().is_some();
        let questions: Option<Vec<[Question; 2]>> =
            part.iter().map(|&i| annotator.asks(&pairs[i], settings, chat)).collect();
        let Some(questions) = questions else { return Ok(asking) };
        let both = |(&i, questions): (&usize, &[Question; 2])| {
            questions.each_ref().map(|question| answered(question, &pairs[i], chat))
        };
        let answered: Vec<Pair> = part.iter().zip(&questions).flat_map(both).collect();
        let all: Vec<usize> = (0..answered.len()).collect();
        let encoded = encode_pairs(encoder, &answered, &all)?;
        let mut refused = encoded.refused.into_iter().peekable();
        let mut texts = encoded.pairs.into_iter().peekable();
        let mut contexts = Vec::with_capacity(part.len());
        for (k, &i) in part.iter().enumerate() {
            let own = |number: usize| number / 2 == k;
            let mut found = Vec::new();
            while let Some(text) = texts.next_if(|text| own(text.pair)) {
                let line = pairs[i].source.line;
                found.push(context(&text, questions[k][0].answers, line, &mut asking.answers)?);
            }
            let mut told = None;
            while let Some((_, error)) = refused.next_if(|(number, _)| own(*number)) {
                told = told.or(Some(error));
            }
            match (<[Vec<u32>; 2]>::try_from(found), told) {
                (Ok(found), None) => contexts.push((i, found)),
                (_, Some(error)) => asking.encoded.refused.push((i, error)),
                (Err(_), None) => {}
            }
        }
        asking.encoded.pairs.extend(sharing(&contexts, pairs));
    }
    Ok(asking)
}

/// A question as a prompt, with both answers as its responses.
fn answered(question: &Question, pair: &Pair, chat: bool) -> Pair {
    let behind_space = chat || question.text.ends_with(char::is_whitespace);
    let answer = |answer: &str| if behind_space { answer.to_owned() } else { format!(" {answer}") };
    let prompt = match chat {
        true => Prompt::Messages(vec![Message::new(Role::User, question.text.as_str())]),
        false => Prompt::Text(question.text.clone()),
    };
    let responses = question.answers.map(answer);
    Pair { prompt, responses, label: None, weight: 1.0, source: pair.source }
}

/// All tokens before the answer, which has to be one token, and the same as behind other questions.
fn context(
    text: &EncodedPair,
    answers: [&'static str; 2],
    line: u64,
    known: &mut Option<[u32; 2]>,
) -> Result<Vec<u32>, QuestionError> {
    let [first, second] = text.sides.each_ref().map(|side| &side.response[..]);
    let shared = common(first, second);
    let behind = [first, second].map(|all| &all[shared..]);
    let (Some((&a, rest_a)), Some((&b, rest_b))) =
        (behind[0].split_first(), behind[1].split_first())
    else {
        return Err(QuestionError::NotOneToken { answers, found: behind.map(<[u32]>::to_vec) });
    };
    if rest_a != rest_b {
        let end = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(a, b)| a == b).count();
        let found = behind.map(|all| all[..all.len() - end].to_vec());
        return Err(QuestionError::NotOneToken { answers, found });
    }
    let first_known = *known.get_or_insert([a, b]);
    if first_known != [a, b] {
        let other = [a, b];
        return Err(QuestionError::Differ { answers, first: first_known, other, line });
    }
    Ok(text.sides[0].prompt.iter().chain(&first[..shared]).copied().collect())
}

/// Questions as sequences: what all questions about neighbouring pairs of one prompt begin with is one
/// prompt, which a packed batch computes once.
fn sharing(contexts: &[(usize, [Vec<u32>; 2])], pairs: &[Pair]) -> Vec<EncodedPair> {
    let mut found = Vec::with_capacity(contexts.len());
    for group in contexts.chunk_by(|(a, _), (b, _)| pairs[*a].prompt == pairs[*b].prompt) {
        let all = || group.iter().flat_map(|(_, both)| both);
        let first = all().next().map_or(&[][..], Vec::as_slice);
        // The last token is read, so that it belongs to each alone.
        let shared = all().map(|other| common(first, other).min(other.len().saturating_sub(1)));
        let head: Arc<[u32]> = first[..shared.min().unwrap_or(0)].into();
        found.extend(group.iter().map(|(pair, both)| EncodedPair {
            pair: *pair,
            sides: both.each_ref().map(|tokens| Sequence {
                prompt: head.clone(),
                response: tokens[head.len()..].to_vec(),
            }),
            merged: false,
        }));
    }
    found
}
