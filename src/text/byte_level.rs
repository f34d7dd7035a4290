//! The token ids of byte-level BPE, as the tokenizer itself gives them, in a fraction of its time.
//!
//! The tokenizer tracks where every character came from and looks each word's merges up among
//! strings; all that is asked for here are ids. So text is cut by the same rules with a compiled
//! expression, and each word goes to the tokenizer's own model once. What is not known to be cut
//! in the same way is left to the tokenizer.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use regex_automata::Input;
use regex_automata::meta::Regex;
use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::split::SplitPattern;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::{
    AddedToken, Model, NormalizedString, Normalizer, SplitDelimiterBehavior, Tokenizer,
};

use super::library;

/// How the byte-level step itself cuts text (GPT-2's `encoder.py`).
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// How expressions end that leave the last space of a run to the word behind it.
const SPACES: &str = r"|\s+(?!\S)|\s+";

/// A tokenizer's way from text to ids.
pub(super) struct ByteLevel {
    /// Tokens that are cut out of the text as it is, and out of the normalised text.
    added: [Option<Added>; 2],
    cuts: Vec<Cut>,
    words: Words,
    /// Ids before and after those of a text.
    frame: [Vec<u32>; 2],
}

/// One rule by which a text is cut; every piece of what it finds, and all between, is cut by the
/// next rule.
enum Cut {
    /// Matches of an expression. `spaces`: its second pattern is a run of white space, which
    /// leaves its last character to what follows.
    Matches { regex: Box<Regex>, spaces: bool },
    /// Numeric characters, each by itself or a run of them together.
    Digits { alone: bool },
}

impl ByteLevel {
    /// Of a tokenizer whose every step is known here.
    pub(super) fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let ModelWrapper::BPE(bpe) = tokenizer.get_model() else { return None };
        if bpe.dropout.is_some_and(|chance| chance > 0.0) || tokenizer.get_encode_special_tokens() {
            return None;
        }
        let steps = match tokenizer.get_pre_tokenizer()? {
            PreTokenizerWrapper::Sequence(steps) => steps.as_ref(),
            step => std::slice::from_ref(step),
        };
        Some(Self {
            added: added(tokenizer)?,
            cuts: cuts(steps)?,
            words: Words::default(),
            frame: frame(tokenizer)?,
        })
    }

    /// The ids that `tokenizer`, the one that this was made of, gives a text.
    ///
    /// # Errors
    ///
    /// The model's own failure.
    pub(super) fn encode(
        &self,
        tokenizer: &Tokenizer,
        text: &str,
        add_special: bool,
    ) -> tokenizers::Result<Vec<u32>> {
        let [before, after] = &self.frame;
        let mut ids = if add_special { before.clone() } else { Vec::new() };
        let [as_it_is, normalised] = &self.added;
        split(as_it_is.as_ref(), text, &mut ids, &mut |text, ids| {
            let text = normalise(tokenizer, text)?;
            split(normalised.as_ref(), &text, ids, &mut |text, ids| {
                self.cut(&self.cuts, text, tokenizer.get_model(), ids)
            })
        })?;
        if add_special {
            ids.extend_from_slice(after);
        }
        Ok(ids)
    }

    fn cut(
        &self,
        cuts: &[Cut],
        text: &str,
        model: &ModelWrapper,
        ids: &mut Vec<u32>,
    ) -> tokenizers::Result<()> {
        match cuts.split_first() {
            _ if text.is_empty() => Ok(()),
            None => self.words.push(text, model, ids),
            Some((cut, rest)) => cut.pieces(text, &mut |piece| self.cut(rest, piece, model, ids)),
        }
    }
}

impl Cut {
    /// Tell every piece of a text, in order.
    fn pieces<E>(&self, text: &str, tell: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::Digits { alone } => digits(text, *alone, tell),
            Self::Matches { regex, spaces } => {
                let mut at = 0;
                while let Some((start, end)) = next_match(regex, *spaces, text, at) {
                    if at < start {
                        tell(&text[at..start])?;
                    }
                    tell(&text[start..end])?;
                    at = end;
                }
                if at < text.len() { tell(&text[at..]) } else { Ok(()) }
            }
        }
    }
}

/// Where the next match from `at` on begins and ends.
fn next_match(regex: &Regex, spaces: bool, text: &str, at: usize) -> Option<(usize, usize)> {
    let found = regex.find(Input::new(text).range(at..))?;
    let (start, end) = (found.start(), found.end());
    if !spaces || found.pattern().as_usize() == 0 || end == text.len() {
        return Some((start, end));
    }
    // White space before a word: its last character is the word's own, unless it is the only one.
    let (last, _) = text[start..end].char_indices().next_back()?;
    Some((start, if last > 0 { start + last } else { end }))
}

fn digits<E>(
    text: &str,
    alone: bool,
    tell: &mut dyn FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    let mut start = 0;
    let mut before: Option<bool> = None;
    for (at, character) in text.char_indices() {
        let numeric = character.is_numeric();
        let together = before == Some(numeric) && !(numeric && alone);
        if before.is_some() && !together {
            tell(&text[start..at])?;
            start = at;
        }
        before = Some(numeric);
    }
    if start < text.len() { tell(&text[start..]) } else { Ok(()) }
}

/// The rules of a sequence of steps that ends with the byte-level one.
fn cuts(steps: &[PreTokenizerWrapper]) -> Option<Vec<Cut>> {
    let (last, others) = steps.split_last()?;
    let PreTokenizerWrapper::ByteLevel(last) = last else { return None };
    if last.add_prefix_space {
        return None;
    }
    let mut cuts = others.iter().map(cut).collect::<Option<Vec<_>>>()?;
    if last.use_regex {
        cuts.push(matches(GPT2)?);
    }
    Some(cuts)
}

fn cut(step: &PreTokenizerWrapper) -> Option<Cut> {
    match step {
        PreTokenizerWrapper::Digits(digits) => {
            Some(Cut::Digits { alone: digits.individual_digits })
        }
        PreTokenizerWrapper::Split(split) => match (&split.pattern, split.behavior, split.invert) {
            (SplitPattern::Regex(text), SplitDelimiterBehavior::Isolated, false) => matches(text),
            _ => None,
        },
        _ => None,
    }
}

fn matches(expression: &str) -> Option<Cut> {
    let (head, spaces) = match expression.strip_suffix(SPACES) {
        Some(head) => (head, true),
        None => (expression, false),
    };
    let patterns = if spaces { vec![head, r"\s+"] } else { vec![head] };
    let regex = Regex::new_many(&patterns).ok().filter(|_| is_plain(head))?;
    // What matches nothing at all would have to be stepped over, and every engine does it its way.
    (!regex.is_match("")).then_some(())?;
    Some(Cut::Matches { regex: Box::new(regex), spaces })
}

/// Whether an expression means the same to every engine: only classes, groups and repetitions.
fn is_plain(expression: &str) -> bool {
    let mut rest = expression.chars();
    while let Some(character) = rest.next() {
        if character == '\\'
            && !rest.next().is_some_and(|c| "sSpPrntdDwW\\.'[](){}|?*+-/".contains(c))
        {
            return false;
        }
    }
    let common = expression.replace("(?:", "").replace("(?i:", "").replace("[^", "[");
    let odd = ["(?", "&&", "--", "~~", "[[", "*+", "++", "?+", "^", "$"];
    // The brace of a count, not of a class: `{1,3}+` is possessive to some engines only.
    let possessive = common.match_indices("}+").any(|(end, _)| {
        let open = common[..end].rfind('{').unwrap_or(0);
        common[open..end].contains(|c: char| c.is_ascii_digit())
    });
    !possessive && !odd.iter().any(|odd| common.contains(odd))
}

/// Tokens that are looked for before text is cut.
struct Added {
    search: AhoCorasick,
    ids: Vec<u32>,
}

/// Those found in the text as it is, and those found in the normalised text; `None` where one
/// takes white space with it, or is found as a whole word only.
fn added(tokenizer: &Tokenizer) -> Option<[Option<Added>; 2]> {
    let tokens = tokenizer.get_added_tokens_decoder();
    if tokens.values().any(|t| t.lstrip || t.rstrip || t.single_word || t.content.is_empty()) {
        return None;
    }
    let of = |normalised: bool| {
        let mut chosen: Vec<(&u32, &AddedToken)> =
            tokens.iter().filter(|(_, token)| token.normalized == normalised).collect();
        chosen.sort_by_key(|(id, _)| **id);
        if chosen.is_empty() {
            return Some(None);
        }
        let text = |token: &AddedToken| match normalised {
            true => normalise(tokenizer, &token.content).ok().map(|text| text.into_owned()),
            false => Some(token.content.clone()),
        };
        let texts = chosen.iter().map(|(_, token)| text(token)).collect::<Option<Vec<_>>>()?;
        let search =
            AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts).ok()?;
        Some(Some(Added { search, ids: chosen.into_iter().map(|(id, _)| *id).collect() }))
    };
    Some([of(false)?, of(true)?])
}

/// Push the ids of added tokens, and do `other` with what is between them.
fn split(
    added: Option<&Added>,
    text: &str,
    ids: &mut Vec<u32>,
    other: &mut dyn FnMut(&str, &mut Vec<u32>) -> tokenizers::Result<()>,
) -> tokenizers::Result<()> {
    let mut at = 0;
    if let Some(added) = added {
        for found in added.search.find_iter(text) {
            if at < found.start() {
                other(&text[at..found.start()], ids)?;
            }
            ids.push(added.ids[found.pattern().as_usize()]);
            at = found.end();
        }
    }
    if at < text.len() { other(&text[at..], ids) } else { Ok(()) }
}

/// A text as the tokenizer normalises it.
fn normalise<'a>(
    tokenizer: &Tokenizer,
    text: &'a str,
) -> tokenizers::Result<std::borrow::Cow<'a, str>> {
    match tokenizer.get_normalizer() {
        None => Ok(text.into()),
        Some(NormalizerWrapper::NFC(_)) if text.is_ascii() => Ok(text.into()),
        Some(normalizer) => {
            let mut normalised = NormalizedString::from(text);
            normalizer.normalize(&mut normalised)?;
            Ok(normalised.get().to_owned().into())
        }
    }
}

/// What the last step puts around ids; `None` where it may do anything else.
fn frame(tokenizer: &Tokenizer) -> Option<[Vec<u32>; 2]> {
    let known = |step: &PostProcessorWrapper| {
        matches!(step, PostProcessorWrapper::ByteLevel(_) | PostProcessorWrapper::Template(_))
    };
    let all_known = match tokenizer.get_post_processor() {
        None => true,
        Some(PostProcessorWrapper::Sequence(steps)) => steps.as_ref().iter().all(known),
        Some(step) => known(step),
    };
    if all_known { library::frame(tokenizer) } else { None }
}

/// Bytes as the letters that stand for them in byte-level vocabularies: printable ones for
/// themselves, the others for letters from U+0100 on.
static LETTERS: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut others = (0x100..).filter_map(char::from_u32);
    std::array::from_fn(|byte| match byte as u8 {
        b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte as u8),
        _ => others.next().unwrap_or_default(),
    })
});

/// Words whose ids are kept: most text is made of few of them.
const KEPT: usize = 1 << 20;
/// Bytes of the longest word that is kept.
const LONGEST: usize = 128;
const SHARDS: usize = 64;

/// Ids by words.
type Shard = HashMap<Box<str>, Box<[u32]>, ahash::RandomState>;

/// The ids of words that were seen, for all threads.
struct Words {
    shards: [RwLock<Shard>; SHARDS],
}

impl Default for Words {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()) }
    }
}

impl Words {
    fn push(&self, word: &str, model: &ModelWrapper, ids: &mut Vec<u32>) -> tokenizers::Result<()> {
        // Any function of the word will do; neighbours in length and letters come in any order.
        let add = |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte));
        let mix = word.bytes().take(8).fold(word.len(), add);
        let shard = &self.shards[mix % SHARDS];
        if let Some(known) = shard.read().unwrap_or_else(PoisonError::into_inner).get(word) {
            ids.extend_from_slice(known);
            return Ok(());
        }
        let letters: String = word.bytes().map(|byte| LETTERS[usize::from(byte)]).collect();
        let found: Box<[u32]> = model.tokenize(&letters)?.iter().map(|token| token.id).collect();
        ids.extend_from_slice(&found);
        if word.len() <= LONGEST {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            if shard.len() < KEPT / SHARDS {
                shard.insert(word.into(), found);
            }
        }
        Ok(())
    }
}
