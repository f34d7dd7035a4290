//! Which model, and where it comes from.

use egui::{TextEdit, Ui};
use toml::Value;

use super::{Form, row, value_of};
use crate::app::command::{Command, Dialog, Role};
use crate::app::{format, widgets};
use crate::hub::HubName;
use crate::run::Setting;

impl Form<'_> {
    pub(super) fn model(&mut self, ui: &mut Ui, setting: &Setting, role: Role) {
        let builtin = if role == Role::Policy { "builtin:strong" } else { "builtin:weak" };
        let (problem, fetching, wish) = (self.problem, &self.fetching, &mut self.wish);
        let Some(Value::String(model)) = value_of(&mut self.table, setting) else { return };
        row::line(ui, problem, setting, |ui| {
            if ui
                .button("Choose…")
                .on_hover_text(
                    "A folder with config.json and weights; or drop it on the window, or write a name on the hub: org/name",
                )
                .clicked()
            {
                *wish = Some(Command::Ask(Dialog::Model(role)));
            }
            if model != builtin
                && ui
                    .button("Built in")
                    .on_hover_text("Use the tiny model of the demonstration")
                    .clicked()
            {
                builtin.clone_into(model);
            }
            match fetching {
                Some((name, done, total)) if name == model => {
                    let text = format!("{} of {}", format::bytes(*done), format::bytes(*total));
                    widgets::weak(ui, &text);
                }
                _ if HubName::of_field(model).is_some() => {
                    let button = ui.button("Download").on_hover_text(
                        "Fetch this model from the hub into the local Hugging Face cache, unless it is there",
                    );
                    if button.clicked() {
                        *wish = Some(Command::Fetch(model.clone()));
                    }
                }
                _ => {}
            }
            ui.add(TextEdit::singleline(model).desired_width(ui.available_width().min(320.0)));
        });
    }
}
