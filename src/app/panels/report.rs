//! What came out of a run, as numbers and as samples to read.

use egui::{Grid, Label, RichText, ScrollArea, Ui};

use super::Panel;
use crate::app::format;
use crate::app::icons::{self, Icon};
use crate::app::state::Scene;
use crate::app::theme::Palette;
use crate::app::widgets::{self, row};
use crate::report::{Passages, Row, Section, Table, sections};
use crate::run;

/// Lines of a table that a glance takes in.
const SHORT: usize = 12;

/// The report of a finished run.
#[derive(Default)]
pub(super) struct Report {
    /// The report that was on show last, and what it says: texts are made once, not at every frame.
    known: Option<(run::Report, Vec<Section>)>,
}

impl Report {
    /// What a report says.
    fn sections(&mut self, report: &run::Report) -> &[Section] {
        if self.known.as_ref().is_none_or(|(known, _)| known != report) {
            self.known = None;
        }
        &self.known.get_or_insert_with(|| (report.clone(), sections(report))).1
    }
}

impl Panel for Report {
    fn title(&self) -> &'static str {
        "Report"
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let Some(report) = &scene.state.view.report else {
            let text = if scene.state.at_work {
                "The run is at work; its report appears here when it ends."
            } else {
                "Press Run, or open the folder of a finished run."
            };
            widgets::empty(ui, Icon::Page, "No report yet", text);
            return;
        };
        widgets::scroll(ui, "report", |ui| {
            ui.label(RichText::new(&report.name).size(19.0).strong());
            widgets::weak(ui, format!("{} on {}", format::duration(report.seconds), report.device));
            ui.add_space(2.0);
            let sections = self.sections(report);
            let (first, rest): (Vec<&Section>, Vec<&Section>) =
                sections.iter().partition(|section| section.headline.is_some());
            first.into_iter().for_each(|section| verdict(ui, section));
            let (wide, rest): (Vec<&Section>, Vec<&Section>) =
                rest.into_iter().partition(|section| short_table(section).is_some());
            if ui.available_width() > 520.0 {
                ui.columns_const(|columns: &mut [Ui; 2]| {
                    for (i, section) in rest.iter().enumerate() {
                        card(&mut columns[usize::from(i >= rest.len().div_ceil(2))], section);
                    }
                });
            } else {
                rest.iter().for_each(|section| card(ui, section));
            }
            wide.into_iter().for_each(|section| card(ui, section));
            if sections.iter().any(|section| !section.passages.is_empty()) {
                widgets::section(ui, "Before and after");
                let passages = sections.iter().flat_map(|section| &section.passages);
                passages.for_each(|both| passage(ui, both));
            }
            if !report.warnings.is_empty() {
                widgets::section(ui, "Warnings");
                let color = Palette::get(ui).warning;
                for warning in &report.warnings {
                    ui.horizontal_top(|ui| {
                        icons::show(ui, Icon::Warning, 13.0, color);
                        ui.add(Label::new(warning).wrap());
                    });
                }
            }
        });
    }
}

/// What a run was made for, and the numbers beside it.
fn verdict(ui: &mut Ui, section: &Section) {
    let palette = Palette::get(ui);
    let Some(headline) = &section.headline else { return };
    widgets::card(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            let value = RichText::new(&headline.value).monospace().size(26.0);
            ui.label(value.color(palette.accent));
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 1.0;
                ui.label(RichText::new(&headline.words).strong());
                widgets::weak(ui, &headline.note);
            });
        });
        let numbers: Vec<(&str, String, &str)> = section
            .rows
            .iter()
            .map(|row| (row.name.as_str(), row.value.clone(), row.explanation.as_str()))
            .collect();
        widgets::stats(ui, 110.0, &numbers);
    });
}

fn card(ui: &mut Ui, section: &Section) {
    widgets::card(ui, |ui| {
        ui.strong(section.title);
        for Row { name, value, explanation } in &section.rows {
            row(ui, name, value, explanation);
        }
        if let Some(found) = short_table(section) {
            ui.add_space(4.0);
            table(ui, section.title, found);
        }
    });
}

/// The table of a section that stands in the report; a longer one has a panel of its own.
fn short_table(section: &Section) -> Option<&Table> {
    section.table.as_ref().filter(|table| table.lines.len() <= SHORT)
}

fn table(ui: &mut Ui, title: &str, table: &Table) {
    let weak = Palette::get(ui).weak;
    let head = |ui: &mut Ui, text: &str| {
        ui.add(Label::new(RichText::new(text).small().color(weak)).selectable(false))
    };
    ScrollArea::horizontal().id_salt(title).show(ui, |ui| {
        Grid::new(title).num_columns(table.columns.len() + 1).spacing([22.0, 3.0]).show(ui, |ui| {
            ui.label("");
            table.columns.iter().for_each(|name| drop(head(ui, name)));
            ui.end_row();
            for line in &table.lines {
                head(ui, &line.name).on_hover_text(&line.explanation);
                for value in &line.values {
                    ui.label(RichText::new(value).monospace());
                }
                ui.end_row();
            }
        });
    });
}

fn passage(ui: &mut Ui, both: &Passages) {
    let palette = Palette::get(ui);
    let Passages { title, before, after } = both;
    ui.add_space(2.0);
    ui.add(Label::new(RichText::new(title).strong()).wrap());
    widgets::two_passages(
        ui,
        (&before[0], &before[1], &before[2], palette.sft),
        (&after[0], &after[1], &after[2], palette.accent),
    );
    ui.add_space(4.0);
}
