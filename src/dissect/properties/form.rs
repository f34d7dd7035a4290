//! Length and punctuation.

use super::{Property, count, part, share};
use crate::dissect::reading::Reading;

pub(super) const ALL: &[Property] = &[
    count("characters", "Characters", "Letters, digits, spaces, everything.", |r| {
        r.text.chars().count() as f64
    }),
    count("words", "Words", "Words; in scripts without spaces, signs.", |r| r.words.len() as f64),
    count("sentences", "Sentences", "Sentences; a line's end is also a sentence's.", |r| {
        sentences(r.text) as f64
    }),
    share("sentence_length", "Length of sentences", "Words in a sentence, on average.", |r| {
        part(r.words.len(), sentences(r.text))
    }),
    share("word_length", "Length of words", "Letters in a word, on average.", |r| {
        part(r.words.iter().map(|word| word.chars().count()).sum(), r.words.len())
    }),
    count("questions", "Questions", "Question marks.", |r| marks(r, &['?', '?', '؟'])),
    count("exclamations", "Exclamations", "Exclamation marks.", |r| marks(r, &['!', '!'])),
    count("numbers", "Numbers", "Numbers in digits; 1,000.5 is one.", |r| numbers(r.text) as f64),
    count("quotations", "Quotations", "Passages in quotation marks.", |r| {
        let straight = r.text.matches('"').count() / 2;
        (straight + r.text.matches(['“', '«', '「', '„']).count()) as f64
    }),
    share("capitals", "Capitals", "Share of its letters that are capitals.", |r| {
        let letters = r.text.chars().filter(|c| c.is_alphabetic());
        let capitals = r.text.chars().filter(|c| c.is_uppercase());
        part(capitals.count(), letters.count())
    }),
    share(
        "ends_properly",
        "Ends properly",
        "Whether the last sign ends a sentence, a bracket, a quotation or a block of code, so that it does not look cut off.",
        |r| f64::from(u8::from(r.text.trim_end().ends_with(ENDS))),
    ),
];

/// Signs that something ends with.
const ENDS: &[char] = &[
    '.', '!', '?', '…', ':', '"', '”', '»', '\'', '’', ')', ']', '}', '`', '*', '。', '!', '?',
    '」', '।', '؟',
];

fn marks(reading: &Reading<'_>, marks: &[char]) -> f64 {
    reading.text.matches(marks).count() as f64
}

/// How many stretches with a letter or digit in them end: at a line's end, or at a mark that no letter follows.
fn sentences(text: &str) -> usize {
    let (mut count, mut open) = (0, false);
    let lines = text.lines().map(|line| super::layout::list_item(line).unwrap_or(line));
    for line in lines {
        let mut letters = line.chars().peekable();
        while let Some(c) = letters.next() {
            let inside = letters.peek().is_some_and(|next| next.is_alphanumeric() || *next == '.');
            if c.is_alphanumeric() {
                open = true;
            } else if open && ends(c) && (is_wide(c) || !inside) {
                count += 1;
                open = false;
            }
        }
        count += usize::from(open);
        open = false;
    }
    count
}

fn ends(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '؟') || is_wide(c)
}

/// Marks that end a sentence whatever follows.
fn is_wide(c: char) -> bool {
    matches!(c, '。' | '!' | '?' | '।')
}

/// Runs of digits, with the points and commas inside.
fn numbers(text: &str) -> usize {
    let (mut count, mut inside) = (0, false);
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        let joins = matches!(c, '.' | ',') && letters.peek().is_some_and(char::is_ascii_digit);
        if c.is_ascii_digit() {
            count += usize::from(!inside);
            inside = true;
        } else {
            inside = inside && joins;
        }
    }
    count
}
