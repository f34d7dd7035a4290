//! The run folder: what is in it, and how it is written so that nothing is lost.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::checkpoint_folder;
use super::folder_error::FolderError;
use super::state::{self, CHECKPOINTS, ROUNDS, State};
use super::{Event, Recipe, Report};
use crate::files;

/// The report of a finished run.
const REPORT: &str = "report.json";

/// The file that says who works in a run folder.
const LOCK: &str = "lock";
const RECIPE: &str = "recipe.toml";
const EVENTS: &str = "events.jsonl";

/// An open run folder; nobody else works in it meanwhile.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    events: File,
    /// Bytes of whole events.
    written: u64,
    /// Whether part of an event stands behind them.
    torn: bool,
    _lock: File,
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

/// The events of a run, oldest first. Lines that cannot be read are skipped, and a warning at the
/// end says so; a torn last line is one that is being written. A run with a report is finished.
///
/// # Errors
///
/// There is no `events.jsonl`, or it cannot be read.
pub fn read_events(folder: &Path) -> Result<Vec<Event>, FolderError> {
    let path = folder.join(EVENTS);
    let not = |found: String| FolderError::NotARun { folder: folder.to_owned(), found };
    if !path.is_file() {
        return Err(not(format!("there is no {EVENTS}")));
    }
    let bytes = crate::input::read(&path, crate::input::EVENTS)
        .map_err(|source| FolderError::Io { path, source })?;
    let (mut events, mut broken) = (Vec::new(), Vec::new());
    for (i, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match serde_json::from_slice(line) {
            Ok(event) => events.push(event),
            Err(_) if line.last() == Some(&b'\n') => broken.push(i + 1),
            Err(_) => {}
        }
    }
    if let Some(first) = broken.first() {
        let message = format!(
            "{} of the events cannot be read and are left out, the first in line {first} of {EVENTS}",
            broken.len()
        );
        events.push(Event::Warning { message, passing: true });
    }
    // Power may be cut between the report and the event that tells it.
    let finished = matches!(events.last(), Some(Event::Finished { .. }));
    if let Some(report) = report_of(folder).filter(|_| !finished) {
        events.push(Event::Finished { report: Box::new(report) });
    }
    Ok(events)
}

/// Whether the files of an interrupted run can be read; what the state does not name is dropped.
///
/// # Errors
///
/// There is no run, or a file of it is damaged.
#[doc(hidden)]
pub fn can_resume(folder: &Path) -> Result<(), FolderError> {
    RunFolder::reopen(folder).map(drop)
}

/// A run folder that was opened to go on in it.
pub(crate) struct Reopened {
    pub(crate) folder: RunFolder,
    pub(crate) state: State,
    /// What is worth knowing of what was found, in sentences.
    pub(crate) notes: Vec<String>,
}

impl RunFolder {
    /// Begin a run in a folder that is new or empty.
    ///
    /// # Errors
    ///
    /// Something is in it, or it cannot be written.
    pub(crate) fn create(path: &Path, state: &mut State) -> Result<Self, FolderError> {
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        // Power may be cut after the file of events has its name, and before the recipe has.
        let told = std::fs::metadata(path.join(EVENTS)).is_ok_and(|found| found.len() > 0);
        if told || path.join(RECIPE).exists() {
            return Err(FolderError::Occupied(path.display().to_string()));
        }
        std::fs::create_dir_all(path).map_err(io)?;
        let in_the_way = in_the_way(path).map_err(io)?;
        if !in_the_way.is_empty() {
            return Err(FolderError::NotEmpty { folder: path.to_owned(), names: in_the_way });
        }
        let lock = lock(path)?;
        std::fs::create_dir_all(path.join(CHECKPOINTS)).map_err(io)?;
        let events = open_events(path)?;
        let run = Self { path: path.to_owned(), events, written: 0, torn: false, _lock: lock };
        run.keep(state)?;
        // The recipe makes it a run, so it comes last.
        files::write(&path.join(RECIPE), state.recipe.to_toml().as_bytes()).map_err(io)?;
        files::sync_folder_of(path).map_err(io)?;
        Ok(run)
    }

    /// Open an interrupted run: what of it counts, as `state.json` has it. Events after the last
    /// state are dropped, because they will be told again.
    ///
    /// # Errors
    ///
    /// There is no run, somebody is at work in it, a file of it is damaged beyond repair, or its
    /// recipe was changed.
    pub(crate) fn reopen(path: &Path) -> Result<Reopened, FolderError> {
        let not = |found: String| FolderError::NotARun { folder: path.to_owned(), found };
        own_files(path).map_err(not)?;
        let recipe_path = path.join(RECIPE);
        if !recipe_path.is_file() {
            return Err(not(format!("there is no {RECIPE}")));
        }
        let lock = lock(path)?;
        let recipe = Recipe::load(&recipe_path, &[]).map_err(|e| not(e.to_string()))?;
        let mut notes = Vec::new();
        let mut state = match crate::input::read(&path.join(state::FILE), crate::input::RUN) {
            Ok(bytes) => State::from_json(&bytes).map_err(not)?,
            Err(e) if e.kind() == ErrorKind::NotFound => State::unknown(path, &recipe)?,
            Err(source) => {
                return Err(FolderError::Io { path: path.join(state::FILE), source });
            }
        };
        notes.extend(state.take_recipe(recipe, path)?);
        notes.extend(state.settle(path));
        notes.extend(clear(path, &state));
        let events = open_events(path)?;
        let (written, note) = cut(path, &events, state.now.events_bytes)?;
        notes.extend(note);
        state.now.events_bytes = written;
        let folder = Self { path: path.to_owned(), events, written, torn: false, _lock: lock };
        Ok(Reopened { folder, state, notes })
    }

    /// Remove checkpoints that the state does not name.
    pub(crate) fn clear(&self, state: &State) {
        clear(&self.path, state);
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of all events so far.
    pub(crate) fn events_bytes(&self) -> u64 {
        self.written
    }

    /// Append an event, one line; an event that could not be written whole is taken back.
    ///
    /// # Errors
    ///
    /// The disk is full, say.
    pub(crate) fn log(&mut self, event: &Event) -> Result<(), FolderError> {
        let mut line = serde_json::to_vec(event).unwrap_or_default();
        line.push(b'\n');
        let io = |source| FolderError::Io { path: self.path.join(EVENTS), source };
        if self.torn {
            self.events.set_len(self.written).map_err(io)?;
            self.torn = false;
        }
        if let Err(error) = self.events.write_all(&line) {
            self.torn = self.events.set_len(self.written).is_err();
            return Err(io(error));
        }
        self.written += line.len() as u64;
        if event.is_last() {
            self.events.sync_data().map_err(io)?;
        }
        Ok(())
    }

    /// Write the state as of now, after the events that it speaks of.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn keep(&self, state: &mut State) -> Result<(), FolderError> {
        state.now.events_bytes = self.written;
        self.keeper()?.keep(state)
    }

    /// What writes states from another thread.
    ///
    /// # Errors
    ///
    /// The system allows no more open files.
    pub(crate) fn keeper(&self) -> Result<Keeper, FolderError> {
        let path = self.path.clone();
        match self.events.try_clone() {
            Ok(events) => Ok(Keeper { path, events }),
            Err(source) => Err(FolderError::Io { path, source }),
        }
    }

    /// Write `report.json`.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn save_report(&self, report: &Report) -> Result<(), FolderError> {
        let path = self.path.join(REPORT);
        let bytes = serde_json::to_vec_pretty(report).unwrap_or_default();
        files::write(&path, &bytes).map_err(|source| FolderError::Io { path, source })
    }
}

/// Writes states of a run.
pub(crate) struct Keeper {
    path: PathBuf,
    events: File,
}

impl Keeper {
    /// The run folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Write a state, after the events that it speaks of.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn keep(&self, state: &State) -> Result<(), FolderError> {
        let path = self.path.join(state::FILE);
        let written = self.events.sync_data().and_then(|()| files::write(&path, &state.to_json()));
        written.map_err(|source| FolderError::Io { path, source })
    }
}

/// Whether the run in a folder is complete: its report can be read.
pub(crate) fn is_complete(path: &Path) -> bool {
    report_of(path).is_some()
}

/// The report of a run, if there is one that can be read.
fn report_of(path: &Path) -> Option<Report> {
    let bytes = crate::input::read(&path.join(REPORT), crate::input::RUN).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn open_events(path: &Path) -> Result<File, FolderError> {
    let path = path.join(EVENTS);
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    opened.map_err(|source| FolderError::Io { path, source })
}

/// Names in a folder that are not what a beginning that was cut short leaves.
fn in_the_way(path: &Path) -> std::io::Result<Vec<String>> {
    let own = [LOCK, EVENTS, state::FILE, "state.json.partial", "recipe.toml.partial"];
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let empty = |folder: &Path| std::fs::read_dir(folder).is_ok_and(|mut f| f.next().is_none());
        let cut_short = own.contains(&&*name) || name == CHECKPOINTS && empty(&entry.path());
        if !cut_short {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Hold a run folder for this process; the system lets it go when the process ends, however.
fn lock(path: &Path) -> Result<File, FolderError> {
    let file_path = path.join(LOCK);
    let io = |source| FolderError::Io { path: file_path.clone(), source };
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&file_path);
    let mut file = opened.map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = std::fs::read_to_string(&file_path).unwrap_or_default();
            let holder = match holder.trim() {
                "" => "another process".to_owned(),
                known => known.chars().take(200).collect(),
            };
            return Err(FolderError::InUse { folder: path.to_owned(), holder });
        }
        // Some network file systems know no locks.
        Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => {
            log::warn!("{}: {e}; nothing keeps a second process away", file_path.display());
        }
        Err(TryLockError::Error(e)) => return Err(io(e)),
    }
    let host = sysinfo::System::host_name().unwrap_or_else(|| "this machine".to_owned());
    let time = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
    let holder = format!("process {} on {host}, since {time}\n", std::process::id());
    file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(io)?;
    Ok(file)
}

/// Refuse a folder whose files lead elsewhere: a run writes, cuts and removes them.
fn own_files(path: &Path) -> Result<(), String> {
    let is = |name: &str, right: fn(&std::fs::Metadata) -> bool| {
        std::fs::symlink_metadata(path.join(name)).map_or(true, |found| right(&found))
    };
    let files = [RECIPE, EVENTS, state::FILE, LOCK, REPORT, "annotations.parquet"];
    let folders = [CHECKPOINTS, ROUNDS, "annotator", "policy", "policy-merged"];
    // However many members an annotator has.
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let members = names.filter(|name| name.starts_with("annotator-"));
    let mut folders = folders.into_iter().map(str::to_owned).chain(members);
    let file = files.into_iter().find(|name| !is(name, std::fs::Metadata::is_file));
    let folder = folders.find(|name| !is(name, std::fs::Metadata::is_dir));
    match (file, folder) {
        (Some(name), _) => Err(format!("{name} is no plain file; a run does not follow links")),
        (_, Some(name)) => Err(format!("{name} is no folder; a run does not follow links")),
        (None, None) => Ok(()),
    }
}

/// Cut the events to those that the state speaks of; returns their length, and a word where some
/// are missing.
fn cut(path: &Path, events: &File, spoken_of: u64) -> Result<(u64, Option<String>), FolderError> {
    let io = |source| FolderError::Io { path: path.join(EVENTS), source };
    let length = events.metadata().map_err(io)?.len();
    let mut keep = spoken_of.min(length);
    let mut note = None;
    if length < spoken_of {
        note = Some(format!(
            "{EVENTS} has {length} bytes, and {spoken_of} are expected: the curves of what is missing are not shown again"
        ));
        // A line that was cut in the middle would swallow the next one.
        let bytes = crate::input::read(&path.join(EVENTS), crate::input::EVENTS).map_err(io)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        keep = whole as u64;
    }
    events.set_len(keep).map_err(io)?;
    Ok((keep, note))
}

/// Remove what interrupted writes and forgotten checkpoints left; nothing that no run writes.
fn clear(path: &Path, state: &State) -> Option<String> {
    let under_way = state.under_way.as_ref();
    let kept: Vec<&str> =
        under_way.iter().flat_map(|u| &u.checkpoints).map(|c| c.folder.as_str()).collect();
    let entries = std::fs::read_dir(path.join(CHECKPOINTS)).into_iter().flatten().flatten();
    let mut removed = 0;
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if checkpoint_folder::is_name(&name) && !kept.contains(&&*name) {
            checkpoint_folder::remove(&path.join(CHECKPOINTS), &name);
            removed += 1;
        }
    }
    if removed > 0 {
        let _ = files::sync_folder(&path.join(CHECKPOINTS));
    }
    (removed > 0).then(|| {
        format!(
            "{removed} checkpoints that were not finished, or are no longer needed, are removed"
        )
    })
}
