//! The folders of checkpoints: their names, and how they go.

use std::path::Path;

use super::stage::Stage;
use crate::files::temporary;

/// File of trained weights in a checkpoint's folder.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// File of the optimiser's moments in a checkpoint's folder.
pub(super) const MOMENTS: &str = "optimizer.safetensors";

/// File of what the task remembers of earlier steps, in the folder of a checkpoint; there only where it
/// remembers anything.
pub(super) const TASK: &str = "task.safetensors";

/// The folder of a checkpoint among the others; `phase` tells trainings of one stage apart.
pub(super) fn name(stage: Stage, phase: usize, step: u64) -> String {
    match phase {
        0 => format!("{}-{step}", stage.name()),
        later => format!("{}-{later}-{step}", stage.name()),
    }
}

/// Whether a name among the checkpoints is that of a checkpoint, or of one that was being written.
pub(super) fn is_name(found: &str) -> bool {
    let whole = found.strip_suffix(".partial").unwrap_or(found);
    let numbered = |name: &str| {
        let (before, number) = name.rsplit_once('-')?;
        number.parse::<u64>().ok().map(|_| before.to_owned())
    };
    let is_stage = |name: &str| Stage::named(name).is_some();
    numbered(whole)
        .is_some_and(|rest| is_stage(&rest) || numbered(&rest).is_some_and(|s| is_stage(&s)))
}

/// Remove a checkpoint that is no longer needed, and nothing that no checkpoint holds; that it
/// stays harms nothing.
pub(super) fn remove(all: &Path, name: &str) {
    let folder = all.join(name);
    if name.ends_with(".partial") {
        let _ = crate::files::remove(&folder);
        return;
    }
    if !std::fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()) {
        return;
    }
    for file in [WEIGHTS, MOMENTS, TASK] {
        let file = folder.join(file);
        for path in [temporary(&file), file] {
            let _ = std::fs::remove_file(path);
        }
    }
    if let Err(e) = std::fs::remove_dir(&folder) {
        log::warn!("{}: {e}", folder.display());
    }
}
