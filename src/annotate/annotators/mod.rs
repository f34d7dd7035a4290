//! Annotators: who says which response of a pair is better, and how sure that is.
//!
//! An annotator says what it has to see of a pair and what it makes of that; a run shows it. One more
//! annotator is a file here and a line in [`ANNOTATORS`].

mod file;
mod gptscore;
mod human;
mod implicit;
mod judge;
mod length;
mod random;
mod reward_head;
mod trained_judge;

pub use length::log_length;

use super::combining::Combining;
use super::judging::{Judging, Question};
use super::tournament::Tournament;
use crate::batch::{Ranked, Sequence};
use crate::data::{AnnotatedPair, Label, Pair, Side};
use crate::registry::{About, Choice, Constants, Registry};
use crate::settings::settings;
use crate::train::{OutputKind, Task};

/// All annotators, the default first.
pub static ANNOTATORS: &[&dyn Annotator] = &[
    &reward_head::RewardHead,
    &implicit::Implicit,
    &judge::Judge,
    &trained_judge::TrainedJudge,
    &gptscore::GptScore,
    &human::Human,
    &file::File,
    &length::Length,
    &random::Random,
];

/// Who labels the unlabelled split.
pub trait Annotator: Sync + 'static {
    /// What it says of itself.
    fn about(&self) -> &'static About;

    /// What it has to see.
    fn reads(&self) -> Reads;

    /// What it says of a pair; `None` where it has nothing to say.
    fn annotate(&self, seen: &Seen<'_>, settings: &Annotating) -> Option<Annotation>;

    /// Whether what it says is of two responses beside each other, so that neither has a score of its own that would be
    /// the same beside another one.
    fn compares(&self, _settings: &Annotating) -> bool {
        false
    }

    /// What it asks its model of a pair, for one that reads answers; `chat` says whether the model is
    /// talked to, or writes on.
    fn asks(&self, _pair: &Pair, _settings: &Annotating, _chat: bool) -> Option<[Question; 2]> {
        None
    }

    /// What else it says of a pair, by the names of columns in the table.
    fn columns(&self, _seen: &Seen<'_>, _settings: &Annotating) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// What can be measured of all that it has said, by name.
    fn measures(
        &self,
        _said: &[AnnotatedPair],
        _settings: &Annotating,
    ) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// What multiplies the weight that its confidence gives a pair.
    fn trust(&self, _seen: &Seen<'_>, _settings: &Annotating) -> f64 {
        1.0
    }

    /// How much of the margin that a label comes with it wants to learn; 0 for nothing.
    fn label_margins(&self, _settings: &Annotating) -> f64 {
        0.0
    }

    /// How its model is fine-tuned on the chosen responses before it learns what
    /// [`Annotator::task`] says; `None` for not at all.
    fn fine_tuning(&self, _settings: &Annotating) -> Option<FineTuning> {
        None
    }

    /// Columns that it may leave in the table of annotations, beside scores and margins: what the expression
    /// of a weight can read.
    fn column_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// What it learns from labelled pairs, for one that reads what a trained model says.
    fn task(&self, _lessons: Lessons, _settings: &Annotating) -> Option<Box<dyn Task>> {
        None
    }

    /// Whether it can say something of a pool with such labels.
    ///
    /// # Errors
    ///
    /// What is missing, and what would do.
    fn check(&self, _pool: &Pool) -> Result<(), String> {
        Ok(())
    }

    /// Whether its settings mean something.
    ///
    /// # Errors
    ///
    /// The key of the first that does not, and what would.
    fn check_settings(&self, _settings: &Annotating) -> Result<(), (&'static str, String)> {
        Ok(())
    }
}

/// What a model learns from.
#[derive(Clone, Debug, Default)]
pub struct Lessons {
    /// Labelled pairs in its tokens.
    pub pairs: Vec<Ranked<Sequence>>,
    /// As much of each label's margin as is to be learned; empty for nothing.
    pub margins: Vec<f32>,
    /// Log-probabilities of the responses before it learns, for one that is compared with that; empty
    /// where they are not known yet.
    pub reference: Vec<Ranked<f32>>,
    /// What fills rows and is no end of a sequence.
    pub pad: Option<u32>,
}

/// How a model is fine-tuned on responses; all else is as in its other training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FineTuning {
    /// Passes over them.
    pub epochs: f64,
    /// Highest learning rate.
    pub learning_rate: f64,
}

/// What an annotator sees of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The scores that `annotator.model` gives both responses, once its scalar head has learned from
    /// the labelled split.
    Scores,
    /// By how much `annotator.model` finds the log-probabilities of both responses higher, once it has
    /// learned from the labelled split, than before.
    LogRatios,
    /// The mean log-probabilities of the tokens of both responses under `annotator.model`, as it is.
    LogProbs,
    /// The log-odds of two answers of `annotator.model`, as it is, to questions about the pair.
    Answers,
    /// The same of `annotator.model` once it has learned from the labelled split which answer is right.
    LearnedAnswers,
    /// The texts alone.
    Texts,
    /// The label that the pair comes with, and how sure it is.
    Label,
    /// The label that the pair comes with, which is believed: each weight is 1, and nobody is asked how
    /// sure it is.
    Truth,
}

impl Reads {
    /// Whether a model reads the pairs.
    pub fn model(self) -> bool {
        self.learns() || matches!(self, Self::Answers | Self::LogProbs)
    }

    /// Whether that model learns from the labelled split before.
    pub fn learns(self) -> bool {
        matches!(self, Self::Scores | Self::LogRatios | Self::LearnedAnswers)
    }

    /// Whether that model is asked questions.
    pub fn asks(self) -> bool {
        matches!(self, Self::Answers | Self::LearnedAnswers)
    }

    /// What is read of that model; of answers no more than of a scalar head.
    pub fn output(self) -> OutputKind {
        match self {
            Self::LogRatios | Self::LogProbs => OutputKind::LogProbs,
            _ => OutputKind::Scores,
        }
    }

    /// Whether that model has a scalar head, which is read.
    pub fn head(self) -> bool {
        self == Self::Scores
    }

    /// Whether it repeats labels, so that there are no others to measure it by.
    pub fn labels(self) -> bool {
        matches!(self, Self::Label | Self::Truth)
    }

    /// Whether what it says is more or less sure, so that it weighs a pair's loss.
    pub fn confidence(self) -> bool {
        self != Self::Truth
    }
}

/// A pair as an annotator sees it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The pair.
    pub pair: &'a Pair,
    /// What its model says of its responses, for one that reads that; of several members the means.
    pub scores: Option<[f64; 2]>,
    /// How far members differ: [`Ensemble::spread`](super::Ensemble::spread).
    pub spread: f64,
    /// The pool that it is of.
    pub pool: Pool,
}

/// What is known of all pairs that an annotator is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Whether labels come with margins.
    pub margins: bool,
    /// Whether labels come with probabilities other than 1.
    pub probabilities: bool,
}

impl Pool {
    /// Of the labels of its pairs.
    pub fn of(labels: impl IntoIterator<Item = Label>) -> Self {
        labels.into_iter().fold(Self::default(), |found, label| Self {
            margins: found.margins || label.margin.is_some(),
            probabilities: found.probabilities || label.agreement < 1.0,
        })
    }
}

/// What an annotator says of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Annotation {
    /// Both responses have a score: the higher one is better, by their difference. Between equal ones a
    /// coin decides.
    Scores([f64; 2]),
    /// One of them is better, by this margin.
    Margin(Side, f64),
    /// One of them is better, with this probability.
    Probability(Side, f64),
}

settings! {
    /// An annotator's settings beside those of its model.
    pub struct Annotating {
        /// How a judge is asked.
        #[serde(flatten)]
        pub judging: Judging = Judging::default(),
        /// Whether comparisons become one order.
        #[serde(flatten)]
        pub tournament: Tournament = Tournament::default(),
        /// How annotators are combined.
        #[serde(flatten)]
        pub combining: Combining = Combining::default(),
        /// The constants of annotators.
        #[serde(flatten)]
        pub constants: Constants<dyn Annotator> = Constants::default(),
    }
}

impl Annotating {
    /// The value of a constant.
    pub fn get(&self, name: &str) -> f64 {
        self.constants.get(name)
    }
}

impl Registry for dyn Annotator {
    const KIND: &'static str = "an annotator";

    fn all() -> &'static [&'static Self] {
        ANNOTATORS
    }

    fn about(&self) -> &'static About {
        Annotator::about(self)
    }
}

/// Names of the annotators that need no model, in quotes, for advice.
pub fn without_model() -> String {
    let all = Choice::<dyn Annotator>::all().filter(|annotator| !annotator.reads().model());
    let names: Vec<String> = all.map(|annotator| format!("\"{}\"", annotator.name())).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}
