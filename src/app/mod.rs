//! The window: panels that read one state and send commands.
//!
//! Nothing here computes with tensors or waits for a disk. A run's events are folded once
//! per frame; everything slow happens on a thread of its own and comes back as a message.

mod cloud_gpu;
mod column_choice;
mod command;
mod drops;
mod follow;
mod format;
mod handle;
mod icons;
mod inspection;
mod layout;
mod model_choice;
mod pace;
pub mod pairs;
mod panels;
mod prefs;
mod rail;
pub mod series;
mod state;
mod tasks;
mod theme;
mod toasts;
mod top_bar;
mod widgets;
mod window;

pub use command::{Command, Dialog, Role};
pub use inspection::{BadLine, FilePreview, PairPreview, Preview};
pub use pace::Pace;
pub use state::{DataState, LogEntry, Pairs, Problem, State};
pub use toasts::Toast;
pub use window::{App, Start};

/// Open the window; returns when it is closed.
///
/// # Errors
///
/// No window or no graphics adapter can be had.
pub fn run(start: Start) -> Result<(), eframe::Error> {
    let viewport = egui::ViewportBuilder::default()
        .with_title("Confide")
        .with_app_id("confide")
        .with_inner_size([1280.0, 720.0])
        .with_min_inner_size([900.0, 560.0])
        .with_icon(icons::window())
        .with_drag_and_drop(true);
    let options = eframe::NativeOptions {
        viewport,
        renderer: eframe::Renderer::Wgpu,
        // The cloud's pipeline is built for one sample and no depth.
        multisampling: 0,
        depth_buffer: 0,
        ..eframe::NativeOptions::default()
    };
    eframe::run_native("confide", options, Box::new(|cc| Ok(Box::new(App::new(cc, start)))))
}
