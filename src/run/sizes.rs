//! What the models of a recipe take, by their settings alone.

use burn::tensor::Device;

use super::Recipe;
use super::error::RunError;
use super::models::find_model;
use crate::model::{
    Adapter, DecoderConfig, Family, Footprint, LoraSettings, ModelError, ModelFiles, Precision,
    read_adapter, read_config, survey,
};

/// What the model of a section, `annotator` or `policy`, takes, by its settings.
pub(super) fn footprint(
    recipe: &Recipe,
    section: &str,
    device: &Device,
) -> Result<Footprint, RunError> {
    let scored = section == "annotator" && recipe.annotator.kind.reads().head();
    let (precision, lora) = recipe.storage(section);
    let files = find_model(recipe.model(section))?;
    let adapter = adapter_of(&files, lora, section)?;
    footprint_of(&files, adapter.as_ref(), precision, scored, device)
}

/// The adapter that is trained: the one in the model's folder, else the one of the settings.
pub(super) fn adapter_of(
    files: &ModelFiles,
    lora: &LoraSettings,
    section: &str,
) -> Result<Option<Adapter>, RunError> {
    match files.adapter() {
        Some(folder) => Ok(Some(read_adapter(folder)?)),
        None => Ok(lora.adapter(&format!("{section}.lora"), &files.name())?),
    }
}

/// The shape of a model, which its settings alone tell, too.
pub(super) fn shape_of(files: &ModelFiles) -> Result<(&'static Family, DecoderConfig), ModelError> {
    match survey(files) {
        Ok(found) => Ok((found.family, found.config)),
        Err(ModelError::NotAModel { .. }) => {
            read_config(files).map(|(family, config, _)| (family, config))
        }
        Err(error) => Err(error),
    }
}

/// What a frozen model takes that is asked and never trained.
pub(super) fn frozen_footprint(
    files: &ModelFiles,
    precision: Precision,
    device: &Device,
) -> Result<Footprint, RunError> {
    let adapter = files.adapter().map(read_adapter).transpose()?;
    footprint_of(files, adapter.as_ref(), precision, false, device)
}

pub(super) fn footprint_of(
    files: &ModelFiles,
    adapter: Option<&Adapter>,
    precision: Precision,
    scored: bool,
    device: &Device,
) -> Result<Footprint, RunError> {
    let (family, config) = shape_of(files)?;
    Ok(Footprint::new(&config, family, adapter, scored, precision, device))
}
