//! The application: one frame after the other.

use std::path::PathBuf;
use std::time::Instant;

use egui::{CentralPanel, Frame, Margin, Panel as Side, Ui};

use super::cloud_gpu;
use super::command::Command;
use super::drops::{self, Hovering, Kind};
use super::layout::{self, Drawing, Layout};
use super::panels::{self, Panel};
use super::prefs::{self, Prefs};
use super::reached::Reached;
use super::runs_folder::runs_folder;
use super::state::{Scene, State};
use super::tasks::{Done, Tasks};
use super::theme::{self, Palette};
use super::toasts::{Toast, Toasts};
use super::{rail, top_bar};
use crate::data::AnnotatedPair;
use crate::demo;
use crate::run::{Recipe, RunHandle};

/// With what the window opens.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The recipe in the form.
    pub recipe: Recipe,
    /// A run folder to show.
    pub open: Option<PathBuf>,
    /// Files to treat as if they had been dropped.
    pub files: Vec<PathBuf>,
    /// Whether Run is pressed at once.
    pub run: bool,
    /// Where what models say is kept for runs to come.
    pub cache: Option<PathBuf>,
}

/// The application behind the window.
pub struct App {
    pub(super) state: State,
    pub(super) prefs: Prefs,
    pub(super) layout: Layout,
    pub(super) panels: Vec<Box<dyn Panel>>,
    pub(super) tasks: Tasks,
    pub(super) toasts: Toasts,
    pub(super) run: Option<RunHandle>,
    pub(super) runs: PathBuf,
    pub(super) cache: Option<PathBuf>,
    pub(super) ctx: egui::Context,
    /// Counts the runs shown, so that annotations of an earlier one are not taken for this one's.
    pub(super) shown_runs: u64,
    /// Whether the rows on show no longer answer the query.
    pub(super) rows_stale: bool,
    pub(super) opened: Instant,
    /// The recipe whose memory was estimated last.
    pub(super) estimated: Option<Recipe>,
    /// The recipe to estimate next, and since when it stands still.
    pub(super) estimate_next: Option<(Recipe, Instant)>,
    /// A model folder that was dropped and whose role is not known.
    pub(super) asking: Option<PathBuf>,
    hovering: Option<Hovering>,
    commands: Vec<Command>,
    /// The run that [`crate::interrupt`] reaches.
    pub(super) reached: Reached,
    /// Since when the window is about to close.
    pub(super) closing: Option<Instant>,
}

impl App {
    /// Build the application inside a graphics context, or a test harness.
    pub fn new(cc: &eframe::CreationContext<'_>, start: Start) -> Self {
        theme::install(&cc.egui_ctx);
        if let Some(graphics) = &cc.wgpu_render_state {
            cloud_gpu::install(graphics);
        }
        let panels = panels::all();
        let stored = |key| cc.storage.and_then(|storage| eframe::get_value(storage, key));
        let prefs: Prefs =
            cc.storage.and_then(|s| eframe::get_value(s, prefs::KEY)).unwrap_or_default();
        cc.egui_ctx.set_theme(prefs.theme);
        let mut app = Self {
            layout: layout::restore(stored(layout::KEY), &panels),
            panels,
            tasks: Tasks::new(cc.egui_ctx.clone()),
            toasts: Toasts::default(),
            run: None,
            runs: runs_folder(),
            cache: start.cache.clone(),
            ctx: cc.egui_ctx.clone(),
            shown_runs: 0,
            rows_stale: false,
            opened: Instant::now(),
            estimated: None,
            estimate_next: None,
            asking: None,
            hovering: None,
            commands: Vec::new(),
            reached: Reached::default(),
            closing: None,
            state: State::default(),
            prefs,
        };
        app.begin(start);
        app
    }

    fn begin(&mut self, start: Start) {
        let mut recipe = start.recipe;
        // Where nobody asked for a recipe, the weighting last used is as good a start as the default.
        if recipe == demo::recipe() {
            recipe.confidence = self.prefs.weighting.clone();
        }
        self.set_recipe(recipe);
        self.list_devices();
        self.list_models();
        if let Some(folder) = start.open {
            self.handle(Command::OpenRun(folder));
        }
        if !start.files.is_empty() {
            self.handle(Command::Drop(start.files));
        }
        if start.run {
            self.handle(Command::Run);
        }
    }

    /// The same application, whose new runs go into this folder instead of `runs`.
    #[must_use]
    pub fn with_runs_folder(mut self, folder: PathBuf) -> Self {
        self.runs = folder;
        self
    }

    /// What the panels see.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The messages on show, oldest first.
    pub fn toasts(&self) -> &[Toast] {
        self.toasts.list()
    }

    /// Fulfil a command at the end of the next frame.
    pub fn send(&mut self, command: Command) {
        self.commands.push(command);
        self.ctx.request_repaint();
    }

    /// Show these annotated pairs, as if a run had just written them.
    pub fn show_pairs(&mut self, pairs: Vec<AnnotatedPair>) {
        self.set_table(super::pairs::PairTable::new(pairs));
    }

    fn draw(&mut self, ui: &mut Ui) {
        let palette = Palette::get(ui);
        let bar = Frame::new().fill(palette.surface).inner_margin(Margin::symmetric(14, 0));
        let side = Frame::new().fill(palette.surface).inner_margin(Margin::symmetric(8, 6));
        let centre = Frame::new().fill(palette.ground).inner_margin(Margin::same(6));
        let mut scene = Scene::new(&self.state, &mut self.prefs, &mut self.commands);
        top_bar::shortcuts(ui.ctx(), &mut scene);
        Side::top("top bar").exact_size(50.0).frame(bar).show_separator_line(false).show(
            ui,
            |ui| {
                top_bar::ui(ui, &mut scene);
            },
        );
        Side::left("rail")
            .exact_size(186.0)
            .resizable(false)
            .frame(side)
            .show_separator_line(false)
            .show(ui, |ui| {
                rail::ui(ui, &mut scene);
            });
        let mut drawing = Drawing { panels: &mut self.panels, scene: &mut scene };
        CentralPanel::default().frame(centre).show(ui, |ui| self.layout.ui(&mut drawing, ui));
        self.toasts.ui(ui);
    }

    /// Files over the window, and files that fell into it.
    fn files(&mut self, ui: &Ui) {
        let (hovering, dropped) = ui.ctx().input(|input| {
            let hovering: Vec<PathBuf> =
                input.raw.hovered_files.iter().filter_map(|file| file.path.clone()).collect();
            let dropped: Vec<PathBuf> =
                input.raw.dropped_files.iter().map(|file| file.path().to_owned()).collect();
            (hovering, dropped)
        });
        if !dropped.is_empty() {
            self.hovering = None;
            self.commands.push(Command::Drop(dropped));
        } else if hovering.is_empty() {
            self.hovering = None;
        } else if self.hovering.as_ref().is_none_or(|known| known.paths != hovering) {
            let paths = hovering.clone();
            self.hovering = Some(Hovering { paths: hovering, kinds: None });
            self.tasks.spawn("looking at files", move || {
                let kinds = paths.iter().map(|path| Kind::of(path)).collect();
                Done::Hovering(paths, kinds)
            });
        }
        if let Some(hovering) = &self.hovering {
            hovering.ui(ui);
        }
        if let Some(folder) = &self.asking {
            let (answer, settled) = drops::ask_role(ui, folder);
            self.commands.extend(answer);
            if settled {
                self.asking = None;
            }
        }
    }

    /// What hovering files turned out to be.
    pub(super) fn hovering_kinds(&mut self, paths: &[PathBuf], kinds: Vec<Kind>) {
        if let Some(hovering) = self.hovering.as_mut().filter(|h| h.paths == paths) {
            hovering.kinds = Some(kinds);
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _: &mut eframe::Frame) {
        self.drain_run();
        while let Some(done) = self.tasks.next() {
            self.finish(done);
        }
        self.refresh_rows();
        self.estimate(ctx);
        self.leave(ctx);
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        self.draw(ui);
        self.files(ui);
        self.tell_closing(ui);
        let commands = std::mem::take(&mut self.commands);
        if !commands.is_empty() {
            // What a command changes was drawn already, in its old state.
            ui.ctx().request_repaint();
        }
        for command in commands {
            self.handle(command);
        }
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        self.prefs.weighting = self.state.recipe.confidence.clone();
        eframe::set_value(storage, prefs::KEY, &self.prefs);
        eframe::set_value(storage, layout::KEY, &self.layout);
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        Palette::of(visuals).ground.to_normalized_gamma_f32()
    }
}
