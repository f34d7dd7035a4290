//! The window: panels that read one state and send commands.
//!
//! Nothing here computes with tensors or waits for a disk. A run's events are folded once
//! per frame; everything slow happens on a thread of its own and comes back as a message.

mod closing;
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
mod reached;
mod runs_folder;
pub mod series;
mod state;
mod tasks;
mod theme;
mod toasts;
mod top_bar;
mod widgets;
mod window;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

pub use command::{Command, Dialog, Role};
pub use inspection::{BadLine, FilePreview, PairPreview, Preview};
pub use pace::Pace;
pub use state::{DataState, LogEntry, Pairs, Problem, State};
pub use toasts::Toast;
pub use window::{App, Start};

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// It never opened.
    #[error("{0}")]
    Closed(String),
    /// It was open, and its display or graphics adapter went away.
    #[error("the window was lost: {0}; a run that was under way can go on with `confide resume`")]
    Lost(String),
}

/// Open the window; returns when it is closed, by a person or because the program was told to end
/// ([`crate::interrupt::requested`]).
///
/// # Errors
///
/// No window or no graphics adapter can be had, or it was lost.
pub fn run(start: Start) -> Result<(), WindowError> {
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
    let opened = AtomicBool::new(false);
    let create = |cc: &eframe::CreationContext<'_>| {
        let app = App::new(cc, start);
        app.listen();
        opened.store(true, Ordering::Relaxed);
        Ok(Box::new(app) as Box<dyn eframe::App>)
    };
    // Where the display goes away, winit panics; a run that was under way is stopped meanwhile.
    let ended =
        catch_unwind(AssertUnwindSafe(|| eframe::run_native("confide", options, Box::new(create))));
    let text = match ended {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => tasks::panic_text(&*panic),
    };
    let lost = opened.load(Ordering::Relaxed);
    Err(if lost { WindowError::Lost(text) } else { WindowError::Closed(text) })
}
