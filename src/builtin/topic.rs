//! What the demonstration world knows of one everyday matter.

/// One everyday matter that a user can ask about.
pub(super) struct Topic {
    /// Words of which one stands in every question about this topic and in no question
    /// about another; the first is the topic's name.
    pub(super) words: &'static [&'static str],
    /// What the user wants, to be put into one of the lexicon's `QUESTIONS`.
    pub(super) goals: [&'static str; 3],
    /// Good advice with the good that comes of it, put into `ADVICE_FORMS` and
    /// `REASON_FORMS`. No wording belongs to two topics.
    pub(super) right: [(&'static str, &'static str); 4],
    /// Advice that would do harm; bad whatever the question.
    pub(super) wrong: [&'static str; 2],
}
