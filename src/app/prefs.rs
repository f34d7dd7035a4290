//! What the window remembers between two starts.

use egui::ThemePreference;
use serde::{Deserialize, Serialize};

use super::pairs::Column;
use crate::preference::Weighting;
use crate::run::{Level, Stage};

/// Where eframe keeps the preferences.
pub(crate) const KEY: &str = "preferences";

/// Choices about the window, not about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Prefs {
    /// Light, dark, or as the system has it.
    pub theme: ThemePreference,
    /// Threshold, scheme and temperature last used.
    pub weighting: Weighting,
    /// Columns of the table.
    pub columns: Vec<Column>,
    /// The metric whose curves are on show.
    pub metric: String,
    /// Stages whose curves are hidden.
    pub hidden_curves: Vec<Stage>,
    /// Steps that the moving average remembers; 0 draws the values as they are.
    pub smoothing: f64,
    /// The least level that the log shows: 0 everything, 1 warnings, 2 errors.
    pub log_level: u8,
}

impl Default for Prefs {
    fn default() -> Self {
        use Column::{Chosen, Confidence, Human, Margin, Number, Prompt, Weight};
        Self {
            theme: ThemePreference::System,
            weighting: Weighting::default(),
            columns: vec![Number, Prompt, Chosen, Margin, Confidence, Weight, Human],
            metric: "loss".to_owned(),
            hidden_curves: Vec::new(),
            smoothing: 0.0,
            log_level: 0,
        }
    }
}

/// A level as a number that grows with its weight.
pub(crate) fn rank(level: Level) -> u8 {
    match level {
        Level::Info => 0,
        Level::Warning => 1,
        Level::Error => 2,
    }
}
