//! What a model field names: a folder, an adapter's folder, a name on the hub, or a model that
//! is compiled in.

use std::path::Path;

use super::error::RunError;
use super::{Control, Event, Recipe};
use crate::hub::{self, HubName, HubSettings};
use crate::model::{ModelError, ModelFiles, base_of};

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
        return crate::builtin::model(name).ok_or_else(|| {
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
            let place = base_beside(folder, &base).unwrap_or_else(|| base.clone());
            let found = find(&place, false).map_err(|error| match error {
                // Which folder or cache lacks what, and whose fault it is.
                RunError::Model(ModelError::NotAModel { .. }) | RunError::Hub(_) => {
                    RunError::Impossible(format!(
                        "{}: base_model_name_or_path is “{base}”, and that base is not here ({error}); write the folder or the hub name of the adapter's base into the file",
                        folder.join("adapter_config.json").display()
                    ))
                }
                other => other,
            })?;
            Ok(ModelFiles::adapted(folder, found))
        }
        None => Ok(ModelFiles::folder(folder)?),
    }
}

/// Where the base of an adapter is if its name is a relative one: within the adapter's folder, or
/// beside it.
pub(super) fn base_beside(adapter: &Path, base: &str) -> Option<String> {
    if Path::new(base).is_absolute() || base.starts_with("builtin:") {
        return None;
    }
    let whole = std::path::absolute(adapter).ok()?;
    let places = [Some(whole.as_path()), whole.parent()];
    let folders = places.into_iter().flatten().map(|place| place.join(base));
    let found = folders.into_iter().find(|folder| folder.is_dir())?;
    Some(found.to_string_lossy().into_owned())
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
        if base_beside(&resolved.folder, &base).is_some() {
            return Ok(resolved.pinned().to_string());
        }
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
    let needs_annotator = recipe.annotator.kind.reads().model();
    let annotator = needs_annotator.then_some(&mut recipe.annotator.model);
    let gold = Some(&mut recipe.evaluate.gold).filter(|gold| !gold.is_empty());
    let distils = recipe.sft.distill_steps > 0;
    let teacher = Some(&mut recipe.sft.teacher).filter(|field| distils && !field.is_empty());
    let rewording = &mut recipe.annotator.constants.judging.rewording;
    let asks = recipe.annotator.kind.reads().asks() && rewording.optimise_prompt > 0;
    let paraphraser = Some(&mut rewording.paraphraser).filter(|field| asks && !field.is_empty());
    let policy = [&mut recipe.policy.model].into_iter().chain(&mut recipe.policy.references);
    let all = annotator.into_iter().chain(paraphraser).chain(teacher).chain(policy).chain(gold);
    for field in all {
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
