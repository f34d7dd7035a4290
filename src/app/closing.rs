//! Closing the window: never before the run under way has written its checkpoint, and never
//! without a word meanwhile.

use std::time::{Duration, Instant};

use egui::{Frame, Ui, ViewportCommand};

use super::command::Command;
use super::widgets;
use super::window::App;
use crate::interrupt;
use crate::run::Level;

impl App {
    /// Let the program be told to end: the run stops, then the window closes.
    pub(super) fn listen(&self) {
        let (run, computing, ctx) = (self.reached.clone(), self.reached.clone(), self.ctx.clone());
        let stop = move |_| {
            run.get().stop();
            ctx.request_repaint();
        };
        interrupt::guard_exit();
        if let Err(error) = interrupt::watch(stop, move || computing.get().at_stake()) {
            log::warn!("a run is lost if the program is told to end: {error}");
        }
    }

    /// Close when a person or the system asks for it. While a run has something to lose, it is
    /// stopped and waited for; asked once more, the window goes out of sight and waits there.
    pub(super) fn leave(&mut self, ctx: &egui::Context) {
        let asked = ctx.input(|input| input.viewport().close_requested());
        let told = interrupt::requested().is_some();
        if (asked || told) && self.closing.is_none() {
            self.closing = Some(Instant::now());
            self.handle(Command::Stop);
        } else if asked && self.must_wait() {
            ctx.send_viewport_cmd(ViewportCommand::Visible(false));
            let text = "The window is closed; the program ends once a checkpoint is written";
            self.tell(Level::Info, text.to_owned());
        }
        if self.closing.is_none() {
            return;
        }
        if !self.must_wait() {
            ctx.send_viewport_cmd(ViewportCommand::Close);
        } else if asked {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
        }
        // Seconds go by on show, and hidden windows ask for no frame themselves.
        ctx.request_repaint_after(Duration::from_millis(200));
    }

    fn must_wait(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !run.is_finished() && run.control().at_stake())
    }

    /// Say that the window is about to close, and what it waits for.
    pub(super) fn tell_closing(&self, ui: &Ui) {
        let Some(since) = self.closing.filter(|_| self.must_wait()) else { return };
        let seconds = since.elapsed().as_secs();
        let frame = Frame::popup(ui.style()).inner_margin(18);
        egui::Modal::new(egui::Id::unique("closing")).frame(frame).show(ui.ctx(), |ui| {
            ui.set_width(340.0);
            ui.horizontal(|ui| {
                ui.spinner();
                ui.vertical(|ui| {
                    ui.strong("Stopping the run");
                    let text = "The window closes once the step under way has ended and a checkpoint is written.";
                    widgets::weak(ui, text);
                    if seconds > 0 {
                        widgets::weak(ui, format!("{seconds} s so far."));
                    }
                });
            });
        });
    }
}
