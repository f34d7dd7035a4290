//! Look at every model before anything is computed: what is wrong with one shall not be found hours
//! later.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::super::error::RunError;
use super::super::session::Session;
use super::super::{Disk, Recipe};
use super::encode::length_of;
use super::lengths::{lengths, tell};
use super::prepared::Prepared;
use super::question;
use super::reference::reference_name;
use super::teaching;
use crate::files::hex;
use crate::model::{DecoderConfig, ModelError, ModelFiles, Position, survey};
use crate::run::find_model;
use crate::text::{Encoder, encode_pairs};

/// The models that a recipe reads with: who, and the field that names it.
pub(crate) fn readers(recipe: &Recipe) -> Vec<(&'static str, String)> {
    let annotates = recipe.annotator.kind.reads().model();
    let trains = recipe.policy.training.epochs > 0.0;
    [
        ("annotator", &recipe.annotator.model, annotates),
        ("policy", &recipe.policy.model, trains),
        ("gold", &recipe.evaluate.gold, trains && !recipe.evaluate.gold.is_empty()),
    ]
    .into_iter()
    .filter(|(.., reads)| *reads)
    .map(|(who, field, _)| (who, field.clone()))
    .collect()
}

/// Refuse models that cannot read the pairs, and tell what is worth knowing of the others.
pub(crate) fn run(session: &mut Session<'_>, prepared: &Prepared) -> Result<(), RunError> {
    room(session)?;
    let template = session.recipe.data.chat_template.clone();
    if !template.is_empty() {
        let path = PathBuf::from(&template);
        let bytes = crate::input::read(&path, crate::input::RECIPE);
        let bytes = bytes.map_err(|source| ModelError::Io { path, source })?;
        session.same_input("data.chat_template", &hex(&Sha256::digest(bytes)))?;
    }
    for (who, field) in readers(&session.recipe) {
        let files = find_model(&field)?;
        let section =
            if who == "gold" { "evaluate.gold".to_owned() } else { format!("{who}.model") };
        session.same_input(&section, &files.fingerprint()?)?;
        let encoder = super::encode::encoder(session, &files)?;
        for warning in warnings(&session.recipe, who, &files, &encoder)? {
            session.warn(warning)?;
        }
        if let Some(told) = encoder.tell_controls(&prepared.pairs) {
            session.warn(format!("for the {who}, {told}"))?;
        }
        if !encoder.tokenizer.beyond().is_empty() {
            // Only pairs that hold such a token are in its way.
            let all: Vec<usize> = (0..prepared.pairs.len()).collect();
            encode_pairs(&encoder, &prepared.pairs, &all)?;
        }
        if let Some(found) = lengths(&session.recipe, prepared, who, &files, &encoder)? {
            tell(session, who, &found)?;
        }
    }
    question::check(session)?;
    if session.recipe.policy.training.epochs > 0.0 {
        for (i, field) in session.recipe.policy.references.clone().iter().enumerate() {
            session.same_input(&reference_name(i), &find_model(field)?.fingerprint()?)?;
        }
        teaching::check(session, prepared)?;
    }
    Ok(())
}

/// Tell where the disk has too little room for what the run writes.
fn room(session: &mut Session<'_>) -> Result<(), RunError> {
    let folder = session.folder.path().to_owned();
    let disk = Disk::of(&session.recipe, &session.device, &folder)?;
    let Some(free) = disk.free.filter(|_| disk.fits() == Some(false)) else { return Ok(()) };
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    session.warn(format!(
        "the run will take up to {:.1} GiB of the disk, and {} has {:.1} GiB free: it may fail; free some, or train adapters (policy.lora.rank)",
        gib(disk.needed),
        folder.display(),
        gib(free)
    ))
}

/// What is worth knowing of a model that reads in a run of this recipe.
pub(crate) fn warnings(
    recipe: &Recipe,
    who: &str,
    files: &ModelFiles,
    encoder: &Encoder,
) -> Result<Vec<String>, RunError> {
    let found = survey(files)?;
    let mut warnings = found.warnings;
    if let [(id, text), rest @ ..] = encoder.tokenizer.beyond() {
        warnings.push(format!(
            "the {who}'s tokenizer has {} tokens that the model has no row for (“{text}”, id {id}, is the first; vocab_size is {}): they cannot stand in a text",
            1 + rest.len(),
            found.config.vocabulary
        ));
    }
    warnings.extend(positions(recipe, who, &found.config));
    warnings.extend(toy(recipe, who, files));
    Ok(warnings)
}

/// The demonstration's models on other data give numbers that look like results.
fn toy(recipe: &Recipe, who: &str, files: &ModelFiles) -> Option<String> {
    let (model, built_in) = (files.name(), |name: &String| name.starts_with("builtin:"));
    let is_toy = who != "gold" && built_in(&model);
    (is_toy && !recipe.data.files.iter().all(built_in)).then(|| {
        format!("{model} is a toy that knows the demonstration's small world alone: on these data its numbers say nothing; name another model ({who}.model)")
    })
}

/// Whether `data.max_length` goes beyond what the model knows of positions.
fn positions(recipe: &Recipe, who: &str, config: &DecoderConfig) -> Option<String> {
    let (wanted, known) = (recipe.data.max_length, config.positions);
    if wanted <= known {
        return None;
    }
    Some(match config.position {
        Position::Learned { .. } => format!(
            "the {who} has learned {known} positions and no more: its sequences are held to {} tokens, not to data.max_length = {wanted}",
            length_of(recipe, config)
        ),
        Position::Rotary { .. } => format!(
            "data.max_length = {wanted} is more than the {known} positions that the {who} was trained on (max_position_embeddings): what is longer, it has never seen"
        ),
    })
}
