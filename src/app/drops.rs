//! Files that hover over the window or fall into it.

use std::path::{Path, PathBuf};

use egui::{FontId, Id, LayerId, Order, Rect, Stroke, StrokeKind, TextStyle, Ui, vec2};

use super::command::{Command, Role};
use super::format;
use super::icons::{self, Icon};
use super::theme::Palette;
use super::widgets;

/// What a path is, as far as the window has a use for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file that may hold preference pairs.
    Data,
    /// A recipe in TOML.
    Recipe,
    /// A folder with a model.
    Model,
    /// A folder with a run.
    Run,
    /// None of these, or gone.
    Other,
}

impl Kind {
    /// Look at a path; asks the disk, so off the UI thread.
    pub(crate) fn of(path: &Path) -> Self {
        if path.is_dir() {
            if path.join("events.jsonl").exists() {
                Self::Run
            } else if path.join("config.json").exists() {
                Self::Model
            } else {
                Self::Other
            }
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml")) {
            Self::Recipe
        } else if path.file_name().is_some_and(|name| name == "events.jsonl") {
            Self::Run
        } else if path.is_file() {
            Self::Data
        } else {
            Self::Other
        }
    }
}

/// What the window will do with dropped paths, in a sentence.
pub(crate) fn intention(paths: &[PathBuf], kinds: Option<&[Kind]>) -> String {
    let Some(kinds) = kinds else { return "Drop to open".to_owned() };
    let first =
        |kind: Kind| kinds.iter().position(|k| *k == kind).map(|i| format::file_name(&paths[i]));
    let data = kinds.iter().filter(|k| **k == Kind::Data).count();
    if let Some(name) = first(Kind::Run) {
        format!("Drop to show the run “{name}”")
    } else if let Some(name) = first(Kind::Recipe) {
        format!("Drop to load the recipe {name}")
    } else if let Some(name) = first(Kind::Model) {
        format!("Drop to use the model “{name}” as annotator or policy")
    } else if data > 0 {
        format!("Drop to read {} as preference data", format::counted(data, "file"))
    } else {
        "Expected a preference file, a recipe (.toml), a model folder or a run folder".to_owned()
    }
}

/// What dropped paths ask for; a model folder leads to a question instead.
pub(crate) fn commands(paths: Vec<PathBuf>, kinds: &[Kind]) -> (Vec<Command>, Option<PathBuf>) {
    let mut data = Vec::new();
    let mut commands = Vec::new();
    let mut model = None;
    for (path, kind) in paths.into_iter().zip(kinds) {
        match kind {
            Kind::Data => data.push(path),
            Kind::Recipe => commands.push(Command::LoadRecipe(path)),
            Kind::Model => model = Some(path),
            Kind::Run => commands.push(Command::OpenRun(run_folder(path))),
            Kind::Other => {
                let text = format!(
                    "{}: expected a preference file, a recipe (.toml), a folder with config.json or a run folder",
                    path.display()
                );
                commands.push(Command::Tell(crate::run::Level::Error, text));
            }
        }
    }
    if !data.is_empty() {
        commands.push(Command::UseFiles(data));
    }
    (commands, model)
}

fn run_folder(path: PathBuf) -> PathBuf {
    if path.is_dir() { path } else { path.parent().map(Path::to_owned).unwrap_or(path) }
}

/// Files over the window: which, and what they are once that is known.
#[derive(Debug, Default)]
pub(crate) struct Hovering {
    /// The paths.
    pub paths: Vec<PathBuf>,
    /// What they are.
    pub kinds: Option<Vec<Kind>>,
}

impl Hovering {
    /// Cover the window and say what a drop would do.
    pub(crate) fn ui(&self, ui: &Ui) {
        let palette = Palette::get(ui);
        let rect = ui.ctx().content_rect();
        let painter =
            ui.ctx().layer_painter(LayerId::new(Order::Foreground, Id::unique("hovering files")));
        painter.rect_filled(rect, 0.0, palette.ground.gamma_multiply(0.86));
        let frame = rect.shrink(22.0);
        painter.rect(
            frame,
            14.0,
            palette.accent_faint.gamma_multiply(0.55),
            Stroke::new(2.0, palette.accent),
            StrokeKind::Inside,
        );
        let heading = FontId::new(24.0, egui::FontFamily::Proportional);
        let text = intention(&self.paths, self.kinds.as_deref());
        let square = Rect::from_center_size(rect.center() - vec2(0.0, 44.0), vec2(44.0, 44.0));
        icons::paint(&painter, square, Icon::Drop, palette.accent);
        // The sentence also goes to screen readers, as a label of its own.
        let area = egui::Area::new(Id::unique("hovering files text"))
            .order(Order::Tooltip)
            .fixed_pos(frame.left_center() + vec2(20.0, 4.0));
        area.interactable(false).show(ui.ctx(), |ui| {
            ui.set_width(frame.width() - 40.0);
            ui.vertical_centered(|ui| {
                ui.label(egui::RichText::new(text).font(heading).color(palette.text));
                let names: Vec<String> =
                    self.paths.iter().take(4).map(|path| format::file_name(path)).collect();
                let more = self.paths.len().saturating_sub(4);
                let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
                let names = egui::RichText::new(names.join(", ") + &rest);
                ui.label(names.text_style(TextStyle::Body).color(palette.weak));
            });
        });
    }
}

/// Ask what a dropped model folder is for: the answer, and whether the question is settled.
pub(crate) fn ask_role(ui: &Ui, folder: &Path) -> (Option<Command>, bool) {
    let mut answer = None;
    let frame = egui::Frame::popup(ui.style()).inner_margin(18);
    let modal = egui::Modal::new(Id::unique("model role")).frame(frame);
    let response = modal.show(ui.ctx(), |ui| {
        ui.set_width(420.0);
        ui.heading("Use this model");
        ui.add_space(4.0);
        ui.label(egui::RichText::new(folder.display().to_string()).monospace().color(Palette::get(ui).weak));
        ui.add_space(8.0);
        ui.label("The annotator is the weak model that learns from human labels; the policy is the stronger model that is aligned.");
        ui.add_space(12.0);
        ui.horizontal(|ui| {
            for (role, text) in [(Role::Annotator, "As annotator"), (Role::Policy, "As policy"), (Role::Both, "As both")] {
                if widgets::primary(ui, None, text, true).clicked() {
                    answer = Some(Command::UseModel(folder.to_owned(), role));
                }
            }
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| ui.button("Cancel").clicked()).inner
        })
        .inner
    });
    let settled = answer.is_some() || response.inner || response.should_close();
    (answer, settled)
}
