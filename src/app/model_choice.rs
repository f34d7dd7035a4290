//! Which models a recipe still lacks, and where to take them from.

use egui::{RichText, TextEdit, Ui};

use super::command::{Command, Dialog, Role};
use super::state::Scene;
use super::theme::Palette;
use super::{format, widgets};
use crate::hub::{CachedModel, HubName, Kind};
use crate::run::Recipe;

/// The roles for which a recipe names no model.
pub(crate) fn missing(recipe: &Recipe) -> Vec<Role> {
    let weak = recipe.annotator.kind.reads().model();
    let annotator = (weak && recipe.annotator.model.is_empty()).then_some(Role::Annotator);
    let policy = recipe.policy.model.is_empty().then_some(Role::Policy);
    annotator.into_iter().chain(policy).collect()
}

/// Ask for the models that the recipe lacks; nothing where it lacks none.
pub(crate) fn ask(ui: &mut Ui, scene: &mut Scene<'_>) {
    let missing = missing(&scene.state.recipe);
    if missing.is_empty() || scene.state.at_work {
        return;
    }
    let palette = Palette::get(ui);
    let here = scene.state.models.clone();
    widgets::card(ui, |ui| {
        ui.label(RichText::new("Which models?").strong().color(palette.warning));
        widgets::weak(
            ui,
            "The demonstration's models know nothing but its own small world. Choose models for these data: folders with config.json and weights, or names on the hub.",
        );
        for role in missing {
            ui.add_space(6.0);
            ui.push_id(role == Role::Policy, |ui| one(ui, scene, role, here.as_deref()));
        }
    });
}

fn one(ui: &mut Ui, scene: &mut Scene<'_>, role: Role, here: Option<&[CachedModel]>) {
    let (title, purpose) = match role {
        Role::Policy => ("Policy", "the stronger model that is aligned"),
        _ => ("Annotator", "the weak model that learns from human labels and labels the rest"),
    };
    ui.horizontal_wrapped(|ui| {
        ui.strong(title);
        widgets::weak(ui, purpose);
    });
    ui.horizontal_wrapped(|ui| {
        if ui.button("Folder…").on_hover_text("Or drop it on the window").clicked() {
            scene.send(Command::Ask(Dialog::Model(role)));
        }
        match here {
            None => widgets::weak(ui, "looking for models on this machine…"),
            Some([]) => widgets::weak(ui, "the local hub cache holds no model"),
            Some(models) => widgets::weak(ui, format!("{} here:", format::count(models.len()))),
        };
        for model in here.unwrap_or_default() {
            let kind = if model.kind == Kind::Adapter { ", an adapter" } else { "" };
            let text = format!("{} ({}{kind})", model.name, format::bytes(model.bytes));
            if ui.button(text).clicked() {
                take(scene, role, model.name.clone());
            }
        }
    });
    ui.horizontal(|ui| {
        let id = ui.scope_id().with("name");
        let mut name: String = ui.data(|data| data.get_temp(id)).unwrap_or_default();
        ui.add(
            TextEdit::singleline(&mut name).hint_text("org/name on the hub").desired_width(260.0),
        );
        let known = HubName::of_field(&name).is_some();
        if ui.add_enabled(known, egui::Button::new("Use")).clicked() {
            take(scene, role, name.clone());
        }
        ui.data_mut(|data| data.insert_temp(id, name));
    });
}

fn take(scene: &mut Scene<'_>, role: Role, model: String) {
    scene.edit(|recipe| match role {
        Role::Policy => recipe.policy.model = model,
        _ => recipe.annotator.model = model,
    });
}
