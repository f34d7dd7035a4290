//! Every annotated pair: to sort, to filter, to read.

use egui::{Align, IntoAtoms, Key, Label, Layout, Modifiers, RichText, Sense, TextEdit, Ui};
use egui_extras::{Column as Width, TableBuilder, TableRow};

use super::Panel;
use crate::app::command::Command;
use crate::app::icons::{self, Icon};
use crate::app::pairs::{Column, PairTable, Query, Split, score};
use crate::app::state::{Pairs as State, Scene};
use crate::app::theme::Palette;
use crate::app::{format, widgets};

/// The table of annotated pairs.
#[derive(Default)]
pub(super) struct Pairs {
    /// The selection that the table last scrolled to.
    scrolled_to: Option<u32>,
}

const ROW: f32 = 23.0;

impl Panel for Pairs {
    fn title(&self) -> &'static str {
        "Pairs"
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let state = scene.state;
        let Some(table) = &state.pairs.table else {
            let text = if state.at_work {
                "The annotator has not labelled the pairs yet. They appear here as soon as it has."
            } else {
                "Press Run: every pair that the annotator labels appears here, with its scores, confidence and weight. To read pairs before a run, see Data."
            };
            widgets::empty(ui, Icon::Table, "No annotated pairs yet", text);
            return;
        };
        filters(ui, scene, table);
        keys(ui, scene);
        if let Some(i) = state.pairs.selected {
            let most = (ui.available_height() - 120.0).max(90.0);
            egui::Panel::bottom("reader")
                .resizable(true)
                .default_size((ui.available_height() * 0.42).min(most))
                .size_range(80.0..=most)
                .frame(
                    egui::Frame::new().inner_margin(egui::Margin { top: 8, ..egui::Margin::ZERO }),
                )
                .show(ui, |ui| reader(ui, scene, table, i as usize));
        }
        self.table(ui, scene, table);
    }
}

impl Pairs {
    fn table(&mut self, ui: &mut Ui, scene: &mut Scene<'_>, table: &PairTable) {
        let pairs = &scene.state.pairs;
        if pairs.rows.is_empty() {
            let text = if pairs.sorting { "Looking…" } else { "No pair matches these filters." };
            widgets::empty(ui, Icon::Table, text, "");
            return;
        }
        let mut columns = scene.prefs.columns.clone();
        columns.sort_unstable();
        // A selection from elsewhere scrolls into view, once.
        let row = (pairs.selected != self.scrolled_to)
            .then(|| pairs.rows.iter().position(|row| Some(*row) == pairs.selected))
            .flatten();
        self.scrolled_to = pairs.selected;
        // Where the panel is too narrow for all columns, the table scrolls sideways.
        let gap = ui.spacing().item_spacing.x;
        let least: f32 = columns.iter().map(|c| width(*c) + gap).sum();
        let wish = egui::ScrollArea::horizontal().auto_shrink([false, false]).show(ui, |ui| {
            ui.set_width(ui.available_width().max(least));
            rows(ui, table, pairs, &columns, row)
        });
        if let Some(command) = wish.inner {
            scene.send(command);
        }
    }
}

/// Draw the rows in view; what a click asks for.
fn rows(
    ui: &mut Ui,
    table: &PairTable,
    pairs: &State,
    columns: &[Column],
    scroll_to: Option<usize>,
) -> Option<Command> {
    ui.spacing_mut().item_spacing.y = 1.0;
    let mut builder = TableBuilder::new(ui)
        .striped(true)
        .sense(Sense::click())
        .resizable(false)
        .cell_layout(Layout::left_to_right(Align::Center))
        .auto_shrink([false, false]);
    for column in columns {
        builder = builder.column(match is_text(*column) {
            true => Width::remainder().at_least(width(*column)).clip(true),
            false => Width::exact(width(*column)),
        });
    }
    if let Some(row) = scroll_to {
        builder = builder.scroll_to_row(row, None);
    }
    let mut wish = None;
    let headed = builder.header(26.0, |mut header| {
        for column in columns {
            header.col(|ui| {
                if let Some(query) = head(ui, *column, &pairs.query) {
                    wish = Some(Command::Query(Box::new(query)));
                }
            });
        }
    });
    headed.body(|body| {
        body.rows(ROW, pairs.rows.len(), |mut row| {
            let i = pairs.rows[row.index()];
            let selected = pairs.selected == Some(i);
            row.set_selected(selected);
            for column in columns {
                cell(&mut row, *column, table, pairs, i as usize);
            }
            if row.response().clicked() {
                wish = Some(Command::Select(Some(i).filter(|_| !selected)));
            }
        });
    });
    wish
}

fn is_text(column: Column) -> bool {
    matches!(column, Column::Prompt | Column::Chosen | Column::Rejected)
}

/// The width of a column, for texts the least one.
fn width(column: Column) -> f32 {
    match column {
        Column::Prompt | Column::Chosen | Column::Rejected => 80.0,
        Column::Number => 52.0,
        Column::Human => 58.0,
        Column::Margin | Column::ScoreChosen | Column::ScoreRejected => 62.0,
        Column::Confidence | Column::Weight => 64.0,
    }
}

/// The query that a click on this header asks for.
fn head(ui: &mut Ui, column: Column, query: &Query) -> Option<Query> {
    let palette = Palette::get(ui);
    let active = query.sort == column;
    let color = if active { palette.accent } else { palette.weak };
    let text = RichText::new(column.title()).small().color(color);
    let arrow = icons::sign(if query.descending { Icon::Down } else { Icon::Up });
    let atoms = if active { (text, arrow).into_atoms() } else { text.into_atoms() };
    let response =
        ui.add(egui::Button::new(atoms).frame(false)).on_hover_text(column.explanation());
    // Text is best read from A, numbers from the greatest.
    let first = !is_text(column) && column != Column::Number;
    let descending = if active { !query.descending } else { first };
    response.clicked().then(|| Query { sort: column, descending, ..query.clone() })
}

fn cell(row: &mut TableRow<'_, '_>, column: Column, table: &PairTable, pairs: &State, i: usize) {
    let pair = &table.pairs[i];
    row.col(|ui| {
        let palette = Palette::get(ui);
        let text = |ui: &mut Ui, text: &str| {
            ui.add(Label::new(format::one_line(text, 160)).truncate().selectable(false));
        };
        let digits = |ui: &mut Ui, value: f64| {
            let value = if value.is_nan() { "–".to_owned() } else { format!("{value:.3}") };
            ui.add(Label::new(RichText::new(value).monospace()).selectable(false));
        };
        match column {
            Column::Number => {
                ui.add(
                    Label::new(RichText::new(format::count(i + 1)).monospace().color(palette.weak))
                        .selectable(false),
                );
            }
            Column::Prompt => text(ui, &pair.prompt),
            Column::Chosen => text(ui, pair.chosen()),
            Column::Rejected => text(ui, pair.rejected()),
            Column::ScoreChosen => digits(ui, f64::from(score(pair, true))),
            Column::ScoreRejected => digits(ui, f64::from(score(pair, false))),
            Column::Margin => digits(ui, table.margins[i]),
            Column::Confidence => {
                digits(ui, pairs.weights.calibrated.confidence.get(i).copied().unwrap_or(f64::NAN));
            }
            Column::Weight => weight(ui, pairs.weights.weight.get(i).copied().unwrap_or(f64::NAN)),
            Column::Human => human(ui, table.agrees[i]),
        }
    });
}

/// A number over a bar of its length.
fn weight(ui: &mut Ui, weight: f64) {
    let palette = Palette::get(ui);
    let mut bar = ui.max_rect().shrink2(egui::vec2(0.0, 4.0));
    if weight > 0.0 {
        bar.set_width(bar.width() * weight.min(1.0) as f32);
        ui.painter().rect_filled(bar, 3.0, palette.accent.gamma_multiply(0.28));
    }
    let (text, color) = match weight {
        w if w.is_nan() => ("–".to_owned(), palette.weak),
        0.0 => ("0".to_owned(), palette.weak),
        w => (format!("{w:.3}"), palette.text),
    };
    ui.add_space(4.0);
    ui.add(Label::new(RichText::new(text).monospace().color(color)).selectable(false));
}

fn human(ui: &mut Ui, agrees: Option<bool>) {
    let palette = Palette::get(ui);
    let (icon, color, explanation) = match agrees {
        Some(true) => (Icon::Check, palette.chosen, "The human label agrees"),
        Some(false) => (Icon::Cross, palette.rejected, "The human label disagrees"),
        None => return,
    };
    icons::show(ui, icon, 12.0, color).on_hover_text(explanation);
}

fn filters(ui: &mut Ui, scene: &mut Scene<'_>, table: &PairTable) {
    let old = &scene.state.pairs.query;
    let mut new = old.clone();
    ui.horizontal_wrapped(|ui| {
        ui.add(
            TextEdit::singleline(&mut new.text)
                .hint_text("Find in prompts and responses")
                .desired_width(170.0),
        );
        ui.name_inputs("Split", |ui| {
            let name = |split| match split {
                Split::All => "All splits",
                Split::Unlabelled => "Unlabelled",
                Split::Calibration => "Calibration",
                Split::HeldOut => "Held out",
            };
            egui::ComboBox::from_id_salt("split")
                .width(96.0)
                .selected_text(name(new.split))
                .show_ui(ui, |ui| {
                    for split in Split::ALL {
                        ui.selectable_value(&mut new.split, split, name(split));
                    }
                });
        });
        ui.checkbox(&mut new.disagreements, "Disagreements")
            .on_hover_text("Only pairs on which human and annotator disagree");
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let name = ui.label("Weight").on_hover_text(
                "Only pairs whose weight lies between; pairs without a weight count as 0",
            );
            ui.label_inputs_by(name.id, |ui| {
                let (least, most) = (new.least_weight, new.most_weight);
                weight_limit(ui, &mut new.least_weight, 0.0..=most);
                ui.label("to");
                weight_limit(ui, &mut new.most_weight, least..=1.0);
            });
        });
        if new.filters() && ui.button("Clear").on_hover_text("Show all pairs").clicked() {
            new = Query { sort: new.sort, descending: new.descending, ..Query::default() };
        }
        ui.menu_button("Columns", |ui| columns(ui, &mut scene.prefs.columns));
        let shown = scene.state.pairs.rows.len();
        let text = if shown == table.pairs.len() {
            format::counted(shown, "pair")
        } else {
            format!("{} of {}", format::count(shown), format::counted(table.pairs.len(), "pair"))
        };
        ui.label(RichText::new(text).color(Palette::get(ui).weak));
        if scene.state.pairs.sorting {
            ui.spinner();
        }
    });
    if new != *old {
        scene.send(Command::Query(Box::new(new)));
    }
}

fn weight_limit(ui: &mut Ui, value: &mut f64, range: std::ops::RangeInclusive<f64>) {
    ui.add(egui::DragValue::new(value).range(range).speed(0.01).max_decimals(2));
}

fn columns(ui: &mut Ui, shown: &mut Vec<Column>) {
    for column in Column::ALL {
        let mut on = shown.contains(&column);
        if ui.checkbox(&mut on, column.title()).on_hover_text(column.explanation()).changed() {
            if on {
                shown.push(column);
            } else if shown.len() > 1 {
                shown.retain(|c| *c != column);
            }
        }
    }
}

/// Up and down move the selection, Escape ends it.
fn keys(ui: &Ui, scene: &mut Scene<'_>) {
    let pairs = &scene.state.pairs;
    let Some(selected) = pairs.selected.filter(|_| ui.ctx().memory(|m| m.focused().is_none()))
    else {
        return;
    };
    let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
    if pressed(Key::Escape) {
        return scene.send(Command::Select(None));
    }
    let step = i64::from(pressed(Key::ArrowDown)) - i64::from(pressed(Key::ArrowUp));
    let place = || pairs.rows.iter().position(|row| *row == selected);
    if let Some(place) = Some(step).filter(|step| *step != 0).and_then(|_| place()) {
        let next = usize::try_from(place as i64 + step).ok().and_then(|next| pairs.rows.get(next));
        if let Some(next) = next {
            scene.send(Command::Select(Some(*next)));
        }
    }
}

/// The selected pair, whole.
fn reader(ui: &mut Ui, scene: &mut Scene<'_>, table: &PairTable, i: usize) {
    let Some(pair) = table.pairs.get(i) else { return };
    let palette = Palette::get(ui);
    let weights = &scene.state.pairs.weights;
    let confidence = weights.calibrated.confidence.get(i).copied().unwrap_or(f64::NAN);
    ui.horizontal(|ui| {
        ui.label(RichText::new(format!("Pair {}", format::count(i + 1))).strong());
        match weights.weight.get(i).copied().filter(|w| !w.is_nan()) {
            Some(weight) => ui.monospace(format!(
                "d {:.3}  C {confidence:.3}  weight {weight:.3}",
                table.margins[i]
            )),
            None => ui.monospace(format!(
                "d {:.3}  C {confidence:.3}  {}",
                table.margins[i],
                pair.split.replace('_', " ")
            )),
        };
        match table.agrees[i] {
            Some(true) => drop(widgets::tag(ui, "human agrees", palette.chosen)),
            Some(false) => drop(widgets::tag(ui, "human disagrees", palette.rejected)),
            None => {}
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if icons::button(ui, Icon::Cross, "Close (Esc)").clicked() {
                scene.send(Command::Select(None));
            }
        });
    });
    widgets::scroll(ui, "reader text", |ui| {
        widgets::passage(ui, "Prompt", "", &pair.prompt, palette.weak);
        let note = |chosen| format!("score {:.3}", score(pair, chosen));
        let (better, worse) = (note(true), note(false));
        widgets::two_passages(
            ui,
            ("Chosen", &better, pair.chosen(), palette.chosen),
            ("Rejected", &worse, pair.rejected(), palette.rejected),
        );
    });
}
