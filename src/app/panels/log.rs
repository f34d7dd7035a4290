//! Everything that was said, newest last.

use egui::{Label, RichText, TextStyle, Ui};

use super::{Home, Panel};
use crate::app::icons::{self, Icon};
use crate::app::prefs::rank;
use crate::app::state::{LogEntry, Scene};
use crate::app::theme::Palette;
use crate::app::{toasts, widgets};

/// The log of the window.
pub(super) struct Log;

const LEVELS: [&str; 3] = ["Everything", "Warnings", "Errors"];

impl Panel for Log {
    fn title(&self) -> &'static str {
        "Log"
    }

    fn home(&self) -> Home {
        Home::RightBottom
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let least = scene.prefs.log_level;
        let lines: Vec<&LogEntry> =
            scene.state.log.iter().filter(|entry| rank(entry.level) >= least).collect();
        ui.horizontal(|ui| {
            for (i, text) in LEVELS.iter().enumerate() {
                ui.selectable_value(&mut scene.prefs.log_level, i as u8, *text);
            }
            let copy = ui.add_enabled(!lines.is_empty(), egui::Button::new("Copy"));
            if copy.on_hover_text("Copy these lines").clicked() {
                ui.ctx().copy_text(
                    lines
                        .iter()
                        .map(|entry| format!("{}  {}\n", time(entry), entry.text))
                        .collect(),
                );
            }
        });
        ui.separator();
        if lines.is_empty() {
            widgets::empty(
                ui,
                Icon::Page,
                "Nothing to report",
                "Warnings and errors of a run appear here, with what to try next.",
            );
            return;
        }
        let palette = Palette::get(ui);
        egui::ScrollArea::vertical().auto_shrink([false, false]).stick_to_bottom(true).show(
            ui,
            |ui| {
                for entry in lines {
                    ui.horizontal_top(|ui| {
                        let (color, icon) = toasts::mark(&palette, entry.level);
                        ui.label(
                            RichText::new(time(entry))
                                .text_style(TextStyle::Monospace)
                                .small()
                                .color(palette.weak),
                        );
                        icons::show(ui, icon, 12.0, color);
                        ui.add(Label::new(&entry.text).wrap());
                    });
                }
            },
        );
    }
}

fn time(entry: &LogEntry) -> String {
    let s = entry.second;
    format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}
