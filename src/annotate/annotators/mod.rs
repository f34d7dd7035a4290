//! Annotators: who says which response of a pair is better, and how sure that is.
//!
//! An annotator says what it has to see of a pair and what it makes of that; a run shows it. One more
//! annotator is a file here and a line in [`ANNOTATORS`].

mod file;
mod human;
mod implicit;
mod length;
mod random;
mod reward_head;

use crate::batch::{Ranked, Sequence};
use crate::data::{Label, Pair, Side};
use crate::registry::{About, Choice, Constants, Registry};
use crate::train::{OutputKind, Task};

/// All annotators, the default first.
pub static ANNOTATORS: &[&dyn Annotator] = &[
    &reward_head::RewardHead,
    &implicit::Implicit,
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
        matches!(self, Self::Scores | Self::LogRatios)
    }

    /// What is read of that model.
    pub fn output(self) -> OutputKind {
        if self == Self::LogRatios { OutputKind::LogProbs } else { OutputKind::Scores }
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
    /// Scores of its responses, for one that reads them; of several members their means.
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

/// An annotator's settings beside those of its model.
pub type Annotating = Constants<dyn Annotator>;

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
