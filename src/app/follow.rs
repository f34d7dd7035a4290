//! The run at work and the run on show: starting, following, opening.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pairs::PairTable;
use super::state::LogEntry;
use super::tasks::{Done, Opened};
use super::window::App;
use crate::data::read_annotations;
use crate::run::{
    Control, Event, Job, Level, Recipe, RunHandle, RunView, Status, new_folder, read_events, spawn,
};

impl App {
    /// Begin a new run of the recipe.
    pub(super) fn start_fresh(&mut self) {
        if self.state.at_work {
            return;
        }
        if let Some(problem) = &self.state.problem {
            let text = problem.message.clone();
            return self.tell(Level::Error, text);
        }
        self.show_nothing();
        let recipe = Box::new(self.state.recipe.clone());
        let folder = new_folder(&self.runs, &recipe.name);
        self.start(Job::Fresh { recipe, folder, download: false });
    }

    /// Go on with the interrupted run on show.
    pub(super) fn resume(&mut self) {
        if !self.state.can_resume() {
            return;
        }
        let folder = self.state.view.folder.clone();
        let before = self.state.view.recipe.as_ref().map(|recipe| recipe.device.clone());
        let wanted = Some(self.state.recipe.device.clone()).filter(|_| before.is_some());
        let device = wanted.filter(|device| Some(device) != before.as_ref());
        self.start(Job::Resume { folder, device });
    }

    fn start(&mut self, job: Job) {
        let ctx = self.ctx.clone();
        self.state.pace.reset();
        self.state.at_work = true;
        self.state.stopping = false;
        self.state.view.status = Status::Running;
        // Events come faster than a person reads; frames at this pace leave the processor to the run.
        let pace = Duration::from_millis(40);
        let run = spawn(job, Control::caching_in(self.cache.clone()), move || {
            ctx.request_repaint_after(pace);
        });
        self.reached.set(run.control());
        self.run = Some(run);
    }

    /// Steer the run at work, if there is one.
    pub(super) fn control(&self, act: impl FnOnce(&RunHandle)) {
        if let Some(run) = &self.run {
            act(run);
        }
    }

    /// Fold the events that arrived since the last frame.
    pub(super) fn drain_run(&mut self) {
        let Some(run) = &self.run else { return };
        // Asked before the channel is emptied: what a finished thread said is all in it.
        let finished = run.is_finished();
        let events: Vec<Event> = run.events().try_iter().collect();
        for event in events {
            self.fold(event);
        }
        self.state.pace.observe(&self.state.view, Instant::now());
        if !finished {
            // A thread may end some time after its last event, or without one: look again.
            self.ctx.request_repaint_after(Duration::from_millis(250));
            return;
        }
        self.run = None;
        self.state.at_work = false;
        self.state.stopping = false;
        if matches!(self.state.view.status, Status::Idle | Status::Running | Status::Paused) {
            self.state.view.status = Status::Failed;
            let text =
                "The run ended without saying why; it may be resumed from its last checkpoint";
            self.tell(Level::Error, text.to_owned());
        }
    }

    /// Fold one event of a run into what is shown.
    pub fn fold(&mut self, event: Event) {
        let seen = self.state.view.log.len();
        let annotated = matches!(event, Event::Annotated { .. });
        let milestone = matches!(event, Event::Finished { .. } | Event::Stopped);
        self.state.view.apply(event);
        if annotated {
            self.read_annotations();
        }
        let fresh = self.state.view.log.get(seen..).unwrap_or(&[]).to_vec();
        for line in fresh {
            if line.level != Level::Info || milestone {
                self.toasts.push(line.level, line.text.clone());
            }
            self.note(line.level, line.text);
        }
    }

    fn read_annotations(&self) {
        let (view, run) = (&self.state.view, self.shown_runs);
        let Some(file) = &view.annotations else { return };
        let path = view.folder.join(file);
        self.tasks.spawn("reading annotations", move || Done::Annotations(run, table_from(&path)));
    }

    /// Read an old run from its folder.
    pub(super) fn open_run(&mut self, folder: PathBuf) {
        self.tasks.spawn("opening a run", move || {
            let view = read_events(&folder).map(RunView::replay).map_err(|error| error.to_string());
            let file = view.as_ref().ok().and_then(|view| view.annotations.clone());
            let table = file.map(|file| table_from(&folder.join(file)));
            Done::Opened(Box::new(Opened { folder, view, table }))
        });
    }

    /// Show an old run that was read.
    pub(super) fn show_run(&mut self, opened: Opened) {
        let mut view = match opened.view {
            Ok(view) => view,
            Err(error) => return self.tell(Level::Error, error),
        };
        self.show_nothing();
        // A folder may have moved since the run; and a run that is not ours is not at work.
        view.folder.clone_from(&opened.folder);
        if matches!(view.status, Status::Running | Status::Paused) {
            view.status = Status::Stopped;
        }
        if let Some(recipe) = &view.recipe {
            let mut recipe = Recipe::clone(recipe);
            recipe.confidence.threshold = view.threshold;
            self.set_recipe(recipe);
        }
        for line in &view.log {
            self.state.log.push(LogEntry {
                level: line.level,
                second: self.opened.elapsed().as_secs(),
                text: line.text.clone(),
            });
        }
        self.state.view = view;
        match opened.table {
            Some(Ok(table)) => self.set_table(table),
            Some(Err(error)) => self.tell(Level::Warning, error),
            None => {}
        }
        self.tell(Level::Info, format!("Opened {}", opened.folder.display()));
    }

    /// Forget the run on show.
    pub(super) fn show_nothing(&mut self) {
        self.shown_runs += 1;
        self.state.pairs.table_number += 1;
        self.state.view = RunView::default();
        self.state.pairs.table = None;
        self.state.pairs.weights = Arc::default();
        self.state.pairs.rows = Arc::default();
        self.state.pairs.selected = None;
        self.state.pairs.number += 1;
        self.state.pace.reset();
    }
}

fn table_from(path: &Path) -> Result<PairTable, String> {
    read_annotations(path).map(PairTable::new).map_err(|error| error.to_string())
}
