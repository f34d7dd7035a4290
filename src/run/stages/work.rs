//! What stages leave for each other in memory, in one sitting.

use std::cell::{OnceCell, RefCell};

use super::super::error::RunError;
use super::super::session::Session;
use super::aligning::Aligning;
use super::labels::Labelled;
use super::material::Material;
use super::prepared::Prepared;

/// What stages leave for each other in memory.
#[derive(Default)]
pub(crate) struct Work {
    prepared: OnceCell<Prepared>,
    labels: OnceCell<Vec<Labelled>>,
    material: OnceCell<Material>,
    /// The policy with what it will learn; whoever needs it takes it out.
    pub(super) aligning: RefCell<Option<Aligning>>,
}

impl Work {
    /// Leave the pairs.
    pub(super) fn set_prepared(&self, prepared: Prepared) {
        let _ = self.prepared.set(prepared);
    }

    /// The pairs.
    pub(super) fn prepared(&self) -> Result<&Prepared, RunError> {
        self.prepared.get().ok_or_else(|| missing("pairs"))
    }

    /// Leave the labels.
    pub(super) fn set_labels(&self, labels: Vec<Labelled>) {
        let _ = self.labels.set(labels);
    }

    /// The labels of the unlabelled split.
    pub(super) fn labels(&self) -> Result<&[Labelled], RunError> {
        self.labels.get().map(Vec::as_slice).ok_or_else(|| missing("labels"))
    }

    /// The labelled pairs in the policy's tokens.
    pub(super) fn material(&self, session: &mut Session<'_>) -> Result<&Material, RunError> {
        if let Some(material) = self.material.get() {
            return Ok(material);
        }
        let found = Material::new(session, self.prepared()?, self.labels()?)?;
        Ok(self.material.get_or_init(|| found))
    }

    /// The policy with what it will learn.
    pub(super) fn take_aligning(&self, session: &mut Session<'_>) -> Result<Aligning, RunError> {
        match self.aligning.take() {
            Some(aligning) => Ok(aligning),
            None => {
                let material = self.material(session)?;
                Aligning::new(session, material)
            }
        }
    }
}

fn missing(what: &str) -> RunError {
    RunError::Impossible(format!("no stage has left the {what}; this is a defect of the program"))
}
