//! Who labels pairs, and what a model says of many sequences: scores of an annotator, log-probabilities of a
//! policy.

mod annotators;
mod combining;
mod ensemble;
mod further;
mod judging;
mod questions;
mod rewording;
mod sequences;
mod sharing;
mod tournament;

pub use annotators::{
    ANNOTATORS, Annotating, Annotation, Annotator, FineTuning, Lessons, Pool, Reads, Seen,
    log_length, without_model,
};
pub use combining::Combining;
pub use ensemble::{Ensemble, trust};
pub use further::{Further, Said, toward_first};
pub use judging::{Asked, Judging, PLACES, Question};
pub use questions::{Asking, QuestionError, encode_questions};
pub use rewording::{
    Answer, Asker, Instruction, Reworded, Rewording, Tried, Unasked, fairness, paraphrase_request,
    position_bias, reword,
};
pub use sequences::{
    Shapes, all_log_odds, all_log_probs, distinct, distinct_log_probs, response_log_probs,
    score_sequences, scoring_needs, shapes_of, tailed_log_probs,
};
pub use sharing::{Positions, Sharing};
pub use tournament::Tournament;
