//! The words that a tokenizer reads as control tokens, found in a text.

use std::borrow::Cow;
use std::str::FromStr;

use aho_corasick::{AhoCorasick, MatchKind};
use serde::{Deserialize, Serialize};

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
    pub(super) fn first(&self, text: &str) -> Option<&str> {
        let found = self.finder.as_ref()?.find(text)?;
        Some(&self.words[found.pattern().as_usize()])
    }

    /// Each word of a text that is one, as often as it occurs.
    pub(super) fn all<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.finder.iter().flat_map(move |finder| finder.find_iter(text));
        found.map(|found| self.words[found.pattern().as_usize()].as_str())
    }

    /// The text with words in place of the tokens.
    pub(super) fn escape<'a>(&self, text: &'a str) -> Cow<'a, str> {
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
