//! The preference files: what they hold, what was skipped and why, and pairs to read.

use std::collections::BTreeMap;
use std::path::Path;

use egui::{Align2, FontId, Label, RichText, Sense, Stroke, StrokeKind, Ui, vec2};

use super::Panel;
use crate::app::command::{Command, Dialog};
use crate::app::icons::{self, Icon};
use crate::app::inspection::{FilePreview, PairPreview, Preview};
use crate::app::state::{DataState, Scene};
use crate::app::theme::Palette;
use crate::app::{column_choice, format, model_choice, widgets};
use crate::run::{DataSummary, PromptsReport};

/// The data of the next run.
#[derive(Default)]
pub(super) struct Data {
    /// Which pair is on show.
    shown: usize,
}

impl Panel for Data {
    fn title(&self) -> &'static str {
        "Data"
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        widgets::scroll(ui, "data", |ui| {
            drop_zone(ui, scene);
            model_choice::ask(ui, scene);
            lengths(ui, scene);
            if let Some(summary) = &scene.state.view.data {
                split(ui, summary);
            }
            prompts(ui, &scene.state.view.prompts);
            match &scene.state.data {
                DataState::Empty => widgets::empty(
                    ui,
                    Icon::Page,
                    "No data yet",
                    "Drop a preference file here, or press Demo to go back to the demonstration.",
                ),
                DataState::Reading(paths) => {
                    ui.horizontal(|ui| {
                        ui.spinner();
                        widgets::weak(
                            ui,
                            format!("Reading {}…", format::counted(paths.len(), "file")),
                        );
                    });
                }
                DataState::Read(found) => {
                    totals(ui, found);
                    for (i, file) in found.files.iter().enumerate() {
                        ui.push_id(i, |ui| file_card(ui, scene, file));
                    }
                    self.reader(ui, found);
                }
            }
        });
    }
}

impl Data {
    fn reader(&mut self, ui: &mut Ui, found: &Preview) {
        let Some(last) = found.shown.len().checked_sub(1) else { return };
        self.shown = self.shown.min(last);
        ui.add_space(4.0);
        ui.horizontal(|ui| {
            widgets::section(ui, "Read a pair");
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if ui
                    .add_enabled(
                        self.shown < last,
                        egui::Button::new(("Next", icons::sign(Icon::Right))),
                    )
                    .clicked()
                {
                    self.shown += 1;
                }
                if ui
                    .add_enabled(
                        self.shown > 0,
                        egui::Button::new((icons::sign(Icon::Left), "Previous")),
                    )
                    .clicked()
                {
                    self.shown -= 1;
                }
                ui.monospace(format!("{} / {}", self.shown + 1, last + 1));
            });
        });
        if let Some(pair) = found.shown.get(self.shown) {
            pair_ui(ui, pair);
        }
    }
}

fn drop_zone(ui: &mut Ui, scene: &mut Scene<'_>) {
    let palette = Palette::get(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 62.0), Sense::click());
    let text = "Drop preference files here, or click to choose";
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, text));
    let edge = if response.hovered() { palette.accent } else { palette.dropped };
    ui.painter().rect(
        rect.shrink(1.0),
        8.0,
        palette.card,
        Stroke::new(1.0, edge),
        StrokeKind::Inside,
    );
    let center = rect.center();
    let painter = ui.painter_at(rect);
    painter.text(
        center - vec2(0.0, 2.0),
        Align2::CENTER_BOTTOM,
        text,
        FontId::proportional(14.0),
        palette.text,
    );
    let formats = "JSON · JSON lines · CSV · Parquet · gzip: HH-RLHF, prompt / chosen / rejected and relatives";
    painter.text(
        center + vec2(0.0, 4.0),
        Align2::CENTER_TOP,
        formats,
        FontId::proportional(11.0),
        palette.weak,
    );
    if response.clicked() {
        scene.send(Command::Ask(Dialog::Files));
    }
}

/// How many pairs the limit on lengths loses, of the run on show or of the next one.
fn lengths(ui: &mut Ui, scene: &mut Scene<'_>) {
    let state = scene.state;
    let found = if state.view.lengths.is_empty() { &state.lengths } else { &state.view.lengths };
    let (palette, limit) = (Palette::get(ui), state.recipe.data.max_lost);
    let worst = found.values().max_by(|a, b| a.share_lost().total_cmp(&b.share_lost()));
    let Some(worst) = worst.filter(|lengths| lengths.lost > 0) else { return };
    widgets::card(ui, |ui| {
        for (model, lengths) in found {
            let color = match lengths.is_warned_of() {
                _ if lengths.exceeds(limit) => palette.error,
                true => palette.warning,
                false => palette.weak,
            };
            let text = RichText::new(format!("For the {model}, {lengths}.")).color(color);
            ui.add(Label::new(text).wrap());
        }
        if worst.exceeds(limit) {
            widgets::weak(ui, "A run would refuse to begin.");
        }
        let longer = worst.keeps_most();
        if longer > worst.limit && !state.at_work {
            let text = format!("Allow {} tokens: 95 % fit", format::count(longer));
            if ui.button(text).clicked() {
                scene.edit(|recipe| recipe.data.max_length = longer);
            }
        }
    });
}

/// How the run on show split the pairs.
fn split(ui: &mut Ui, s: &DataSummary) {
    widgets::card(ui, |ui| {
        let mut numbers = vec![
            ("labelled", format::count(s.labelled), "Their human labels train the annotator"),
            ("unlabelled", format::count(s.unlabelled), "The annotator labels them for the policy"),
            ("held out", format::count(s.held_out), "Kept for evaluation"),
            ("repeated", format::count(s.duplicates), "Pairs that occur more than once"),
            ("ties", format::count(s.ties), "Pairs on which the human annotators tied; dropped"),
        ];
        if s.calibration > 0 {
            let meaning = "Their human labels calibrate its confidence";
            numbers.insert(1, ("calibration", format::count(s.calibration), meaning));
        }
        widgets::stats(ui, 90.0, &numbers);
        share_bar(ui, [s.labelled + s.calibration, s.unlabelled, s.held_out]);
    });
}

/// How the models of the run on show read prompts, with a pair as an example.
fn prompts(ui: &mut Ui, prompts: &BTreeMap<String, PromptsReport>) {
    if prompts.is_empty() {
        return;
    }
    let palette = Palette::get(ui);
    widgets::card(ui, |ui| {
        ui.strong("As the models read them");
        for (model, written) in prompts {
            widgets::weak(ui, format!("{model}: {}", written.style));
            egui::CollapsingHeader::new(format!("The first pair, for the {model}"))
                .id_salt(model)
                .show(ui, |ui| {
                    let visible = |text: &str| text.replace('\n', "¶\n");
                    widgets::passage(ui, "Prompt", "", &visible(&written.prompt), palette.weak);
                    let response = visible(&written.response);
                    widgets::passage(ui, "Response", "", &response, palette.chosen);
                });
        }
    });
}

/// Labelled, unlabelled and held-out as parts of one bar.
fn share_bar(ui: &mut Ui, parts: [usize; 3]) {
    let palette = Palette::get(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 6.0), Sense::hover());
    let all = parts.iter().sum::<usize>().max(1) as f32;
    let mut left = rect.left();
    for (part, color) in parts.into_iter().zip([palette.annotator, palette.accent, palette.dropped])
    {
        let width = rect.width() * part as f32 / all;
        let piece = egui::Rect::from_min_size(
            egui::pos2(left, rect.top()),
            vec2((width - 2.0).max(0.0), rect.height()),
        );
        ui.painter().rect_filled(piece, 3.0, color);
        left += width;
    }
}

fn totals(ui: &mut Ui, found: &Preview) {
    let palette = Palette::get(ui);
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(format::counted(found.pairs, "readable pair")).strong().size(15.0));
        if found.bad_rows > 0 {
            widgets::tag(
                ui,
                &format!("{} skipped", format::counted(found.bad_rows, "row")),
                palette.warning,
            );
        }
        for (count, what) in [
            (found.unlabelled, "without a human label"),
            (found.ties, "tied"),
            (found.duplicates, "repeated"),
        ] {
            if count > 0 {
                widgets::tag(ui, &format!("{} {what}", format::count(count)), palette.weak);
            }
        }
        for (reason, count) in &found.reasons {
            let reason = reason.replace('_', " ");
            ui.label(
                RichText::new(format!("{reason}: {}", format::count(*count)))
                    .small()
                    .color(palette.weak),
            );
        }
    });
}

fn file_card(ui: &mut Ui, scene: &mut Scene<'_>, file: &FilePreview) {
    let palette = Palette::get(ui);
    widgets::card(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(format::file_name(&file.path)).strong())
                .on_hover_text(file.path.display().to_string());
            ui.label(RichText::new(format::counted(file.pairs, "pair")).monospace());
        });
        if !file.format.is_empty() {
            widgets::weak(ui, file.format.clone());
        }
        if let Some(error) = &file.error {
            ui.add(Label::new(RichText::new(error).color(palette.error)).wrap());
        }
        column_choice::ask(ui, scene, file);
        for note in &file.notes {
            ui.add(Label::new(RichText::new(note).color(palette.warning)).wrap());
        }
        if !file.unread.is_empty() {
            widgets::weak(ui, format!("Columns not read: {}", file.unread.join(", ")));
        }
        if !file.bad.is_empty() {
            let title = format!("{} skipped", format::counted(file.bad_rows, "row"));
            egui::CollapsingHeader::new(title)
                .id_salt("bad rows")
                .show(ui, |ui| bad_rows(ui, file));
        }
    });
}

fn bad_rows(ui: &mut Ui, file: &FilePreview) {
    let palette = Palette::get(ui);
    let height = ui.text_style_height(&egui::TextStyle::Body) + 4.0;
    let name = format::file_name(Path::new(&file.path));
    egui::ScrollArea::vertical().max_height(150.0).auto_shrink([false, true]).show_rows(
        ui,
        height,
        file.bad.len(),
        |ui, range| {
            for row in &file.bad[range] {
                ui.horizontal(|ui| {
                    ui.label(
                        RichText::new(format!("{name}:{}", row.line))
                            .monospace()
                            .color(palette.weak),
                    );
                    ui.label(RichText::new(row.reason.replace('_', " ")).color(palette.warning));
                    ui.add(Label::new(&row.detail).truncate());
                });
            }
        },
    );
    if file.bad_rows > file.bad.len() {
        widgets::weak(ui, format!("and {} more", format::count(file.bad_rows - file.bad.len())));
    }
}

fn pair_ui(ui: &mut Ui, pair: &PairPreview) {
    let palette = Palette::get(ui);
    widgets::passage(ui, "Prompt", "", &pair.prompt, palette.weak);
    let [first, second] = &pair.responses;
    if pair.labelled {
        widgets::two_passages(
            ui,
            ("Chosen", "by a human", first, palette.chosen),
            ("Rejected", "", second, palette.rejected),
        );
    } else {
        widgets::two_passages(
            ui,
            ("First", "no human label", first, palette.weak),
            ("Second", "", second, palette.weak),
        );
    }
}
