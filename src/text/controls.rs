//! Words of data that a tokenizer reads as control tokens: which there are, and what is done with them.
//!
//! A text that holds `</s>` or `<|im_end|>` as words, because somebody wrote about them or meant harm,
//! ends a turn in the middle of it. Whether a person wants that, nobody else can tell.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use rayon::prelude::*;
use serde::Serialize;

use super::control_words::ControlWords;
use super::{Encoder, TextError};
use crate::data::{Message, Pair, Prompt};
use crate::legible::quoted;

/// All texts of a prompt.
fn texts(prompt: &Prompt) -> Vec<&str> {
    fn of(message: &Message) -> impl Iterator<Item = &str> {
        let beside = message.fields.iter().map(|(_, json)| json.as_str());
        std::iter::once(message.content.as_str()).chain(beside)
    }
    match prompt {
        Prompt::Text(text) => vec![text],
        Prompt::Messages(messages) => messages.iter().flat_map(of).collect(),
    }
}

/// What pairs hold of the words that a tokenizer reads as control tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ControlsFound {
    /// Pairs that hold one.
    pub pairs: usize,
    /// Pairs by token.
    pub tokens: BTreeMap<String, usize>,
    /// Line of the first pair.
    pub line: u64,
}

impl fmt::Display for ControlsFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, tokens, line } = self;
        let tokens = tokens.iter().map(|(word, count)| format!("`{}` in {count}", quoted(word)));
        let tokens = tokens.collect::<Vec<_>>().join(", ");
        write!(
            f,
            "{pairs} pairs hold what the tokenizer reads as control tokens: {tokens}; the first is on line {line}"
        )
    }
}

impl Encoder {
    /// What pairs hold of the words that the tokenizer reads as control tokens; the end that a
    /// response brings along is none of them.
    pub fn controls_in(&self, pairs: &[Pair]) -> ControlsFound {
        let words = |pair: &Pair| {
            let responses = pair.responses.iter().map(|response| self.body(response));
            let texts = texts(&pair.prompt).into_iter().chain(responses);
            let mut words: Vec<&str> = texts.flat_map(|text| self.controls.all(text)).collect();
            words.sort_unstable();
            words.dedup();
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            (words, pair.source.line)
        };
        let mut found = ControlsFound::default();
        let all: Vec<_> =
            pairs.par_iter().map(words).filter(|(words, _)| !words.is_empty()).collect();
        for (words, line) in all {
            if found.pairs == 0 {
                found.line = line;
            }
            found.pairs += 1;
            words.into_iter().for_each(|word| *found.tokens.entry(word).or_default() += 1);
        }
        found
    }

    /// A sentence on those words, where pairs hold any, with what becomes of them.
    pub fn tell_controls(&self, pairs: &[Pair]) -> Option<String> {
        let found = self.controls_in(pairs);
        let fate = match self.words {
            ControlWords::Keep => {
                "they stay control tokens; data.special_tokens = \"escape\" makes them words, \"refuse\" leaves such pairs out"
            }
            ControlWords::Escape => "they are written as words (data.special_tokens = \"escape\")",
            ControlWords::Refuse => "those are left out (data.special_tokens = \"refuse\")",
        };
        (found.pairs > 0).then(|| format!("{found}; {fate}"))
    }

    /// What is said in a response, without the end that it brings along.
    fn body<'a>(&self, response: &'a str) -> &'a str {
        let ends = self.ends.iter().chain([&self.tokenizer.eos_text]);
        let cut = |end: &String| response.trim_end().strip_suffix(end.as_str());
        ends.filter(|end| !end.is_empty()).find_map(cut).unwrap_or(response)
    }

    /// A prompt as the settings want its words.
    pub(super) fn worded<'a>(&self, prompt: &'a Prompt) -> Result<Cow<'a, Prompt>, TextError> {
        if self.words == ControlWords::Keep {
            return Ok(Cow::Borrowed(prompt));
        }
        match texts(prompt).into_iter().find_map(|text| self.controls.first(text)) {
            None => Ok(Cow::Borrowed(prompt)),
            Some(token) if self.words == ControlWords::Refuse => Err(holds(token)),
            Some(_) => Ok(Cow::Owned(self.escaped(prompt))),
        }
    }

    fn escaped(&self, prompt: &Prompt) -> Prompt {
        let escape = |text: &str| self.controls.escape(text).into_owned();
        let message = |message: &Message| Message {
            role: message.role,
            content: escape(&message.content),
            fields: message.fields.iter().map(|(a, b)| (a.clone(), escape(b))).collect(),
        };
        match prompt {
            Prompt::Text(text) => Prompt::Text(escape(text)),
            Prompt::Messages(messages) => Prompt::Messages(messages.iter().map(message).collect()),
        }
    }

    /// A response as the settings want its words; the end that it brings along stays one.
    pub(super) fn worded_response<'a>(&self, response: &'a str) -> Result<Cow<'a, str>, TextError> {
        if self.words == ControlWords::Keep {
            return Ok(Cow::Borrowed(response));
        }
        let body = self.body(response);
        match self.controls.first(body) {
            None => Ok(Cow::Borrowed(response)),
            Some(token) if self.words == ControlWords::Refuse => Err(holds(token)),
            Some(_) => {
                Ok(Cow::Owned(self.controls.escape(body).into_owned() + &response[body.len()..]))
            }
        }
    }
}

fn holds(token: &str) -> TextError {
    TextError::Control { token: quoted(token) }
}
