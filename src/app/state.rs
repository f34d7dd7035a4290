//! What all panels see.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::command::Command;
use super::inspection::Preview;
use super::pace::Pace;
use super::pairs::{PairTable, Query, Weights};
use super::prefs::Prefs;
use crate::device::Candidate;
use crate::hub::CachedModel;
use crate::run::{Estimate, Level, Recipe, RunView, Status};
use crate::text::Lengths;

/// Preference files: not chosen, being read, or read.
#[derive(Debug, Default)]
pub enum DataState {
    /// None was chosen.
    #[default]
    Empty,
    /// These are being read.
    Reading(Vec<PathBuf>),
    /// This is what they hold.
    Read(Arc<Preview>),
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// How much it matters.
    pub level: Level,
    /// Seconds since the window opened.
    pub second: u64,
    /// What it says.
    pub text: String,
}

/// A setting that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`, or empty if the message names none.
    pub key: String,
    /// What was found and expected.
    pub message: String,
}

/// Pairs, their weights, and those on show.
#[derive(Debug, Default)]
pub struct Pairs {
    /// The annotated pairs, once there are any.
    pub table: Option<Arc<PairTable>>,
    /// Their weights.
    pub weights: Arc<Weights>,
    /// Grows whenever the table changes.
    pub table_number: u64,
    /// Grows whenever the table or the weights change.
    pub number: u64,
    /// Grows whenever the rows change.
    pub rows_number: u64,
    /// What to show.
    pub query: Query,
    /// Indices of the pairs on show, in order.
    pub rows: Arc<Vec<u32>>,
    /// Whether rows are being sorted.
    pub sorting: bool,
    /// The selected pair.
    pub selected: Option<u32>,
}

/// What all panels see; they change it through commands.
#[derive(Default)]
pub struct State {
    /// The recipe of the next run; while a run is at work or on show, of that run.
    pub recipe: Recipe,
    /// Why the recipe cannot run.
    pub problem: Option<Problem>,
    /// The run on show.
    pub view: RunView,
    /// Whether a run is at work.
    pub at_work: bool,
    /// Whether it was told to stop.
    pub stopping: bool,
    /// The pace of the stage at work.
    pub pace: Pace,
    /// The preference files.
    pub data: DataState,
    /// The annotated pairs.
    pub pairs: Pairs,
    /// The model that is being fetched from the hub: its name, bytes here, bytes in all.
    pub fetching: Option<(String, u64, u64)>,
    /// The devices of this machine; `None` while they are looked for.
    pub devices: Option<Vec<Candidate>>,
    /// The models of the local hub cache; `None` while they are looked for.
    pub models: Option<Vec<CachedModel>>,
    /// What the recipe will take of the device's memory, or why nobody knows.
    pub estimate: Option<Result<Estimate, String>>,
    /// What the limit on lengths will lose for each model, once that is known.
    pub lengths: BTreeMap<String, Lengths>,
    /// Whether that is being found out.
    pub estimating: bool,
    /// The log of the window, over all runs.
    pub log: Vec<LogEntry>,
}

impl State {
    /// Whether the run on show was interrupted and can go on.
    pub fn can_resume(&self) -> bool {
        let interrupted = matches!(self.view.status, Status::Stopped | Status::Failed);
        !self.at_work && interrupted && !self.view.folder.as_os_str().is_empty()
    }

    /// Whether the recipe is the untouched demonstration's data and models.
    pub fn is_demo(&self) -> bool {
        self.recipe.data.files.iter().any(|file| file == "builtin:demo")
    }
}

/// What a panel gets to draw itself: the state to read, choices to change, commands to queue.
pub(crate) struct Scene<'a> {
    /// What is.
    pub state: &'a State,
    /// Choices about the window.
    pub prefs: &'a mut Prefs,
    commands: &'a mut Vec<Command>,
}

impl<'a> Scene<'a> {
    /// A scene for one frame.
    pub(crate) fn new(
        state: &'a State,
        prefs: &'a mut Prefs,
        commands: &'a mut Vec<Command>,
    ) -> Self {
        Self { state, prefs, commands }
    }

    /// Ask for something.
    pub(crate) fn send(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Ask for a recipe that differs from the present one.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Recipe)) {
        let mut recipe = self.state.recipe.clone();
        change(&mut recipe);
        self.send(Command::SetRecipe(Box::new(recipe)));
    }
}
