//! The run folder: what is in it, and how it is written so that nothing is lost.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Event, Recipe, Report, Stage};
use crate::files;
use crate::train::Plan;

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is a run in it.
    #[error(
        "{0} holds a run already; choose another --out, or continue it with `confide resume {0}`"
    )]
    Occupied(String),
    /// There is no run in it.
    #[error("{folder}: {found}; expected a run folder, as `confide run` writes it")]
    NotARun {
        /// The folder.
        folder: PathBuf,
        /// What is missing or damaged.
        found: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

/// What a resumed run must know beyond its artifacts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Stages that are complete, their artifacts on disk.
    pub done: Vec<Stage>,
    /// The stage under way, if it has a checkpoint.
    pub checkpoint: Option<CheckpointState>,
    /// Bytes of `events.jsonl` when this was written; later ones are repeated by a resume.
    pub events_bytes: u64,
    /// Seconds at work so far.
    pub seconds: f64,
    /// The threshold in force.
    pub threshold: f64,
    /// How stages are computed, once that is decided.
    #[serde(default)]
    pub plans: BTreeMap<Stage, Plan>,
    /// When the run began: what chat templates take for the present time, so that a run that
    /// is resumed on another day reads the same prompts.
    #[serde(default)]
    pub began: String,
    /// What is known of the outcome.
    pub report: Report,
}

/// A checkpoint inside a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckpointState {
    /// The stage.
    pub stage: Stage,
    /// Optimiser steps done.
    pub step: u64,
    /// Tokens computed.
    pub tokens: u64,
    /// Folder inside the run folder.
    pub folder: PathBuf,
}

/// An open run folder.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    events: File,
    written: u64,
}

/// A folder for a new run, `PARENT/NAME-TIME`, that does not exist yet.
pub fn new_folder(parent: &Path, name: &str) -> PathBuf {
    let safe: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .collect();
    let time = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    let first = parent.join(format!("{safe}-{time}"));
    let numbered = (2..).map(|n| parent.join(format!("{safe}-{time}-{n}")));
    std::iter::once(first.clone()).chain(numbered).find(|p| !p.exists()).unwrap_or(first)
}

/// The events of a run, oldest first; a torn last line is left out.
///
/// # Errors
///
/// There is no `events.jsonl`, or a line before the last is damaged.
pub fn read_events(folder: &Path) -> Result<Vec<Event>, FolderError> {
    let path = folder.join("events.jsonl");
    let file = File::open(&path).map_err(|_| FolderError::NotARun {
        folder: folder.to_owned(),
        found: "there is no events.jsonl".to_owned(),
    })?;
    let lines = BufReader::new(file).lines().collect::<Result<Vec<_>, _>>();
    let lines = lines.map_err(|source| FolderError::Io { path, source })?;
    let last = lines.len();
    let mut events = Vec::with_capacity(last);
    for (i, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(event) => events.push(event),
            Err(_) if i + 1 == last => {}
            Err(e) => {
                return Err(FolderError::NotARun {
                    folder: folder.to_owned(),
                    found: format!("events.jsonl, line {}: {e}", i + 1),
                });
            }
        }
    }
    Ok(events)
}

impl RunFolder {
    /// Begin a run in a folder that holds none.
    ///
    /// # Errors
    ///
    /// It holds one, or cannot be written.
    pub(crate) fn create(path: &Path, recipe: &Recipe) -> Result<Self, FolderError> {
        if path.join("recipe.toml").exists() || path.join("events.jsonl").exists() {
            return Err(FolderError::Occupied(path.display().to_string()));
        }
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        std::fs::create_dir_all(path.join("checkpoints")).map_err(io)?;
        files::write(&path.join("recipe.toml"), recipe.to_toml().as_bytes()).map_err(io)?;
        let events = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path.join("events.jsonl"))
            .map_err(io)?;
        Ok(Self { path: path.to_owned(), events, written: 0 })
    }

    /// Open an interrupted run: its recipe and state; events after the last state are dropped,
    /// because they will be told again.
    ///
    /// # Errors
    ///
    /// There is no run, or a file of it is damaged.
    pub(crate) fn reopen(path: &Path) -> Result<(Self, Recipe, State), FolderError> {
        let not = |found: String| FolderError::NotARun { folder: path.to_owned(), found };
        let recipe_path = path.join("recipe.toml");
        let text = std::fs::read_to_string(&recipe_path)
            .map_err(|_| not("there is no recipe.toml".to_owned()))?;
        let recipe = Recipe::parse(&text, &recipe_path, &[]).map_err(|e| not(e.to_string()))?;
        let state: State = match std::fs::read(path.join("state.json")) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|e| not(format!("state.json: {e}")))?
            }
            Err(_) => State { threshold: recipe.confidence.threshold, ..State::default() },
        };
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        let events = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path.join("events.jsonl"))
            .map_err(io)?;
        let length = events.metadata().map_err(io)?.len();
        let keep = state.events_bytes.min(length);
        events.set_len(keep).map_err(io)?;
        std::fs::create_dir_all(path.join("checkpoints")).map_err(io)?;
        Ok((Self { path: path.to_owned(), events, written: keep }, recipe, state))
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Append an event; one line, one write.
    ///
    /// # Errors
    ///
    /// The disk is full, say.
    pub(crate) fn log(&mut self, event: &Event) -> Result<(), FolderError> {
        let mut line = serde_json::to_vec(event).unwrap_or_default();
        line.push(b'\n');
        let io = |source| FolderError::Io { path: self.path.join("events.jsonl"), source };
        self.events.write_all(&line).map_err(io)?;
        self.written += line.len() as u64;
        Ok(())
    }

    /// The state as of now, with the events so far, to be kept later.
    ///
    /// # Errors
    ///
    /// The system allows no more open files.
    pub(crate) fn state_file(&self, state: &mut State) -> Result<StateFile, FolderError> {
        let path = self.path.join("state.json");
        state.events_bytes = self.written;
        let bytes = serde_json::to_vec_pretty(state).unwrap_or_default();
        match self.events.try_clone() {
            Ok(events) => Ok(StateFile { path, bytes, events }),
            Err(source) => Err(FolderError::Io { path, source }),
        }
    }

    /// Write `report.json`.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn save_report(&self, report: &Report) -> Result<(), FolderError> {
        let path = self.path.join("report.json");
        let bytes = serde_json::to_vec_pretty(report).unwrap_or_default();
        files::write(&path, &bytes).map_err(|source| FolderError::Io { path, source })
    }
}

/// A state on its way to `state.json`.
pub(crate) struct StateFile {
    path: PathBuf,
    bytes: Vec<u8>,
    events: File,
}

impl StateFile {
    /// Write it, after the events that it speaks of.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn write(self) -> Result<(), FolderError> {
        let Self { path, bytes, events } = self;
        let written = events.sync_data().and_then(|()| files::write(&path, &bytes));
        written.map_err(|source| FolderError::Io { path, source })
    }
}
