//! Words for one of two candidates, for a comparison of both, for a tie.

use super::names::{Twins, words};
use super::pair::Side;
use super::vote::{Vote, number};

/// Whether a value means that neither is better.
pub(super) fn says_tie(value: &str) -> bool {
    const TIES: &[&str] = &[
        "tie",
        "ties",
        "tied",
        "draw",
        "equal",
        "equally",
        "same",
        "both",
        "neither",
        "none",
        "bothbad",
        "undecided",
    ];
    let words = words(value);
    words.len() <= 8 && words.iter().any(|word| TIES.contains(&word.as_str()))
        || value == "no preference"
        || words == ["no", "preference"]
}

/// Whether a value means that nobody judged.
pub(super) fn says_nothing(value: &str) -> bool {
    let bare = value.trim_matches(|c: char| !c.is_alphanumeric());
    [
        "nan",
        "null",
        "n/a",
        "na",
        "unknown",
        "unlabelled",
        "unlabeled",
        "error",
        "invalid",
        "skip",
        "skipped",
        "",
    ]
    .contains(&bare)
}

/// Whether a value looks like the name of some candidate: `c`, `model_3`.
pub(super) fn ends_like_a_name(value: &str) -> bool {
    words(value).last().is_some_and(|word| word.len() == 1)
}

/// Words that compare what stands before them with what stands behind; whether the former is
/// the better one.
const COMPARES: &[(&str, bool)] = &[
    (" better than ", true),
    (" preferred over ", true),
    (" preferred to ", true),
    (" beats ", true),
    (" over ", true),
    (" worse than ", false),
];

/// What a name or a comparison says: `a`, `model_a`, `response 1`, `a>b`, `b >> a`, `a=b`,
/// `a is better than b`.
pub(super) fn named(twins: &Twins, value: &str) -> Option<Vote> {
    let quotes = ['[', ']', '(', ')', '{', '}', '"', '\'', '`', '*', '.', ':', '!'];
    let bare = value.trim_matches(|c: char| quotes.contains(&c) || c.is_whitespace());
    let is_sign = |c: char| matches!(c, '>' | '<' | '=' | '~' | '≈' | '≻' | '≺');
    let Some(start) = bare.find(is_sign) else {
        let mut words = COMPARES.iter();
        let Some((left, right, former)) = words.find_map(|(words, former)| {
            bare.split_once(words).map(|(left, right)| (left, right, *former))
        }) else {
            return side_named(twins, bare).map(Vote::sure);
        };
        let (left, right) = (side_named(twins, left)?, side_named(twins, right)?);
        return (left != right).then(|| Vote::sure(if former { left } else { right }));
    };
    let (left, rest) = bare.split_at(start);
    let right = rest.trim_start_matches(is_sign);
    let signs = &rest[..rest.len() - right.len()];
    let (left, right) = (compared(twins, left)?, compared(twins, right)?);
    if left == right {
        return None;
    }
    let strength = Some(signs.chars().count() as f32);
    if signs.chars().all(|c| matches!(c, '>' | '≻')) {
        Some(Vote::For(left, 1.0, strength))
    } else if signs.chars().all(|c| matches!(c, '<' | '≺')) {
        Some(Vote::For(right, 1.0, strength))
    } else {
        signs.chars().all(|c| matches!(c, '=' | '~' | '≈')).then_some(Vote::Tie)
    }
}

/// One side of a comparison, where a bare number is a name.
fn compared(twins: &Twins, text: &str) -> Option<Side> {
    let text = text.trim();
    if let Some(side) = twins.sides.iter().position(|side| side == text) {
        return Some(if side == 0 { Side::First } else { Side::Second });
    }
    match (text, twins.sides[0].as_str()) {
        // Of candidates 0 and 1, 1 is the second and 2 is none.
        (_, "0") | ("0", _) => side_named(twins, text),
        ("1", _) => Some(Side::First),
        ("2", _) => Some(Side::Second),
        _ => side_named(twins, text),
    }
}

/// The candidate that words name, if they name one and say nothing else.
fn side_named(twins: &Twins, text: &str) -> Option<Side> {
    const FILLERS: &[&str] = &[
        "response",
        "answer",
        "model",
        "assistant",
        "output",
        "completion",
        "candidate",
        "option",
        "choice",
        "text",
        "reply",
        "summary",
        "conversation",
        "the",
        "is",
        "was",
        "are",
        "better",
        "best",
        "wins",
        "win",
        "won",
        "winner",
        "preferred",
        "prefer",
        "chosen",
        "strongly",
        "slightly",
        "much",
        "significantly",
        "clearly",
        "marginally",
        "far",
        "verdict",
        "final",
        "result",
        "option",
        "ai",
        "chatbot",
        "side",
        "ref",
        "human",
        "one",
    ];
    // What stands between words must be no sign that says something.
    if number(text).is_some()
        || !text.chars().all(|c| c.is_alphanumeric() || " _-.:,'\"[]()".contains(c))
    {
        return None;
    }
    let [first, second] = twins.names.each_ref().map(|name| words(name));
    let value = words(text);
    if value == first {
        return Some(Side::First);
    }
    if value == second {
        return Some(Side::Second);
    }
    let letters = [&["a", "first", "left"][..], &["b", "second", "right"]];
    let digits = if twins.sides[0] == "0" { [&[][..], &[]] } else { [&["1"][..], &["2"]] };
    let side = |word: &String| {
        let is = |i: usize| {
            let word = word.as_str();
            twins.sides[i] == word || letters[i].contains(&word) || digits[i].contains(&word)
        };
        if is(0) { Some(Side::First) } else { is(1).then_some(Side::Second) }
    };
    let known = |word: &&String| {
        FILLERS.contains(&word.as_str()) || first.contains(*word) || second.contains(*word)
    };
    let (mut found, mut rest) = (None, 0);
    for word in &value {
        match (side(word), found) {
            (Some(new), None) => found = Some(new),
            (Some(new), Some(old)) if new != old => return None,
            (Some(_), Some(_)) => {}
            (None, _) => rest += usize::from(!known(&word)),
        }
    }
    found.filter(|_| rest == 0)
}
