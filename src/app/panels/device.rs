//! The devices of this machine, which one is used, and why.

use egui::{Frame, Margin, RichText, Stroke, Ui};

use super::{Home, Panel};
use crate::app::command::Command;
use crate::app::state::Scene;
use crate::app::theme::Palette;
use crate::app::widgets;
use crate::device::{self, Candidate};

/// Devices to choose from.
pub(super) struct Device;

impl Panel for Device {
    fn title(&self) -> &'static str {
        "Device"
    }

    fn home(&self) -> Home {
        Home::RightTop
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let Some(devices) = &scene.state.devices else {
            ui.horizontal(|ui| {
                ui.spinner();
                widgets::weak(ui, "Looking for devices…");
            });
            return;
        };
        widgets::scroll(ui, "devices", |ui| {
            let choice = device::choose(&scene.state.recipe.device, devices);
            in_use(ui, scene, &choice);
            ui.add_space(4.0);
            ui.add_enabled_ui(!scene.state.at_work, |ui| {
                let wanted = scene.state.recipe.device.as_str();
                let auto = ui.radio(wanted == "auto", "Choose the best one by itself");
                if auto
                    .on_hover_text("A discrete GPU first, then an integrated one, then the CPU")
                    .clicked()
                {
                    scene.edit(|recipe| recipe.device = "auto".to_owned());
                }
                for candidate in devices {
                    let used = choice.as_ref().is_ok_and(|choice| choice.device == *candidate);
                    if card(ui, candidate, used, wanted == candidate.id) {
                        scene.edit(|recipe| recipe.device.clone_from(&candidate.id));
                    }
                }
            });
            if ui.button("Look again").clicked() {
                scene.send(Command::ListDevices);
            }
        });
    }
}

fn in_use(ui: &mut Ui, scene: &Scene<'_>, choice: &Result<device::Choice, device::DeviceError>) {
    let palette = Palette::get(ui);
    let view = &scene.state.view;
    if !view.device.is_empty() {
        ui.label(RichText::new(&view.device).strong());
        widgets::weak(ui, format!("In use by the run on show: {}.", view.why));
        return;
    }
    match choice {
        Ok(choice) => {
            ui.label(RichText::new(choice.device.describe()).strong());
            widgets::weak(ui, format!("The next run uses this: {}.", choice.why));
        }
        Err(error) => {
            ui.label(RichText::new(error.to_string()).color(palette.error));
        }
    }
}

/// Whether the device was picked.
fn card(ui: &mut Ui, candidate: &Candidate, used: bool, wanted: bool) -> bool {
    let palette = Palette::get(ui);
    let edge = if used { palette.accent } else { palette.line };
    let frame = Frame::new()
        .fill(palette.card)
        .stroke(Stroke::new(1.0, edge))
        .corner_radius(8.0)
        .inner_margin(Margin::same(10));
    frame
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            let picked = ui.radio(wanted, RichText::new(&candidate.name).strong()).clicked();
            ui.horizontal_wrapped(|ui| {
                ui.monospace(&candidate.id);
                widgets::tag(
                    ui,
                    candidate.class.words(),
                    if used { palette.accent } else { palette.weak },
                );
                widgets::tag(ui, &candidate.api, palette.weak);
            });
            if !candidate.driver.is_empty() {
                widgets::weak(ui, candidate.driver.clone());
            }
            picked
        })
        .inner
}
