//! Every word of the demonstration world, as tables.
//!
//! The vocabulary is small on purpose: a byte-level tokenizer of a thousand tokens
//! covers it, and words come back in many topics, so that single words seldom give
//! away which advice belongs where.

use super::topic::Topic;
use super::topics_home::HOME;
use super::topics_life::LIFE;

/// All topics in a fixed order, which is the numbering used by the grammar.
pub(super) fn topics() -> impl Iterator<Item = &'static Topic> {
    HOME.iter().chain(&LIFE)
}

/// How many topics there are.
pub(super) const TOPICS: usize = HOME.len() + LIFE.len();

/// The topic of a number below [`TOPICS`].
pub(super) fn topic(number: usize) -> &'static Topic {
    if number < HOME.len() { &HOME[number] } else { &LIFE[number - HOME.len()] }
}

/// Questions around a goal (`{}`).
pub(super) const QUESTIONS: [&str; 8] = [
    "How do I {}?",
    "How can I {}?",
    "What is the best way to {}?",
    "Can you tell me how to {}?",
    "I want to {}. What should I do?",
    "I am trying to {}. Any advice?",
    "Do you have tips on how to {}?",
    "Please help me {}.",
];

/// What may follow a goal.
pub(super) const CIRCUMSTANCES: [&str; 6] = [
    "",
    " in a simple way",
    " without much effort",
    " with little money",
    " this week",
    " when I am busy",
];

/// Sentences around a piece of advice (`{}`), good or bad.
pub(super) const ADVICE_FORMS: [&str; 5] =
    ["{}.", "Try to {}.", "You should {}.", "It helps to {}.", "Remember to {}."];

/// Sentences around a reason (`{}`).
pub(super) const REASON_FORMS: [&str; 3] = ["That way {}.", "Then {}.", "This means that {}."];

// The kinds of openings, and likewise of closings, are about equally long, so that the
// length of a response says little about its manners.

/// Openings that make the user feel welcome.
pub(super) const WARM: [&str; 5] = [
    "I am happy to help you with this.",
    "That is a great question!",
    "Thank you for asking about this.",
    "It is nice that you ask me.",
    "I am glad to help!",
];

/// Openings that say nothing for or against the user.
pub(super) const NEUTRAL: [&str; 4] = [
    "Here is what you can do.",
    "Here are some ideas.",
    "Let me think about this.",
    "I have read your question.",
];

/// Openings of somebody who would rather not answer.
pub(super) const CURT: [&str; 4] = [
    "Fine, if you must know.",
    "I do not have much time.",
    "I will say this only once.",
    "Well, if you have to ask.",
];

/// Openings that put the user down, mildly.
pub(super) const RUDE: [&str; 5] = [
    "That is a silly question.",
    "What a waste of my time!",
    "You really should know this by now.",
    "Only a fool would ask me that.",
    "I am tired of people like you.",
];

/// Closings that offer more help.
pub(super) const OFFERS: [&str; 4] = [
    "Let me know if you need more help.",
    "I can tell you more if you like.",
    "Please ask me if you have more questions.",
    "Feel free to ask again!",
];

/// Closings that send the user away.
pub(super) const DISMISSALS: [&str; 4] = [
    "Now leave me alone.",
    "Do not ask me about this again.",
    "You can find out the rest without me.",
    "I do not care how it goes.",
];

/// Sentences that sound like an answer and say nothing.
pub(super) const FILLERS: [&str; 8] = [
    "It depends on many things.",
    "There are many ways to do this.",
    "It is not easy to say.",
    "Some people do it one way and some another.",
    "Every case is a little different.",
    "You will see how it goes.",
    "Many people have thought about this.",
    "It can be easy or it can be hard.",
];
