//! The stages of a run, one file each.

pub(super) mod annotator;
pub(super) mod check;
pub(super) mod confidence;
pub(super) mod data;
pub(super) mod encode;
pub(super) mod evaluate;
pub(super) mod gold;
pub(super) mod lengths;
pub(super) mod policy;
pub(super) mod sft;

use super::Session;
use super::error::RunError;
use super::models::base_beside;
use crate::hub::HubName;
use crate::model::{Checkpoint, LoraSettings, ModelFiles, Precision, add_adapter, load_as};

/// A model as a stage trains it: all of it in f32, or an adapter on frozen weights, which the
/// folder brings along or the settings ask for.
pub(crate) fn load_to_train(
    session: &Session<'_>,
    files: &ModelFiles,
    section: &str,
    precision: Precision,
    lora: &LoraSettings,
) -> Result<Checkpoint, RunError> {
    let mut checkpoint = load_as(files, &session.device, precision)?;
    if let Some(adapter) = &mut checkpoint.adapter {
        // A relative name means nothing in the run's folder.
        let beside = files.adapter().and_then(|folder| base_beside(folder, &adapter.base));
        if beside.is_some() || HubName::of_field(&adapter.base).is_none() {
            adapter.base = files.base().name();
        }
        return Ok(checkpoint);
    }
    let key = format!("{section}.lora");
    let hub = HubName::of_field(session.recipe.model(section));
    let base = hub.as_ref().map_or_else(|| files.name(), |hub| hub.org_and_name().to_owned());
    match lora.adapter(&key, &base)? {
        Some(mut adapter) => {
            adapter.revision = hub.and_then(|hub| hub.revision().map(str::to_owned));
            Ok(add_adapter(checkpoint, adapter, session.recipe.seed, key.as_ref())?)
        }
        None => Ok(checkpoint),
    }
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
    /// Labels of pairs that the annotator scores alike; 5 are the adapters.
    pub(crate) const TIES: u64 = 6;
}

/// All stages in order; `Ok` when the report is complete.
pub(super) fn run_all(session: &mut Session<'_>) -> Result<(), RunError> {
    let prepared = data::run(session)?;
    gold::check(session)?;
    check::run(session, &prepared)?;
    let labels = match session.recipe.annotator.kind {
        super::AnnotatorKind::Human => confidence::human_labels(session, &prepared),
        super::AnnotatorKind::File => confidence::of_files(session, &prepared)?,
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
pub use encode::written;
pub use lengths::lengths_in;
