//! What a text looks like: paragraphs, lists, Markdown.

use super::{Property, count};

pub(super) const ALL: &[Property] = &[
    count("paragraphs", "Paragraphs", "Blocks of lines with an empty line between them.", |r| {
        let mut before = true;
        let blank = r.text.lines().map(|line| line.trim().is_empty());
        blank.filter(|blank| std::mem::replace(&mut before, *blank) && !blank).count() as f64
    }),
    count(
        "list_items",
        "List items",
        "Lines that begin with -, *, + or •, with 1. or a).",
        |r| r.text.lines().filter(|line| list_item(line).is_some()).count() as f64,
    ),
    count("headings", "Headings", "Lines that begin with #, and lines wholly in bold.", |r| {
        r.text.lines().filter(|line| is_heading(line.trim())).count() as f64
    }),
    count("code", "Code", "Lines in blocks of code, and passages between backticks.", |r| {
        code(r.text) as f64
    }),
    count("emphasis", "Emphasis", "Passages in bold or italics: **so**, __so__ or *so*.", |r| {
        emphasis(r.text) as f64
    }),
    count("links", "Links", "Addresses of pages, and Markdown links.", |r| links(r.text) as f64),
];

/// What follows the mark of a list's item; `None` for a line that is none.
pub(super) fn list_item(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let mark = line.find(char::is_whitespace)?;
    let (mark, rest) = line.split_at(mark);
    let named = mark.strip_suffix(['.', ')']).is_some_and(|name| {
        let number = name.len() <= 3 && name.bytes().all(|b| b.is_ascii_digit());
        let letter = name.len() == 1 && name.bytes().all(|b| b.is_ascii_lowercase());
        !name.is_empty() && (number || letter && mark.ends_with(')'))
    });
    (named || ["-", "*", "+", "•", "–"].contains(&mark)).then_some(rest)
}

fn is_heading(line: &str) -> bool {
    let rest = line.trim_start_matches('#');
    let marks = line.len() - rest.len();
    let bold = |mark| {
        let inner = line.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
        inner.is_some_and(|inner| !inner.is_empty() && !inner.contains(mark))
    };
    (1..=6).contains(&marks) && rest.starts_with(' ') || bold("**") || bold("__")
}

fn code(text: &str) -> usize {
    let (mut count, mut inside) = (0, false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            count += 1;
        } else {
            count += line.matches('`').count() / 2;
        }
    }
    count
}

fn emphasis(text: &str) -> usize {
    let in_line = |line: &str| {
        let line = list_item(line).unwrap_or(line);
        let bold = (line.matches("**").count() + line.matches("__").count()) / 2;
        // A star with spaces on both sides multiplies.
        let rest = line.replace("**", "").replace(" * ", "");
        bold + rest.matches('*').count() / 2
    };
    text.lines().map(in_line).sum()
}

fn links(text: &str) -> usize {
    let addresses = text.matches("http://").count() + text.matches("https://").count();
    let bare = text.match_indices("www.").filter(|(at, _)| !text[..*at].ends_with('/'));
    let marked = text.match_indices("](").filter(|(at, _)| !text[at + 2..].starts_with("http"));
    addresses + bare.count() + marked.count()
}
