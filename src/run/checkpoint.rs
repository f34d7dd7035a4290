//! Checkpoints: taken between two steps, written while training goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::error::RunError;
use super::folder::StateFile;
use crate::model::{Decoder, Handle, ModelError, save_handles, trained_handles};
use crate::train::AdamW;

/// File of trained weights in a checkpoint's folder.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// File of the optimiser's moments in a checkpoint's folder.
pub(super) const MOMENTS: &str = "optimizer.safetensors";

/// Trained weights and moments after a step. Nothing is copied to take it: a tensor that is held
/// here is left as it is, and the next step writes another one.
pub(super) struct Snapshot {
    weights: BTreeMap<String, Handle>,
    moments: BTreeMap<String, Handle>,
}

impl Snapshot {
    pub(super) fn take(model: &Decoder, optimiser: &AdamW) -> Self {
        Self { weights: trained_handles(model), moments: optimiser.handles() }
    }

    /// Fill a folder; each file's tensors are let go when it is written.
    fn write(self, folder: &Path) -> Result<(), ModelError> {
        save_handles(&folder.join(WEIGHTS), &self.weights)?;
        drop(self.weights);
        save_handles(&folder.join(MOMENTS), &self.moments)
    }
}

/// A checkpoint that is being written.
pub(super) type Writing = JoinHandle<Result<(), RunError>>;

/// A checkpoint that is about to be written.
pub(super) struct Checkpointing {
    pub(super) snapshot: Snapshot,
    /// Its folder.
    pub(super) folder: PathBuf,
    /// The state that makes it the one to go on from.
    pub(super) state: StateFile,
    /// The folder of the one before, of no use then.
    pub(super) old: Option<PathBuf>,
}

impl Checkpointing {
    /// First the checkpoint, then the state that names it, then the old one goes: whenever this
    /// ends early, there is one to go on from.
    pub(super) fn write(self) -> Result<(), RunError> {
        let Self { snapshot, folder, state, old } = self;
        crate::files::write_folder(&folder, |partial| {
            snapshot.write(partial).map_err(std::io::Error::other)
        })
        .map_err(|source| RunError::Write { path: folder, source })?;
        state.write()?;
        if let Some(old) = old {
            remove(&old);
        }
        Ok(())
    }

    /// The same on a thread of its own.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub(super) fn write_aside(self) -> std::io::Result<Writing> {
        std::thread::Builder::new().name("checkpoint".to_owned()).spawn(|| self.write())
    }
}

/// Remove a checkpoint that is no longer needed; that it stays harms nothing.
pub(super) fn remove(folder: &Path) {
    if let Err(e) = std::fs::remove_dir_all(folder) {
        log::warn!("{}: {e}", folder.display());
    }
}
