//! Why a run can end before its report.

use std::path::PathBuf;

use super::RecipeError;
use super::folder_error::FolderError;
use crate::data::DataError;
use crate::device::DeviceError;
use crate::model::ModelError;
use crate::text::TextError;
use crate::train::{NonFinite, TrainError};

/// Why a run ended before its report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The user asked for it.
    #[error("stopped; continue with `confide resume`")]
    Stopped,
    /// See the recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// See the data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// See the model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// See the hub.
    #[error(transparent)]
    Hub(#[from] crate::hub::HubError),
    /// See the tokenizer.
    #[error(transparent)]
    Text(#[from] TextError),
    /// See the device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// See the training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The loss or its gradient is no finite number, too often.
    #[error(
        "{stage}: {found}, after {allowed} such steps that were skipped ({stage}.skip_nonfinite); training has diverged and ends here; {kept}; {advice}"
    )]
    Diverged {
        /// The stage, which is also the section of its settings.
        stage: &'static str,
        /// The step.
        found: NonFinite,
        /// How many such steps may be skipped.
        allowed: u64,
        /// What is kept.
        kept: String,
        /// What to change.
        advice: String,
    },
    /// See the folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file of the run cannot be written.
    #[error("{path}: {source}; is there space left?")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The recipe cannot work on these data.
    #[error("{0}")]
    Impossible(String),
    /// The device failed, and the run cannot go on with it by itself.
    #[error("{device}: {found}; {advice}")]
    Fault {
        /// The device.
        device: String,
        /// What befell it.
        found: String,
        /// What to do.
        advice: String,
    },
    /// A defect: the worker thread panicked.
    #[error("the worker ended unexpectedly: {0}; please report this with the recipe")]
    Panic(String),
}

impl RunError {
    /// Of what a thread panicked with.
    pub(super) fn panic(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Self::Panic(text.unwrap_or("no message").to_owned())
    }
}
