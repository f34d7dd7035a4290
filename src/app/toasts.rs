//! Short messages in a corner: they fade, errors stay until dismissed.

use std::time::{Duration, Instant};

use egui::{Align2, Area, Color32, Frame, Id, Margin, Order, RichText, Stroke, Ui, vec2};

use super::icons::{self, Icon};
use super::theme::Palette;
use crate::run::Level;

/// Toasts on show at once; older ones are in the log.
const MOST: usize = 4;
/// The last part of a toast's life, in which it fades.
const FADE: f32 = 0.6;

/// One message.
#[derive(Clone, Debug)]
pub struct Toast {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub text: String,
    born: Instant,
}

/// All messages on show.
#[derive(Debug, Default)]
pub(crate) struct Toasts {
    list: Vec<Toast>,
}

impl Toast {
    fn life(&self) -> Option<Duration> {
        match self.level {
            Level::Info => Some(Duration::from_secs(4)),
            Level::Warning => Some(Duration::from_secs(9)),
            Level::Error => None,
        }
    }

    fn seconds_left(&self, now: Instant) -> Option<f32> {
        self.life().map(|life| (life.as_secs_f32() - (now - self.born).as_secs_f32()).max(0.0))
    }
}

impl Toasts {
    /// Show a message; a repetition renews the one on show.
    pub(crate) fn push(&mut self, level: Level, text: String) {
        self.list.retain(|toast| toast.text != text);
        self.list.push(Toast { level, text, born: Instant::now() });
        // Errors stay; the oldest of the others makes room.
        while self.list.len() > MOST {
            let oldest =
                self.list.iter().position(|toast| toast.level != Level::Error).unwrap_or(0);
            self.list.remove(oldest);
        }
    }

    /// Messages on show, oldest first.
    pub(crate) fn list(&self) -> &[Toast] {
        &self.list
    }

    /// Draw them.
    pub(crate) fn ui(&mut self, ui: &Ui) {
        let now = Instant::now();
        self.list.retain(|toast| toast.seconds_left(now).is_none_or(|left| left > 0.0));
        if self.list.is_empty() {
            return;
        }
        let area = Area::new(Id::unique("toasts"))
            .order(Order::Foreground)
            .anchor(Align2::RIGHT_BOTTOM, vec2(-16.0, -16.0))
            .interactable(true);
        let mut dismissed = None;
        area.show(ui.ctx(), |ui| {
            for (i, toast) in self.list.iter().enumerate() {
                let opacity = toast.seconds_left(now).map_or(1.0, |left| (left / FADE).min(1.0));
                ui.set_opacity(opacity);
                if toast_ui(ui, toast) {
                    dismissed = Some(i);
                }
            }
        });
        if let Some(i) = dismissed {
            self.list.remove(i);
        }
        self.ask_for_repaint(ui, now);
    }

    /// Frames are needed while one fades, and when the next one begins to.
    fn ask_for_repaint(&self, ui: &Ui, now: Instant) {
        let next = self
            .list
            .iter()
            .filter_map(|toast| toast.seconds_left(now))
            .fold(f32::INFINITY, f32::min);
        if next < FADE {
            ui.ctx().request_repaint();
        } else if next.is_finite() {
            ui.ctx().request_repaint_after(Duration::from_secs_f32(next - FADE));
        }
    }
}

/// Whether the message was dismissed.
fn toast_ui(ui: &mut Ui, toast: &Toast) -> bool {
    let palette = Palette::get(ui);
    let (color, icon) = mark(&palette, toast.level);
    let frame = Frame::popup(ui.style())
        .fill(palette.card)
        .stroke(Stroke::new(1.0, color.gamma_multiply(0.6)))
        .inner_margin(Margin::symmetric(12, 8));
    frame
        .show(ui, |ui| {
            ui.set_width(340.0);
            ui.horizontal_top(|ui| {
                icons::show(ui, icon, 14.0, color);
                let text = egui::Label::new(RichText::new(&toast.text).color(palette.text)).wrap();
                let width = ui.available_width() - 28.0;
                ui.allocate_ui(vec2(width, 0.0), |ui| {
                    ui.set_width(width);
                    ui.add(text);
                });
                icons::button(ui, Icon::Cross, "Dismiss").clicked()
            })
            .inner
        })
        .inner
}

/// Colour and sign of a level.
pub(crate) fn mark(palette: &Palette, level: Level) -> (Color32, Icon) {
    match level {
        Level::Info => (palette.accent, Icon::Info),
        Level::Warning => (palette.warning, Icon::Warning),
        Level::Error => (palette.error, Icon::Cross),
    }
}
