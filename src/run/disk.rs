//! What a run will take of the disk, told before it runs.

use std::path::Path;

use burn::tensor::Device;
use serde::Serialize;

use super::Recipe;
use super::error::RunError;
use super::sizes::footprint;
use super::state::KEPT;
use crate::model::Footprint;

/// Bytes of the disk: what a run takes at its peak, and what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Exports, checkpoints (two are kept while a third is written), annotations, tables of rounds.
    pub needed: u64,
    /// Free where the run folder is; `None` where the system does not tell.
    pub free: Option<u64>,
}

impl Disk {
    /// What a recipe takes in a folder, which need not exist yet.
    ///
    /// # Errors
    ///
    /// A model cannot be read.
    pub(crate) fn of(recipe: &Recipe, device: &Device, folder: &Path) -> Result<Self, RunError> {
        let (mut exports, mut references, mut checkpoints) = (0, 0, 0);
        let mut trained = |footprint: &Footprint, merge: bool, models: usize| {
            // Weights, and two moments of each.
            let checkpoint = 3 * footprint.gradients();
            checkpoints = checkpoints.max((KEPT as u64 + 1) * checkpoint);
            exports += models as u64 * footprint.gradients();
            if merge && footprint.is_adapted() {
                exports += models as u64 * footprint.whole();
            }
        };
        let (annotator, policy) = (&recipe.annotator, &recipe.policy);
        if annotator.kind.reads().learns() && annotator.training.epochs > 0.0 {
            let footprint = footprint(recipe, "annotator", device)?;
            trained(&footprint, annotator.lora.merge, annotator.ensemble);
            if annotator.kind.fine_tuning(&annotator.constants).is_some() {
                references += footprint.gradients();
            }
        }
        if policy.training.epochs > 0.0 {
            let footprint = footprint(recipe, "policy", device)?;
            trained(&footprint, policy.lora.merge, 1);
            if recipe.sft.training.epochs > 0.0 {
                references += footprint.gradients();
            }
        }
        let data = &recipe.data;
        let files = data.files.iter().chain(&data.unlabelled).chain(&data.held_out_files);
        let annotations: u64 =
            files.filter_map(|file| Some(std::fs::metadata(file).ok()?.len())).sum();
        // What a round writes is taken to be as long as what was read.
        let tables = annotations * (1 + recipe.rounds_written() as u64);
        Ok(Self { needed: exports + references + checkpoints + tables, free: free(folder) })
    }

    /// Whether it fits, where the system tells.
    pub fn fits(&self) -> Option<bool> {
        self.free.map(|free| self.needed <= free)
    }
}

/// Free bytes where a folder is or will be.
fn free(folder: &Path) -> Option<u64> {
    let whole = std::path::absolute(folder).ok()?;
    let existing = whole.ancestors().find(|place| place.is_dir())?;
    fs4::available_space(existing).ok()
}
