//! Which words, whatever the language: how varied they are, and how near to the prompt.

use std::collections::HashSet;

use super::{Property, count, part, share};
use crate::dissect::reading::Reading;
use crate::dissect::stop_words::stop_words;

pub(super) const ALL: &[Property] = &[
    share(
        "variety",
        "Varied words",
        "Share of its words that are different ones (type–token ratio).",
        |r| {
            let different: HashSet<&String> = r.words.iter().collect();
            part(different.len(), r.words.len())
        },
    ),
    share(
        "repetition",
        "Repetition",
        "Share of its runs of three words that stood in it before.",
        |r| {
            let mut seen = HashSet::new();
            let again = r.words.windows(3).filter(|run| !seen.insert(*run)).count();
            part(again, r.words.len().saturating_sub(2))
        },
    ),
    share(
        "overlap",
        "Taken from the prompt",
        "Share of the prompt's words (the, of, is and the like aside) that it uses.",
        |r| {
            let used: HashSet<&String> =
                content(r).filter(|w| r.prompt.content.contains(*w)).collect();
            part(used.len(), r.prompt.content.len())
        },
    ),
    share(
        "novelty",
        "New beside the prompt",
        "Share of its words (the, of, is and the like aside) that the prompt does not have.",
        |r| {
            let new = content(r).filter(|word| !r.prompt.content.contains(*word)).count();
            part(new, content(r).count())
        },
    ),
    count("humour", "Emoji and laughter", "Emoji, :) and the like, haha, lol.", |r| {
        let pictures = r.text.chars().filter(|c| is_emoji(*c)).count();
        let faces = FACES.iter().map(|face| r.text.matches(face).count()).sum::<usize>();
        (pictures + faces + r.words.iter().filter(|word| is_laughter(word)).count()) as f64
    }),
];

/// Faces made of letters.
const FACES: &[&str] = &[":)", ":-)", ";)", ";-)", ":D", ":-D", ":P", ":-P", "xD", "<3"];

/// The words that carry meaning.
fn content<'r>(reading: &'r Reading<'_>) -> impl Iterator<Item = &'r String> {
    reading.words.iter().filter(|word| !stop_words().contains(word.as_str()))
}

fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1f300}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{1f1e6}'..='\u{1f1ff}')
}

fn is_laughter(word: &str) -> bool {
    matches!(word, "lol" | "lmao" | "rofl" | "hehe" | "hihi" | "xd") || word.starts_with("haha")
}
