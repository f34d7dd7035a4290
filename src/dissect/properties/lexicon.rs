//! Lists of words and phrases, found in the words of a text.

use std::collections::HashMap;

/// A list of words and phrases.
pub(super) struct Lexicon {
    /// By their first words: the words that follow, those of longer phrases first.
    by_first: HashMap<&'static str, Vec<Vec<&'static str>>>,
}

impl Lexicon {
    /// Of words and phrases in small letters, with ", " between two of them.
    pub(super) fn new(phrases: &'static str) -> Self {
        let mut by_first: HashMap<&'static str, Vec<Vec<&'static str>>> = HashMap::new();
        for phrase in phrases.split(", ") {
            let mut words = phrase.split(' ');
            if let Some(first) = words.next() {
                by_first.entry(first).or_default().push(words.collect());
            }
        }
        for rests in by_first.values_mut() {
            rests.sort_by_key(|rest| std::cmp::Reverse(rest.len()));
        }
        Self { by_first }
    }

    /// How often one of them stands in these words; a word counts once, for the longest phrase that it begins.
    pub(super) fn count(&self, words: &[String]) -> usize {
        let (mut at, mut count) = (0, 0);
        while let Some(word) = words.get(at) {
            let follows = |rest: &&Vec<&str>| {
                let next = words.get(at + 1..at + 1 + rest.len());
                next.is_some_and(|next| next.iter().zip(rest.iter()).all(|(a, b)| a == b))
            };
            let found = self.by_first.get(word.as_str()).and_then(|all| all.iter().find(follows));
            count += usize::from(found.is_some());
            at += 1 + found.map_or(0, Vec::len);
        }
        count
    }
}
