//! What panels and keys ask of the application.

use std::path::PathBuf;

use super::pairs::Query;
use crate::data::ColumnMap;
use crate::run::{Level, Recipe};

/// Which dialog of the system to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialog {
    /// Choose preference files.
    Files,
    /// Choose a recipe.
    Recipe,
    /// Choose a run folder.
    Run,
    /// Choose a model folder.
    Model(Role),
    /// Choose where to write the recipe.
    SaveRecipe,
}

/// What a model folder is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The weak model that labels.
    Annotator,
    /// The strong model that is aligned.
    Policy,
    /// One model as both.
    Both,
}

/// A wish; panels queue them, the application fulfils them after the frame is drawn.
#[derive(Clone, Debug)]
pub enum Command {
    /// Start a fresh run of the recipe.
    Run,
    /// Wait before the next step.
    Pause,
    /// Go on after a pause.
    Continue,
    /// Write a checkpoint and end.
    Stop,
    /// Go on with the interrupted run on show.
    Resume,
    /// Replace the recipe.
    SetRecipe(Box<Recipe>),
    /// Move the threshold, of a run at work too.
    SetThreshold(f64),
    /// Go back to the built-in demonstration.
    Demo,
    /// Read preference files and make them the recipe's data.
    UseFiles(Vec<PathBuf>),
    /// Read the preference files on show again, their columns as a person says.
    MapColumns(Box<ColumnMap>),
    /// Read a recipe.
    LoadRecipe(PathBuf),
    /// Write the recipe.
    SaveRecipe(PathBuf),
    /// Show an old run.
    OpenRun(PathBuf),
    /// Use a model folder.
    UseModel(PathBuf, Role),
    /// Find out what dropped paths are, and do what they ask for.
    Drop(Vec<PathBuf>),
    /// Show a dialog of the system.
    Ask(Dialog),
    /// Fetch a model from the hub.
    Fetch(String),
    /// Select a pair by its index.
    Select(Option<u32>),
    /// Filter and sort the pairs.
    Query(Box<Query>),
    /// Bring a panel to the front.
    Show(&'static str),
    /// Look for devices again.
    ListDevices,
    /// Put all panels where they were at first.
    ResetLayout,
    /// Say something in the log and as a toast.
    Tell(Level, String),
}
