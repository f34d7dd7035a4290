//! A response, cut into what properties count.

use std::collections::HashSet;

use super::stop_words::stop_words;

/// Bytes of a text that are read at most, so that no text takes more than its share of the time.
pub const LONGEST: usize = 100_000;

/// What a response answers: its words that carry meaning.
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    pub(super) content: HashSet<String>,
    cut: bool,
}

impl Prompt {
    /// Of its text.
    pub fn new(text: &str) -> Self {
        let (text, cut) = beginning(text);
        let all = words(text).into_iter();
        let content = all.filter(|word| !stop_words().contains(word.as_str())).collect();
        Self { content, cut }
    }
}

/// A response as properties see it.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// The text, as far as it is read.
    pub(super) text: &'a str,
    /// Its words, in small letters.
    pub(super) words: Vec<String>,
    pub(super) prompt: &'a Prompt,
    cut: bool,
}

impl<'a> Reading<'a> {
    /// Of a response to a prompt.
    pub fn new(response: &'a str, prompt: &'a Prompt) -> Self {
        let (text, cut) = beginning(response);
        Self { text, words: words(text), prompt, cut }
    }

    /// Whether the response, or its prompt, is longer than what is read of it.
    pub(super) fn is_cut(&self) -> bool {
        self.cut || self.prompt.cut
    }
}

/// As much of a text as is read, and whether that is not all.
fn beginning(text: &str) -> (&str, bool) {
    let end = text.floor_char_boundary(LONGEST);
    (&text[..end], end < text.len())
}

/// The words of a text in small letters: letters, digits, and apostrophes inside. In scripts without spaces
/// each sign is a word.
fn words(text: &str) -> Vec<String> {
    let (mut all, mut word) = (Vec::new(), String::new());
    for c in text.chars() {
        if is_sign(c) {
            end_word(&mut all, &mut word);
            all.push(c.to_string());
        } else if c.is_alphanumeric() || is_mark(c) {
            word.extend(c.to_lowercase());
        } else if matches!(c, '\'' | '’') && !word.is_empty() {
            word.push('\'');
        } else {
            end_word(&mut all, &mut word);
        }
    }
    end_word(&mut all, &mut word);
    all
}

fn end_word(all: &mut Vec<String>, word: &mut String) {
    word.truncate(word.trim_end_matches('\'').len());
    if !word.is_empty() {
        all.push(std::mem::take(word));
    }
}

/// Whether it is a sign of a script that puts no spaces between words: kana, Han, Thai, Lao, Khmer, Burmese.
fn is_sign(c: char) -> bool {
    c.is_alphanumeric()
        && matches!(c,
            '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
            | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether it belongs to the letter before it without being one: accents, and what joins Indic letters.
fn is_mark(c: char) -> bool {
    match c {
        '\u{300}'..='\u{36f}' | '\u{dca}' | '\u{200c}' | '\u{200d}' => true,
        '\u{900}'..='\u{d7f}' => matches!(c as u32 & 0x7f, 0x3c | 0x4d),
        _ => false,
    }
}
