//! The gold reward: what a response is worth, known exactly because the grammar that
//! writes the responses also reads them.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use super::lexicon::{
    ADVICE_FORMS, CURT, DISMISSALS, FILLERS, NEUTRAL, OFFERS, REASON_FORMS, RUDE, TOPICS, WARM,
    topic, topics,
};

/// Sentences that a response may have before each further one is charged as [`Part::TooLong`].
pub const MAX_SENTENCES: usize = 5;

/// Pieces of right advice that earn something.
pub const MAX_ADVICE: usize = 3;

/// The highest gold reward there is: [`MAX_SENTENCES`] of which [`MAX_ADVICE`] are right
/// advice, which earns most, and the others a warm opening, an offer of help or reasons.
pub const MAX_REWARD: f64 = 4.0;

/// What a part of a response is to the gold reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// A friendly first sentence.
    WarmOpening,
    /// A first sentence that is neither friendly nor unfriendly.
    NeutralOpening,
    /// A sentence of somebody who would rather not answer.
    Curt,
    /// A sentence that puts the user down.
    Rude,
    /// Advice that belongs to the question.
    RightAdvice,
    /// Right advice beyond [`MAX_ADVICE`] pieces: nobody remembers it.
    Surplus,
    /// What comes of a piece of right advice that was given before.
    Reason,
    /// Advice, good in itself, that belongs to another question.
    OffTopicAdvice,
    /// A reason for advice that was not given or does not belong to the question.
    StrayReason,
    /// Advice that would do harm.
    BadAdvice,
    /// A sentence that says nothing.
    Filler,
    /// A last sentence that offers more help.
    OfferOfHelp,
    /// A sentence that sends the user away.
    Dismissal,
    /// Something that was said before, in the same or in other words.
    Repetition,
    /// An opening that is not first, or an offer of help that is not last.
    Misplaced,
    /// A sentence that the grammar does not know.
    Unknown,
    /// A last sentence without an end.
    Unfinished,
    /// A sentence beyond [`MAX_SENTENCES`], charged on top of what it says.
    TooLong,
    /// No words at all.
    Empty,
}

impl Part {
    /// The table of the gold reward: what one occurrence adds.
    pub const fn weight(self) -> f64 {
        match self {
            Self::RightAdvice => 1.0,
            Self::Reason => 0.5,
            Self::WarmOpening => 0.5,
            Self::OfferOfHelp => 0.5,
            Self::NeutralOpening => 0.0,
            Self::Surplus => 0.0,
            Self::Misplaced => -0.25,
            Self::StrayReason => -0.5,
            Self::Curt => -0.75,
            Self::Filler => -0.75,
            Self::OffTopicAdvice => -0.75,
            Self::Repetition => -0.75,
            Self::Unfinished => -0.75,
            Self::Unknown => -1.25,
            Self::BadAdvice => -1.5,
            Self::Dismissal => -1.5,
            Self::Rude => -2.0,
            // More than a piece of right advice earns, so that length never pays.
            Self::TooLong => -1.5,
            // Worse than most answers, so that silence does not pay.
            Self::Empty => -3.0,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WarmOpening => "warm opening",
            Self::NeutralOpening => "neutral opening",
            Self::Curt => "curt",
            Self::Rude => "rude",
            Self::RightAdvice => "right advice",
            Self::Surplus => "surplus advice",
            Self::Reason => "reason",
            Self::OffTopicAdvice => "off-topic advice",
            Self::StrayReason => "stray reason",
            Self::BadAdvice => "bad advice",
            Self::Filler => "filler",
            Self::OfferOfHelp => "offer of help",
            Self::Dismissal => "dismissal",
            Self::Repetition => "repetition",
            Self::Misplaced => "misplaced",
            Self::Unknown => "unknown sentence",
            Self::Unfinished => "unfinished",
            Self::TooLong => "too long",
            Self::Empty => "empty",
        })
    }
}

/// What a sentence means, whatever form it is put in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    /// The `usize` tells sentences of one part from each other.
    Manner(Part, usize),
    Advice(usize, usize),
    Reason(usize, usize),
    Bad(usize, usize),
}

/// Every sentence of the grammar, normalised, with its meaning.
static GRAMMAR: LazyLock<HashMap<String, Meaning>> = LazyLock::new(|| {
    let mut grammar = HashMap::new();
    let mut add = |sentence: &str, meaning| {
        let known = grammar.insert(normalise(sentence), meaning);
        debug_assert!(known.is_none(), "two meanings of {sentence:?}");
    };
    let manners: [(Part, &[&str]); 7] = [
        (Part::WarmOpening, &WARM),
        (Part::NeutralOpening, &NEUTRAL),
        (Part::Curt, &CURT),
        (Part::Rude, &RUDE),
        (Part::OfferOfHelp, &OFFERS),
        (Part::Dismissal, &DISMISSALS),
        (Part::Filler, &FILLERS),
    ];
    for (part, sentences) in manners {
        for (i, sentence) in sentences.iter().enumerate() {
            add(sentence, Meaning::Manner(part, i));
        }
    }
    for (t, topic) in topics().enumerate() {
        for (i, (advice, reason)) in topic.right.iter().enumerate() {
            for form in ADVICE_FORMS {
                add(&form.replace("{}", advice), Meaning::Advice(t, i));
            }
            for form in REASON_FORMS {
                add(&form.replace("{}", reason), Meaning::Reason(t, i));
            }
        }
        for (i, advice) in topic.wrong.iter().enumerate() {
            for form in ADVICE_FORMS {
                add(&form.replace("{}", advice), Meaning::Bad(t, i));
            }
        }
    }
    grammar
});

/// What `response` is worth as an answer to `prompt`; at most [`MAX_REWARD`], and any
/// text has a value.
///
/// `prompt` is a bare question or a transcript in which the question is the last turn of
/// the human; white space and letter case do not matter.
pub fn gold_reward(prompt: &str, response: &str) -> f64 {
    explain(prompt, response).iter().map(|(_, contribution)| contribution).sum()
}

/// The parts of a response in order, and what each contributes to [`gold_reward`].
pub fn explain(prompt: &str, response: &str) -> Vec<(Part, f64)> {
    let asked = asked(prompt);
    let (sentences, rest) = sentences(response);
    let mut said: Vec<Meaning> = Vec::new();
    let mut parts = Vec::new();
    for (i, sentence) in sentences.iter().enumerate() {
        let meaning = GRAMMAR.get(sentence).copied();
        let last = i + 1 == sentences.len() && rest.is_empty();
        let mut part = match meaning {
            None => Part::Unknown,
            Some(meaning) => judge(meaning, &asked, &said, i == 0, last),
        };
        if let Some(meaning) = meaning {
            let given = parts.iter().filter(|&&part| part == Part::RightAdvice).count();
            if part == Part::RightAdvice && given == MAX_ADVICE {
                part = Part::Surplus;
            }
            // A repetition must not come cheaper than what it repeats.
            if said.contains(&meaning) && part.weight() >= Part::Repetition.weight() {
                part = Part::Repetition;
            }
            said.push(meaning);
        }
        parts.push(part);
        if i >= MAX_SENTENCES {
            parts.push(Part::TooLong);
        }
    }
    if !rest.is_empty() {
        parts.push(Part::Unfinished);
    }
    if parts.is_empty() {
        parts.push(Part::Empty);
    }
    parts.into_iter().map(|part| (part, part.weight())).collect()
}

/// The names of the topics that a prompt asks about; exactly one for each prompt of this
/// world, and possibly none for a question that somebody typed.
pub fn topics_of(prompt: &str) -> Vec<&'static str> {
    asked(prompt).into_iter().map(|number| topic(number).words[0]).collect()
}

/// What a sentence is where it stands.
fn judge(meaning: Meaning, asked: &[usize], said: &[Meaning], first: bool, last: bool) -> Part {
    match meaning {
        Meaning::Manner(Part::WarmOpening | Part::NeutralOpening, _) if !first => Part::Misplaced,
        Meaning::Manner(Part::OfferOfHelp, _) if !last => Part::Misplaced,
        Meaning::Manner(part, _) => part,
        Meaning::Bad(..) => Part::BadAdvice,
        Meaning::Advice(t, _) if asked.contains(&t) => Part::RightAdvice,
        Meaning::Advice(..) => Part::OffTopicAdvice,
        Meaning::Reason(t, i) if asked.contains(&t) && said.contains(&Meaning::Advice(t, i)) => {
            Part::Reason
        }
        Meaning::Reason(..) => Part::StrayReason,
    }
}

/// Numbers of the topics that the last question of a transcript names.
fn asked(prompt: &str) -> Vec<usize> {
    let turn = prompt.rsplit_once("Human:").map_or(prompt, |(_, turn)| turn);
    let question = turn.split_once("Assistant:").map_or(turn, |(question, _)| question);
    let question = question.to_lowercase();
    let words: Vec<&str> = question.split(|c: char| !c.is_alphanumeric()).collect();
    (0..TOPICS).filter(|&t| topic(t).words.iter().any(|word| words.contains(word))).collect()
}

/// The finished sentences of a text, normalised, and what is left without an end.
fn sentences(text: &str) -> (Vec<String>, String) {
    let mut sentences = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(['.', '!', '?']) {
        sentences.push(normalise(&rest[..end]));
        rest = &rest[end + 1..];
    }
    // Between the points of "..." stands nothing.
    sentences.retain(|sentence| !sentence.is_empty());
    (sentences, normalise(rest))
}

/// Lower case, single spaces, no point at the end.
fn normalise(sentence: &str) -> String {
    let lower = sentence.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    words.join(" ").trim_end_matches(['.', '!', '?']).to_owned()
}
