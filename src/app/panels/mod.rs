//! The panels: each in a file of its own.
//!
//! To add one, write its file, implement [`Panel`], and name it in [`all`].

mod cloud;
mod confidence;
mod curves;
mod data;
mod device;
mod log;
mod memory;
mod numbers;
mod overview;
mod pairs;
mod report;
mod settings;
mod why;

use super::state::Scene;

/// Where a panel is at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// The tall column to read in.
    Left,
    /// Above, on the right.
    RightTop,
    /// Below, on the right.
    RightBottom,
}

/// One panel of the window. It reads the scene's state, and changes it by sending commands.
pub(crate) trait Panel {
    /// The title of its tab, which also names it in a stored layout.
    fn title(&self) -> &'static str;

    /// Where it is at first.
    fn home(&self) -> Home {
        Home::Left
    }

    /// Draw it; must not block.
    fn ui(&mut self, ui: &mut egui::Ui, scene: &mut Scene<'_>);
}

/// Every panel, in the order of their tabs.
pub(crate) fn all() -> Vec<Box<dyn Panel>> {
    vec![
        Box::new(overview::Overview),
        Box::new(data::Data::default()),
        Box::new(pairs::Pairs::default()),
        Box::new(settings::Settings::default()),
        Box::new(report::Report::default()),
        Box::new(why::Why),
        Box::new(curves::Curves),
        Box::new(numbers::Numbers),
        Box::new(device::Device),
        Box::new(memory::Memory),
        Box::new(confidence::Confidence::default()),
        Box::new(cloud::Cloud::default()),
        Box::new(log::Log),
    ]
}
