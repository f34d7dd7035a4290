//! The bar above everything: which run, on what, and the buttons that move it.

use egui::{
    Align, Button, Key, KeyboardShortcut, Label, Layout, Modifiers, RichText, ThemePreference, Ui,
};

use super::command::{Command, Dialog};
use super::format;
use super::icons::{self, Icon};
use super::state::Scene;
use super::theme::Palette;
use super::widgets;
use crate::device;
use crate::run::Status;

/// Run, go on, or resume: whatever comes next.
pub(crate) const NEXT: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::Enter);
/// Stop the run.
pub(crate) const STOP: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::Period);
/// Choose preference files.
pub(crate) const OPEN: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::O);
/// Choose a run folder.
pub(crate) const OPEN_RUN: KeyboardShortcut = KeyboardShortcut::new(
    Modifiers { alt: false, ctrl: false, shift: true, mac_cmd: false, command: true },
    Key::O,
);

/// Draw it.
pub(crate) fn ui(ui: &mut Ui, scene: &mut Scene<'_>) {
    // The buttons take their room first; a long name of a device gets what is left.
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        view_menu(ui, scene);
        open_menu(ui, scene);
        let help = "Go back to the built-in demonstration: data and two tiny models";
        if ui.button("Demo").on_hover_text(help).clicked() {
            scene.send(Command::Demo);
        }
        ui.add_space(12.0);
        run_buttons(ui, scene);
        ui.add_space(12.0);
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            let accent = Palette::get(ui).accent;
            let brand = RichText::new("Confide").size(18.0).strong().color(accent);
            ui.add(Label::new(brand).selectable(false));
            ui.add_space(10.0);
            identity(ui, scene);
        });
    });
}

fn identity(ui: &mut Ui, scene: &Scene<'_>) {
    let palette = Palette::get(ui);
    let (state, view) = (scene.state, &scene.state.view);
    let name = RichText::new(format::one_line(&state.recipe.name, 32)).strong().size(14.0);
    let name = ui.add(Label::new(name).truncate().selectable(false));
    if !view.folder.as_os_str().is_empty() {
        name.on_hover_text(view.folder.display().to_string());
    }
    let (word, color) = match view.status {
        _ if state.stopping => ("stopping", palette.warning),
        Status::Idle => ("ready", palette.weak),
        Status::Running => ("at work", palette.accent),
        Status::Paused => ("paused", palette.warning),
        Status::Stopped => ("stopped", palette.warning),
        Status::Failed => ("failed", palette.error),
        Status::Finished => ("finished", palette.chosen),
    };
    widgets::tag(ui, word, color);
    let (device, why) = device_words(scene);
    if !device.is_empty() {
        ui.add(Label::new(RichText::new(device).color(palette.weak)).truncate().selectable(false))
            .on_hover_text(why);
    }
}

/// The device of the run on show, else the one that a run would use.
fn device_words(scene: &Scene<'_>) -> (String, String) {
    let (state, view) = (scene.state, &scene.state.view);
    if !view.device.is_empty() {
        return (view.device.clone(), view.why.clone());
    }
    let Some(devices) = &state.devices else {
        return ("looking for devices…".to_owned(), String::new());
    };
    match device::choose(&state.recipe.device, devices) {
        Ok(choice) => (choice.device.describe(), format!("A run would use this: {}", choice.why)),
        Err(error) => ("no device".to_owned(), error.to_string()),
    }
}

/// In right-to-left order.
fn run_buttons(ui: &mut Ui, scene: &mut Scene<'_>) {
    let state = scene.state;
    let keys = |shortcut: &KeyboardShortcut| ui.ctx().format_shortcut(shortcut);
    let (next, stop) = (keys(&NEXT), keys(&STOP));
    if state.at_work {
        let text = if state.stopping { "Stopping…" } else { "Stop" };
        let button = ui.add_enabled(!state.stopping, Button::new((icons::sign(Icon::Stop), text)));
        if button
            .on_hover_text(format!("Write a checkpoint and end; can be resumed ({stop})"))
            .clicked()
        {
            scene.send(Command::Stop);
        }
        if state.view.status == Status::Paused {
            let button = widgets::primary(ui, Some(Icon::Play), "Continue", !state.stopping);
            if button
                .on_hover_text(format!("Go on with the next step ({next}, or Space)"))
                .clicked()
            {
                scene.send(Command::Continue);
            }
        } else {
            let button =
                ui.add_enabled(!state.stopping, Button::new((icons::sign(Icon::Pause), "Pause")));
            if button.on_hover_text("Wait before the next step (Space)").clicked() {
                scene.send(Command::Pause);
            }
        }
        return;
    }
    let ready = state.problem.is_none();
    let run = if state.can_resume() {
        ui.add_enabled(ready, Button::new("Run again"))
    } else {
        widgets::primary(ui, Some(Icon::Play), "Run", ready)
    };
    let problem = state.problem.as_ref().map_or("", |p| p.message.as_str());
    let run = run
        .on_hover_text(format!("Start a new run of this recipe ({next})"))
        .on_disabled_hover_text(problem);
    if run.clicked() {
        scene.send(Command::Run);
    }
    if state.can_resume() {
        let resume = widgets::primary(ui, Some(Icon::Play), "Resume", true);
        if resume.on_hover_text(format!("Go on from the last checkpoint ({next})")).clicked() {
            scene.send(Command::Resume);
        }
    }
}

fn open_menu(ui: &mut Ui, scene: &mut Scene<'_>) {
    let entries = [
        ("Preference files…", Some(OPEN), Dialog::Files),
        ("Recipe…", None, Dialog::Recipe),
        ("Run folder…", Some(OPEN_RUN), Dialog::Run),
        ("Annotator model…", None, Dialog::Model(super::command::Role::Annotator)),
        ("Policy model…", None, Dialog::Model(super::command::Role::Policy)),
        ("Save recipe as…", None, Dialog::SaveRecipe),
    ];
    ui.menu_button("Open", |ui| {
        ui.set_min_width(210.0);
        for (text, shortcut, dialog) in entries {
            if dialog == Dialog::SaveRecipe {
                ui.separator();
            }
            let mut button = Button::new(text);
            if let Some(shortcut) = shortcut {
                button = button.shortcut_text(ui.ctx().format_shortcut(&shortcut));
            }
            if ui.add(button).clicked() {
                scene.send(Command::Ask(dialog));
                ui.close();
            }
        }
    });
}

fn view_menu(ui: &mut Ui, scene: &mut Scene<'_>) {
    ui.menu_button("View", |ui| {
        ui.set_min_width(170.0);
        let looks = [
            ("As the system", ThemePreference::System),
            ("Light", ThemePreference::Light),
            ("Dark", ThemePreference::Dark),
        ];
        for (text, look) in looks {
            if ui.radio_value(&mut scene.prefs.theme, look, text).clicked() {
                ui.ctx().set_theme(look);
                ui.close();
            }
        }
        ui.separator();
        if ui.button("Reset the layout").clicked() {
            scene.send(Command::ResetLayout);
            ui.close();
        }
    });
}

/// Keys that work anywhere, unless somebody types.
pub(crate) fn shortcuts(ctx: &egui::Context, scene: &mut Scene<'_>) {
    let pressed =
        |shortcut: &KeyboardShortcut| ctx.input_mut(|input| input.consume_shortcut(shortcut));
    let state = scene.state;
    let free = !ctx.text_edit_focused() && ctx.memory(|memory| memory.focused().is_none());
    let space = free
        && state.at_work
        && ctx.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Space));
    let paused = state.view.status == Status::Paused;
    if pressed(&NEXT) {
        if state.at_work {
            if paused {
                scene.send(Command::Continue);
            }
        } else {
            scene.send(if state.can_resume() { Command::Resume } else { Command::Run });
        }
    }
    if space {
        scene.send(if paused { Command::Continue } else { Command::Pause });
    }
    if pressed(&STOP) && state.at_work {
        scene.send(Command::Stop);
    }
    // The one with more modifiers first: the other would match it too.
    if pressed(&OPEN_RUN) {
        scene.send(Command::Ask(Dialog::Run));
    }
    if pressed(&OPEN) {
        scene.send(Command::Ask(Dialog::Files));
    }
}
