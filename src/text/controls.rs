//! Words of data that a tokenizer reads as control tokens.
//!
//! A text that holds `</s>` or `<|im_end|>` as words, because somebody wrote about them or meant harm,
//! ends a turn in the middle of it. Whether a person wants that, nobody else can tell.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use aho_corasick::{AhoCorasick, MatchKind};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Encoder, TextError};
use crate::data::{Message, Pair, Prompt};
use crate::legible::quoted;

/// What happens to words of data that the tokenizer reads as control tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlWords {
    /// They are control tokens, as in TRL and transformers.
    #[default]
    Keep,
    /// A space behind their first character makes them words again.
    Escape,
    /// A pair that holds one is left out.
    Refuse,
}

impl FromStr for ControlWords {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "keep" => Ok(Self::Keep),
            "escape" => Ok(Self::Escape),
            "refuse" => Ok(Self::Refuse),
            _ => Err("expected keep, escape or refuse".to_owned()),
        }
    }
}

/// How often an escaped text is looked at again: what is left of a token may be another.
const AGAIN: usize = 8;

/// The words that a tokenizer reads as control tokens.
#[derive(Debug, Default)]
pub(super) struct Controls {
    words: Vec<String>,
    /// Finds them; none where there are no such words.
    finder: Option<AhoCorasick>,
}

impl Controls {
    /// A token of one character has no part that could be told from text.
    pub(super) fn new(words: impl IntoIterator<Item = String>) -> Self {
        let long = |word: &String| word.chars().nth(1).is_some();
        let mut words: Vec<String> = words.into_iter().filter(long).collect();
        words.sort_unstable();
        words.dedup();
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&words);
        let finder = finder.ok().filter(|_| !words.is_empty());
        Self { words, finder }
    }

    /// The words.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// The first word in a text.
    fn first(&self, text: &str) -> Option<&str> {
        let found = self.finder.as_ref()?.find(text)?;
        Some(&self.words[found.pattern().as_usize()])
    }

    /// Each word of a text that is one, as often as it occurs.
    fn all<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.finder.iter().flat_map(move |finder| finder.find_iter(text));
        found.map(|found| self.words[found.pattern().as_usize()].as_str())
    }

    /// The text with words in place of the tokens.
    fn escape<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        let Some(finder) = &self.finder else { return text };
        for _ in 0..AGAIN {
            let mut starts = finder.find_iter(&*text).map(|found| found.start()).peekable();
            if starts.peek().is_none() {
                break;
            }
            let mut out = String::with_capacity(text.len() + 16);
            let mut kept = 0;
            for start in starts {
                let first = text[start..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&text[kept..start + first]);
                out.push(' ');
                kept = start + first;
            }
            out.push_str(&text[kept..]);
            text = Cow::Owned(out);
        }
        text
    }
}

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
