//! What commands and background tasks change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::{Command, Dialog, Role};
use super::drops::{self, Kind};
use super::inspection::Preview;
use super::pairs::{PairTable, Query, Weights};
use super::state::{DataState, LogEntry, Problem};
use super::tasks::Done;
use super::window::App;
use super::{layout, model_choice};
use crate::data::{ColumnMap, ReadSettings};
use crate::demo;
use crate::device;
use crate::hub;
use crate::preference::Weighting;
use crate::run::{Level, Recipe, RecipeError};

/// How long a recipe stands still before its memory is estimated.
const STILL: Duration = Duration::from_millis(700);

impl App {
    /// Fulfil a command.
    pub(super) fn handle(&mut self, command: Command) {
        match command {
            Command::Run => self.start_fresh(),
            Command::Resume => self.resume(),
            Command::Pause => self.control(|run| run.control().pause()),
            Command::Continue => self.control(|run| run.control().proceed()),
            Command::Stop => {
                self.state.stopping = self.run.is_some();
                self.control(|run| run.control().stop());
            }
            Command::SetRecipe(recipe) => self.set_recipe(*recipe),
            Command::SetThreshold(value) => self.set_threshold(value),
            Command::Demo => self.demo(),
            Command::UseFiles(paths) => self.if_free(|app| {
                // What was said of the columns was said of other files.
                let reading = app.state.recipe.data.reading();
                app.inspect(paths, ReadSettings { columns: ColumnMap::default(), ..reading });
            }),
            Command::MapColumns(columns) => self.if_free(|app| {
                if let DataState::Read(preview) = &app.state.data {
                    let (paths, reading) = (preview.paths.clone(), preview.reading.clone());
                    app.inspect(paths, ReadSettings { columns: *columns, ..reading });
                }
            }),
            Command::LoadRecipe(path) => self.if_free(|app| app.load_recipe(path)),
            Command::SaveRecipe(path) => self.save_recipe(path),
            Command::OpenRun(folder) => self.if_free(|app| app.open_run(folder)),
            Command::UseModel(folder, role) => self.use_model(&folder, role),
            Command::Drop(paths) => self.classify(paths),
            Command::Ask(dialog) => self.ask(dialog),
            Command::Fetch(model) => {
                self.state.fetching = Some((model.clone(), 0, 0));
                self.tasks.fetch(model);
            }
            Command::Select(row) => self.state.pairs.selected = row,
            Command::Query(query) => self.query(*query),
            Command::Show(panel) => layout::show(&mut self.layout, panel),
            Command::ListDevices => self.list_devices(),
            Command::ResetLayout => self.layout = layout::default(&self.panels),
            Command::Tell(level, text) => self.tell(level, text),
        }
    }

    /// Take in what a background task brought.
    pub(super) fn finish(&mut self, done: Done) {
        match done {
            Done::Inspected(preview) => self.inspected(*preview),
            Done::Annotations(run, table) => match table {
                Ok(table) if run == self.shown_runs => self.set_table(table),
                Ok(_) => {}
                Err(error) => self.tell(Level::Error, error),
            },
            Done::Opened(opened) => self.show_run(*opened),
            Done::Devices(devices) => self.state.devices = Some(devices),
            Done::Models(models) => self.state.models = Some(models),
            Done::Recipe(path, recipe) => match recipe {
                Ok(recipe) => {
                    self.show_nothing();
                    self.set_recipe(*recipe);
                    self.look_at_data();
                    self.tell(Level::Info, format!("Recipe {} loaded", path.display()));
                }
                Err(error) => self.tell(Level::Error, error),
            },
            Done::Hovering(paths, kinds) => self.hovering_kinds(&paths, kinds),
            Done::Dropped(paths, kinds) => {
                let (commands, model) = drops::commands(paths, &kinds);
                commands.into_iter().for_each(|command| self.handle(command));
                self.asking = model.or(self.asking.take());
            }
            Done::Rows(query, number, rows) => self.rows_found(&query, number, rows),
            Done::Picked(command) => command.into_iter().for_each(|command| self.handle(command)),
            Done::Fetching(model, done, total) => {
                self.state.fetching = Some((model, done, total));
            }
            Done::Fetched(model, outcome) => {
                self.state.fetching = None;
                match outcome {
                    Ok(()) => {
                        self.tell(Level::Info, format!("{model} is here now"));
                        self.list_models();
                    }
                    Err(error) => self.tell(Level::Error, error),
                }
            }
            Done::Estimated(found, lengths) => {
                self.state.lengths = lengths;
                self.state.estimating = false;
                self.state.estimate = Some(found);
            }
            Done::Saved(path, outcome) => match outcome {
                Ok(()) => self.tell(Level::Info, format!("Recipe written to {}", path.display())),
                Err(error) => self.tell(Level::Error, format!("{}: {error}", path.display())),
            },
            Done::Panicked(what, message) => {
                self.state.pairs.sorting = false;
                self.state.estimating = false;
                self.tell(
                    Level::Error,
                    format!("A defect while {what}: {message}; the window goes on without it"),
                );
            }
        }
    }

    /// Say something in the log and as a toast.
    pub(super) fn tell(&mut self, level: Level, text: String) {
        self.toasts.push(level, text.clone());
        self.note(level, text);
    }

    /// Say something in the log alone.
    pub(super) fn note(&mut self, level: Level, text: String) {
        let second = self.opened.elapsed().as_secs();
        self.state.log.push(LogEntry { level, second, text });
    }

    fn if_free(&mut self, act: impl FnOnce(&mut Self)) {
        if self.state.at_work {
            self.tell(
                Level::Warning,
                "A run is at work; stop it before opening something else".to_owned(),
            );
        } else {
            act(self);
        }
    }

    // The recipe and its data.

    /// Replace the recipe and everything that follows from it.
    pub(super) fn set_recipe(&mut self, recipe: Recipe) {
        let before = std::mem::replace(&mut self.state.recipe, recipe);
        let recipe = &self.state.recipe;
        self.state.problem = recipe.check("recipe").err().map(problem);
        if self.state.problem.is_some() {
            // What is known is of another recipe.
            self.state.estimate = None;
            self.state.lengths = BTreeMap::new();
            self.estimated = None;
        }
        if recipe.confidence != before.confidence {
            self.weigh();
        }
        let (data, old) = (&self.state.recipe.data, &before.data);
        if data.files != old.files || data.reading() != old.reading() {
            self.look_at_data();
        }
    }

    /// Find out what the recipe takes, once it has stood still for a moment.
    pub(super) fn estimate(&mut self, ctx: &egui::Context) {
        let busy = self.state.at_work || self.state.estimating || self.state.problem.is_some();
        // What does not change the memory does not ask for another estimate.
        let fits = self.state.recipe.confidence.fits();
        let mut wanted = Recipe { confidence: Weighting::default(), ..self.state.recipe.clone() };
        wanted.data.calibration = if fits { wanted.data.calibration } else { 0.0 };
        if busy || self.estimated.as_ref() == Some(&wanted) {
            return;
        }
        match &self.estimate_next {
            Some((known, since)) if *known == wanted && since.elapsed() >= STILL => {
                self.state.estimating = true;
                self.estimated = Some(wanted);
                self.tasks.estimate(self.state.recipe.clone(), self.runs.clone());
            }
            Some((known, _)) if *known == wanted => ctx.request_repaint_after(STILL),
            _ => {
                self.estimate_next = Some((wanted, Instant::now()));
                ctx.request_repaint_after(STILL);
            }
        }
    }

    /// Read the recipe's data, unless they are on show.
    fn look_at_data(&mut self) {
        let files: Vec<PathBuf> = self.state.recipe.data.files.iter().map(PathBuf::from).collect();
        let shown = match &self.state.data {
            DataState::Read(preview) => {
                let same = preview.paths == files || preview.usable().eq(&files);
                same && preview.reading == self.state.recipe.data.reading()
            }
            DataState::Reading(paths) => *paths == files,
            DataState::Empty => false,
        };
        if !files.is_empty() && !shown {
            self.inspect(files, self.state.recipe.data.reading());
        }
    }

    fn set_threshold(&mut self, value: f64) {
        self.control(|run| run.control().set_threshold(value));
        if self.state.problem.is_some() {
            // It may be the threshold's own.
            let mut recipe = self.state.recipe.clone();
            recipe.confidence.threshold = value;
            self.set_recipe(recipe);
        } else {
            // The slider holds to its limits, and nothing else has changed.
            self.state.recipe.confidence.threshold = value;
            self.weigh();
        }
    }

    fn demo(&mut self) {
        self.if_free(|app| {
            app.show_nothing();
            app.set_recipe(demo::recipe());
            app.look_at_data();
            layout::show(&mut app.layout, "Overview");
        });
    }

    fn inspect(&mut self, paths: Vec<PathBuf>, reading: ReadSettings) {
        self.state.data = DataState::Reading(paths.clone());
        let seed = self.state.recipe.seed;
        self.tasks.spawn("reading preference files", move || {
            Done::Inspected(Box::new(Preview::read(paths, reading, seed)))
        });
    }

    fn inspected(&mut self, preview: Preview) {
        // Something else was asked for in the meantime.
        if !matches!(&self.state.data, DataState::Reading(paths) if *paths == preview.paths) {
            return;
        }
        let errors: Vec<String> = preview.errors().map(str::to_owned).collect();
        errors.into_iter().for_each(|error| self.tell(Level::Error, error));
        // A recipe that names a file which cannot be read keeps naming it.
        let asked_by_recipe = preview.paths.iter().map(PathBuf::as_path).eq(self
            .state
            .recipe
            .data
            .files
            .iter()
            .map(Path::new))
            && preview.reading == self.state.recipe.data.reading();
        let files: Vec<String> =
            preview.usable().map(|path| path.to_string_lossy().into_owned()).collect();
        let stem = preview
            .usable()
            .next()
            .and_then(|path| path.file_stem())
            .map(|stem| stem.to_string_lossy().into_owned());
        // Its columns can be chosen there.
        let unknown = preview.files.iter().any(|file| !file.columns.is_empty());
        let (pairs, reading) = (preview.pairs, preview.reading.clone());
        self.state.data = DataState::Read(Arc::new(preview));
        if files.is_empty() || asked_by_recipe || self.state.at_work {
            if unknown {
                layout::show(&mut self.layout, "Data");
            }
            return;
        }
        let own = !files.iter().any(|file| file.starts_with("builtin:"));
        let mut recipe = self.state.recipe.clone();
        if own && self.state.is_demo() {
            recipe = demo::without(&recipe);
        }
        recipe.data.files = files;
        recipe.data.columns = reading.columns;
        if let Some(stem) = stem {
            recipe.name = stem;
        }
        // What is on show belongs to other data.
        self.show_nothing();
        self.set_recipe(recipe);
        layout::show(&mut self.layout, "Data");
        let ready = super::format::counted(pairs, "pair");
        let next = match model_choice::missing(&self.state.recipe).as_slice() {
            [] => "press Run",
            _ => "choose the models in Data",
        };
        self.tell(Level::Info, format!("{ready} ready; {next}"));
    }

    fn load_recipe(&mut self, path: PathBuf) {
        self.tasks.spawn("reading a recipe", move || {
            let recipe = Recipe::load(&path, &[]).map(Box::new).map_err(|error| error.to_string());
            Done::Recipe(path, recipe)
        });
    }

    fn save_recipe(&mut self, path: PathBuf) {
        let text = self.state.recipe.to_toml();
        self.tasks.spawn("writing a recipe", move || {
            let outcome =
                crate::files::write(&path, text.as_bytes()).map_err(|error| error.to_string());
            Done::Saved(path, outcome)
        });
    }

    fn use_model(&mut self, folder: &Path, role: Role) {
        let path = folder.to_string_lossy().into_owned();
        self.if_free(|app| {
            let mut recipe = app.state.recipe.clone();
            if role != Role::Policy {
                recipe.annotator.model.clone_from(&path);
            }
            if role != Role::Annotator {
                recipe.policy.model.clone_from(&path);
            }
            app.set_recipe(recipe);
            let used = match role {
                Role::Annotator => "annotator",
                Role::Policy => "policy",
                Role::Both => "annotator and policy",
            };
            app.tell(Level::Info, format!("{path} is the {used} now"));
        });
    }

    fn classify(&self, paths: Vec<PathBuf>) {
        self.tasks.spawn("looking at files", move || {
            let kinds = paths.iter().map(|path| Kind::of(path)).collect();
            Done::Dropped(paths, kinds)
        });
    }

    pub(super) fn list_models(&self) {
        self.tasks
            .spawn("looking for models", || Done::Models(hub::list(&hub::HubSettings::from_env())));
    }

    pub(super) fn list_devices(&mut self) {
        self.state.devices = None;
        self.tasks.spawn("looking for devices", || Done::Devices(device::list()));
    }

    fn ask(&self, dialog: Dialog) {
        let ask = rfd::AsyncFileDialog::new();
        let path = |handle: rfd::FileHandle| handle.path().to_owned();
        // The dialog is made on this thread, as macOS wants it, and waited for on another.
        match dialog {
            Dialog::Files => {
                let chosen = ask.set_title("Preference files").pick_files();
                self.wait(chosen, move |files| {
                    Command::Drop(files.into_iter().map(path).collect())
                });
            }
            Dialog::Recipe => {
                let chosen = ask.set_title("Recipe").add_filter("Recipe", &["toml"]).pick_file();
                self.wait(chosen, move |file| Command::LoadRecipe(path(file)));
            }
            Dialog::Run => {
                let chosen = ask.set_title("Run folder").pick_folder();
                self.wait(chosen, move |folder| Command::OpenRun(path(folder)));
            }
            Dialog::Model(role) => {
                let chosen = ask.set_title("Model folder, with config.json").pick_folder();
                self.wait(chosen, move |folder| Command::UseModel(path(folder), role));
            }
            Dialog::SaveRecipe => {
                let name = format!("{}.toml", self.state.recipe.name);
                let chosen = ask.set_title("Save the recipe").set_file_name(name).save_file();
                self.wait(chosen, move |file| Command::SaveRecipe(path(file)));
            }
        }
    }

    fn wait<T: 'static>(
        &self,
        chosen: impl Future<Output = Option<T>> + Send + 'static,
        then: impl FnOnce(T) -> Command + Send + 'static,
    ) {
        self.tasks.spawn("waiting for a dialog", move || {
            Done::Picked(pollster::block_on(chosen).map(then))
        });
    }

    // Pairs, weights and rows.

    /// Show a table of annotated pairs.
    pub(super) fn set_table(&mut self, table: PairTable) {
        self.state.pairs.table_number += 1;
        self.state.pairs.weights = Arc::new(Weights::new(&table, &self.state.recipe.confidence));
        self.state.pairs.table = Some(Arc::new(table));
        self.state.pairs.rows = Arc::default();
        self.state.pairs.selected = None;
        self.state.pairs.number += 1;
        self.rows_stale = true;
    }

    fn weigh(&mut self) {
        let pairs = &mut self.state.pairs;
        if let Some(table) = &pairs.table {
            pairs.weights = Arc::new(pairs.weights.again(table, &self.state.recipe.confidence));
            pairs.number += 1;
            self.rows_stale |= pairs.query.depends_on_weights();
        }
    }

    fn query(&mut self, query: Query) {
        self.rows_stale |= query != self.state.pairs.query;
        self.state.pairs.query = query;
    }

    /// Sort and filter again, if something changed and nobody is at it yet.
    pub(super) fn refresh_rows(&mut self) {
        let pairs = &mut self.state.pairs;
        if let (true, false, Some(table)) = (self.rows_stale, pairs.sorting, &pairs.table) {
            self.rows_stale = false;
            pairs.sorting = true;
            self.tasks.rows(
                pairs.query.clone(),
                pairs.table_number,
                Arc::clone(table),
                Arc::clone(&pairs.weights),
            );
        }
    }

    fn rows_found(&mut self, query: &Query, table: u64, rows: Vec<u32>) {
        let pairs = &mut self.state.pairs;
        pairs.sorting = false;
        if table == pairs.table_number {
            pairs.rows = Arc::new(rows);
            pairs.rows_number += 1;
            self.rows_stale |= *query != pairs.query;
        }
    }
}

fn problem(error: RecipeError) -> Problem {
    match error {
        RecipeError::Invalid { key, found, .. } => Problem { key, message: found },
        other => Problem { key: String::new(), message: other.to_string() },
    }
}
