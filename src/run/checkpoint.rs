//! Checkpoints: taken between two steps, written while training goes on.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Instant;

use super::checkpoint_folder::{MOMENTS, TASK, WEIGHTS, remove};
use super::error::RunError;
use super::folder::Keeper;
use super::state::{CHECKPOINTS, CheckpointState, State};
use crate::files::{Checksums, checksums};
use crate::model::{
    Decoder, Handle, ModelError, SavedTensor, Storage, save_handles, save_tensors, trained_handles,
};
use crate::train::{AdamW, Task};

/// Trained weights and moments after a step. Nothing is copied to take it: a tensor that is held
/// here is left as it is, and the next step writes another one.
pub(super) struct Snapshot {
    weights: BTreeMap<String, Handle>,
    moments: BTreeMap<String, Handle>,
    /// What the task remembers.
    task: BTreeMap<String, SavedTensor>,
}

impl Snapshot {
    pub(super) fn take(model: &Decoder, optimiser: &AdamW, task: &dyn Task) -> Self {
        let (weights, moments) = (trained_handles(model), optimiser.handles());
        Self { weights, moments, task: task.state() }
    }

    /// Fill a folder; each file's tensors are let go when it is written.
    fn write(self, folder: &Path) -> Result<(), ModelError> {
        save_handles(&folder.join(WEIGHTS), &self.weights)?;
        drop(self.weights);
        save_handles(&folder.join(MOMENTS), &self.moments)?;
        if self.task.is_empty() {
            return Ok(());
        }
        save_tensors(&folder.join(TASK), &self.task, Storage::F32)
    }
}

/// A checkpoint that is being written.
pub(super) type Writing = JoinHandle<Result<Written, RunError>>;

/// A checkpoint that is on the disk.
pub(super) struct Written {
    pub(super) checkpoint: CheckpointState,
    /// Seconds that it took.
    pub(super) seconds: f64,
}

/// A checkpoint that is about to be written.
pub(super) struct Checkpointing {
    pub(super) snapshot: Snapshot,
    /// What it will be known as, once its files have checksums.
    pub(super) checkpoint: CheckpointState,
    /// The state of the same moment.
    pub(super) state: State,
    /// Writes it.
    pub(super) keeper: Keeper,
}

impl Checkpointing {
    /// First the checkpoint, then the state that names it, then the oldest one goes: whenever this
    /// ends early, there is one to go on from.
    pub(super) fn write(self) -> Result<Written, RunError> {
        let begun = Instant::now();
        let Self { snapshot, mut checkpoint, mut state, keeper } = self;
        let all = keeper.path().join(CHECKPOINTS);
        let folder = all.join(&checkpoint.folder);
        let wrap = |source| RunError::Write { path: folder.clone(), source };
        // A weight that is no finite number is an error of its own, not one of the disk.
        let mut overflowed = None;
        let written = crate::files::write_folder(&folder, |partial| {
            snapshot.write(partial).map_err(|error| {
                let words = std::io::Error::other(error.to_string());
                overflowed = Some(error).filter(|e| matches!(e, ModelError::Overflowed { .. }));
                words
            })
        });
        if let Some(error) = overflowed {
            return Err(error.into());
        }
        written.map_err(wrap)?;
        let mut files = Checksums::new();
        let present = |name: &&str| folder.join(name).exists();
        for name in [WEIGHTS, MOMENTS, TASK].into_iter().filter(present) {
            files.extend(checksums(&folder, name).map_err(wrap)?);
        }
        checkpoint.files = files;
        let surplus = state.add_checkpoint(checkpoint.clone());
        keeper.keep(&state)?;
        surplus.iter().for_each(|old| remove(&all, &old.folder));
        Ok(Written { checkpoint, seconds: begun.elapsed().as_secs_f64() })
    }

    /// The same on a thread of its own.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub(super) fn write_async(self) -> std::io::Result<Writing> {
        std::thread::Builder::new().name("checkpoint".to_owned()).spawn(|| self.write())
    }
}

/// Whether tensors are those that handles stand for: the same names, the same number of values.
///
/// # Errors
///
/// The first that is not, in half a sentence.
pub(super) fn same_tensors(
    found: &BTreeMap<String, SavedTensor>,
    expected: &BTreeMap<String, Handle>,
) -> Result<(), String> {
    let count = |shape: &[usize]| shape.iter().product::<usize>();
    for (name, handle) in expected {
        match found.get(name) {
            None => return Err(format!("there is no tensor “{name}”")),
            Some(tensor) if count(&tensor.shape) != count(&handle.shape) => {
                return Err(format!(
                    "tensor “{name}” has shape {:?}; expected {:?}",
                    tensor.shape, handle.shape
                ));
            }
            Some(_) => {}
        }
    }
    match found.keys().find(|name| !expected.contains_key(*name)) {
        Some(name) => Err(format!("tensor “{name}” belongs to no parameter that is trained")),
        None => Ok(()),
    }
}
