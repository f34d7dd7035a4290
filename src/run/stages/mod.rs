//! The stages of a run, one file each.

pub(super) mod annotator;
pub(super) mod confidence;
pub(super) mod data;
pub(super) mod evaluate;
pub(super) mod policy;
pub(super) mod sft;

use super::Session;
use super::session::RunError;
use crate::model::ModelFiles;

/// The files of a model field: a folder, or one that is compiled in.
pub(crate) fn model_files(field: &str) -> Result<ModelFiles, RunError> {
    if let Some(name) = field.strip_prefix("builtin:") {
        return crate::demo::model(name).ok_or_else(|| {
            RunError::Impossible(format!(
                "model “{field}” is not built in; expected builtin:weak, builtin:strong or a folder"
            ))
        });
    }
    Ok(ModelFiles::folder(field.as_ref())?)
}

/// Streams of randomness that belong to stages.
pub(crate) mod stream {
    /// Order of the annotator's pairs.
    pub(crate) const ANNOTATOR: u64 = 1;
    /// Order of the SFT responses.
    pub(crate) const SFT: u64 = 2;
    /// Order of the policy's pairs.
    pub(crate) const POLICY: u64 = 3;
    /// Initial scalar head.
    pub(crate) const HEAD: u64 = 4;
}

/// All stages in order; `Ok` when the report is complete.
pub(super) fn run_all(session: &mut Session<'_>) -> Result<(), RunError> {
    let prepared = data::run(session)?;
    let labels = match session.recipe.annotator.kind {
        super::AnnotatorKind::Human => confidence::human_labels(session, &prepared),
        super::AnnotatorKind::RewardHead => {
            annotator::run(session, &prepared)?;
            confidence::run(session, &prepared)?
        }
    };
    if labels.is_empty() {
        return session.warn("no pair is left for the policy: the unlabelled split is empty; lower data.labelled or add data.unlabelled".to_owned());
    }
    if session.recipe.policy.training.epochs <= 0.0 {
        return session.warn("policy.epochs = 0: the run ends after the annotator".to_owned());
    }
    let material = sft::Material::new(session, &prepared, &labels)?;
    sft::run(session, &material)?;
    policy::run(session, &material)?;
    evaluate::run(session, &prepared, &material)
}

pub(crate) use annotator::normal;
