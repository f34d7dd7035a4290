//! Saying which columns of a file hold what, where the file does not say so itself.

use egui::{ComboBox, RichText, Ui};

use super::command::Command;
use super::inspection::FilePreview;
use super::state::Scene;
use super::{format, widgets};
use crate::data::{ColumnInfo, ColumnMap};

/// How much of an example is shown.
const SHOWN: usize = 60;

/// Offer the columns of a file of unknown shape; nothing where none are known.
pub(crate) fn ask(ui: &mut Ui, scene: &mut Scene<'_>, file: &FilePreview) {
    if file.columns.is_empty() || scene.state.at_work {
        return;
    }
    let id = ui.scope_id().with("columns");
    let mut map: ColumnMap = ui.data(|data| data.get_temp(id)).unwrap_or_default();
    ui.add_space(4.0);
    ui.strong("Which columns hold what?");
    widgets::weak(
        ui,
        "Choose chosen and rejected, or two responses and what says which is better.",
    );
    egui::Grid::new(id).num_columns(2).spacing([10.0, 4.0]).show(ui, |ui| {
        for (name, field) in [
            ("Prompt", &mut map.prompt),
            ("Chosen", &mut map.chosen),
            ("Rejected", &mut map.rejected),
            ("First response", &mut map.first),
            ("Second response", &mut map.second),
            ("Which is better", &mut map.label),
        ] {
            ui.label(name);
            column(ui, name, field, &file.columns);
            ui.end_row();
        }
    });
    let problem = map.check().err().or_else(|| {
        let named = !map.chosen.is_empty() || !map.first.is_empty();
        (!named).then(|| "no response is chosen yet".to_owned())
    });
    ui.horizontal(|ui| {
        let ready = problem.is_none();
        if ui.add_enabled(ready, egui::Button::new("Read it so")).clicked() {
            scene.send(Command::MapColumns(Box::new(map.clone())));
        }
        widgets::weak(ui, problem.unwrap_or_default());
    });
    ui.data_mut(|data| data.insert_temp(id, map));
}

fn column(ui: &mut Ui, name: &str, chosen: &mut String, columns: &[ColumnInfo]) {
    let shown = if chosen.is_empty() { "none" } else { chosen.as_str() };
    ComboBox::from_id_salt(name).width(280.0).selected_text(shown).show_ui(ui, |ui| {
        ui.selectable_value(chosen, String::new(), "none");
        for column in columns {
            let example = format::one_line(&column.example, SHOWN);
            let text = format!("{}  ({}): {example}", column.name, column.kind);
            ui.selectable_value(chosen, column.name.clone(), RichText::new(text).small());
        }
    });
}
