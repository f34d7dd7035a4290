//! Models as stages train them.

use super::super::error::RunError;
use super::super::models::base_beside;
use super::super::session::Session;
use crate::hub::HubName;
use crate::model::{Checkpoint, LoraSettings, ModelFiles, Precision, add_adapter, load_as};

/// A model as a stage trains it: all of it in f32, or an adapter on frozen weights, which the
/// folder brings along or the settings ask for.
pub(super) fn load_to_train(
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
