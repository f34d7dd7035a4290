//! What a model field names: a folder, an adapter's folder, a name on the hub, or a model that
//! is compiled in.

use std::path::Path;

use super::error::RunError;
use super::{Control, Event, Recipe};
use crate::hub::{self, HubName, HubSettings};
use crate::model::{ModelFiles, base_of};

/// The files of a model field; nothing is fetched.
///
/// # Errors
///
/// Nothing of that name is here; see [`crate::model::ModelError`] and [`hub::HubError`].
pub fn find_model(field: &str) -> Result<ModelFiles, RunError> {
    find(field, true)
}

fn find(field: &str, adapters: bool) -> Result<ModelFiles, RunError> {
    if let Some(name) = field.strip_prefix("builtin:") {
        return crate::demo::model(name).ok_or_else(|| {
            RunError::Impossible(format!(
                "model “{field}” is not built in; expected builtin:weak, builtin:strong, a folder or a name on the hub"
            ))
        });
    }
    let resolved = match HubName::of_field(field) {
        Some(name) => Some(hub::find(&name, &HubSettings::from_env())?.folder),
        None => None,
    };
    let folder = resolved.as_deref().unwrap_or(Path::new(field));
    match base_of(folder)? {
        Some(base) if !adapters => Err(RunError::Impossible(format!(
            "{field} is the base of an adapter, but is itself an adapter of {base}; expected a whole model (merge it with PEFT's merge_and_unload, or use policy.lora.merge = true)"
        ))),
        Some(base) => {
            // A relative name may be a folder beside the adapter.
            let beside = folder.join(&base);
            let base = if beside.is_dir() { beside.to_string_lossy().into_owned() } else { base };
            Ok(ModelFiles::adapted(folder, find(&base, false)?))
        }
        None => Ok(ModelFiles::folder(folder)?),
    }
}

/// Fetch a model field from the hub if it is a name that the cache lacks; `false` from `tell`
/// ends it. Returns the field with its revision pinned.
///
/// # Errors
///
/// The hub's; without `download`, a name that the cache lacks is one.
pub fn fetch_model(
    field: &str,
    download: bool,
    tell: &mut dyn FnMut(hub::Progress<'_>) -> bool,
) -> Result<String, RunError> {
    let Some(name) = HubName::of_field(field) else { return Ok(field.to_owned()) };
    let settings = HubSettings::from_env();
    let resolved = match hub::cached(&name, &settings) {
        Some(resolved) => resolved,
        None if download => hub::download(&name, &settings, tell)?,
        None => hub::find(&name, &settings)?,
    };
    // An adapter is of no use without its base.
    if let Some(base) = base_of(&resolved.folder)? {
        fetch_model(&base, download, tell)?;
    }
    Ok(resolved.pinned().to_string())
}

/// Pin the hub names of a recipe to the commits that are used, fetching what is missing if the
/// user said so.
pub(super) fn pin_models(
    recipe: &mut Recipe,
    download: bool,
    control: &Control,
    listener: &mut dyn FnMut(Event),
) -> Result<(), RunError> {
    let needs_annotator = recipe.annotator.kind == super::AnnotatorKind::RewardHead;
    let annotator = needs_annotator.then_some(&mut recipe.annotator.model);
    let gold = Some(&mut recipe.evaluate.gold).filter(|gold| !gold.is_empty());
    for field in annotator.into_iter().chain([&mut recipe.policy.model]).chain(gold) {
        let model = field.clone();
        *field = fetch_model(&model, download, &mut |progress| {
            listener(Event::Fetching {
                model: model.clone(),
                file: progress.file.to_owned(),
                done: progress.all_done_bytes,
                total: progress.all_total_bytes,
            });
            !control.is_stopped()
        })?;
    }
    Ok(())
}
