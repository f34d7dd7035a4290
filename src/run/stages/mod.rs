//! The stages of a run, one file each.

mod aligning;
mod annotator;
mod asked;
mod calibrating;
mod check;
mod combining;
mod compared;
mod confidence;
mod data;
mod dissect;
mod encode;
mod estimating;
mod evaluate;
mod gating;
mod gold;
mod gold_pairs;
mod labels;
mod lengths;
mod lessons;
mod load;
mod log_probs;
mod log_ratios;
mod material;
mod policy;
mod preferring;
mod prepared;
mod preview;
mod question;
mod questions;
mod random;
mod reader;
mod reference;
mod round_needs;
mod rounds;
mod same_tokens;
mod sampling;
mod selecting;
mod sft;
mod teaching;
mod texts;
mod tournament;
mod verdicts;
mod words;
mod work;
mod written_pairs;

use std::cmp::Ordering;

use serde::{Deserialize, Deserializer};

use super::Recipe;
use super::error::RunError;
use super::session::Session;
use super::stage::{AboutStage, Stage, StageEstimate};
use crate::train::Training;

/// All stages, in order.
pub(super) static STAGES: &[&dyn StageDefinition] = &[
    &data::Data,
    &annotator::Annotator,
    &question::Question,
    &confidence::Confidence,
    &dissect::Dissect,
    &sft::Sft,
    &reference::Reference,
    &policy::Policy,
    &evaluate::Evaluate,
];

/// Whether later stages have something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// On to the next one.
    Next,
    /// The run ends here; why has been told.
    End,
}

/// How a stage is done.
pub(crate) trait StageDefinition: Sync {
    /// What it says of itself.
    fn about(&self) -> &'static AboutStage;

    /// Whether a recipe leaves it out.
    fn is_skipped(&self, _recipe: &Recipe) -> bool {
        false
    }

    /// Its training, for a stage that trains, and the section that has it.
    fn training<'r>(&self, _recipe: &'r Recipe) -> Option<(&'static str, &'r Training)> {
        None
    }

    /// The stage whose plan it computes by.
    fn planned_as(&self) -> Stage {
        self.about().stage
    }

    /// What it will take of memory, and how it would be computed; `None` for one that takes next to
    /// nothing.
    ///
    /// # Errors
    ///
    /// What a run would fail with.
    fn estimate(&self, _inputs: &Estimating<'_>) -> Result<Option<StageEstimate>, RunError> {
        Ok(None)
    }

    /// What it will do in a run of a recipe, in a sentence or two; empty where its part needs no more
    /// words.
    fn plan(&self, _recipe: &Recipe) -> String {
        String::new()
    }

    /// Do it, or find what an earlier sitting has left of it.
    ///
    /// # Errors
    ///
    /// It cannot be done, or a person ended it.
    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError>;
}

impl Stage {
    /// All stages, in order.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        STAGES.iter().map(|stage| stage.about().stage)
    }

    /// The stage of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|stage| stage.name() == name)
    }

    /// What it says of itself.
    pub fn about(self) -> &'static AboutStage {
        self.definition().about()
    }

    /// Whether a recipe leaves it out.
    pub fn is_skipped(self, recipe: &Recipe) -> bool {
        self.definition().is_skipped(recipe)
    }

    /// What it will do in a run of a recipe, in a sentence or two; may be empty.
    pub fn plan(self, recipe: &Recipe) -> String {
        self.definition().plan(recipe)
    }

    /// How it is done.
    pub(super) fn definition(self) -> &'static dyn StageDefinition {
        STAGES[self.place()]
    }

    /// Its place among all; every stage is one of the list, for nobody else can name one.
    fn place(self) -> usize {
        Self::all().position(|stage| stage == self).unwrap_or_default()
    }
}

impl Ord for Stage {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Stage {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'de> Deserialize<'de> for Stage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| {
            let names: Vec<&str> = Self::all().map(Self::name).collect();
            let found = crate::legible::quoted(&name);
            serde::de::Error::custom(format!(
                "“{found}” is not a stage; expected {}",
                names.join(", ")
            ))
        })
    }
}

/// All stages in order; `Ok` when the report is complete.
pub(super) fn run_all(session: &mut Session<'_>) -> Result<(), RunError> {
    let work = Work::default();
    for stage in STAGES {
        if !stage.is_skipped(&session.recipe) && stage.run(session, &work)? == Then::End {
            return Ok(());
        }
    }
    if session.recipe.policy.training.epochs <= 0.0 {
        session.warn("policy.epochs = 0: the run ends after the annotator".to_owned())?;
    }
    Ok(())
}

pub(crate) use asked::MEMBERS_COLUMNS;
pub(crate) use combining::DISAGREEMENT;
pub use encode::written;
pub(crate) use estimating::Estimating;
pub(crate) use gating::COLUMNS as GATE_COLUMNS;
pub(crate) use gold::check_of;
pub use lengths::lengths_in;
pub(crate) use prepared::{Prepared, prepare};
pub use preview::lengths_of;
pub(crate) use preview::preview;
pub(crate) use random::normal;
pub(crate) use tournament::COLUMNS as TOURNAMENT_COLUMNS;
pub(crate) use work::Work;
