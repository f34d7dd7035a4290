//! The annotator as it is read, once it has learned.

use super::super::error::RunError;
use super::super::session::Session;
use crate::model::{ModelFiles, is_reward_model, score_pad};
use crate::run::find_model;
use crate::text::Encoder;

/// What is skipped where the annotator's score is read, after so many steps of training: a model
/// that names nothing of the kind learns, as in TRL, to skip what its tokenizer pads with.
pub(super) fn pad(
    files: &ModelFiles,
    encoder: &Encoder,
    steps: u64,
) -> Result<Option<u32>, RunError> {
    let own = score_pad(files, encoder.tokenizer.pad)?;
    Ok(own.or((steps > 0).then_some(encoder.tokenizer.pad)))
}

/// The folder of a member of the annotator in a run's folder, counted from 0.
pub(super) fn folder(member: usize) -> String {
    match member {
        0 => "annotator".to_owned(),
        later => format!("annotator-{}", later + 1),
    }
}

/// The files that a member of the annotator is read from: those that were trained, or the model as it is.
pub(super) fn trained_files(session: &Session<'_>, member: usize) -> Result<ModelFiles, RunError> {
    let settings = &session.recipe.annotator;
    if !settings.kind.reads().learns() || settings.training.epochs <= 0.0 {
        return find_model(&settings.model);
    }
    find_model(&session.folder.path().join(folder(member)).to_string_lossy())
}

/// Whether a model can score without having learnt it here.
///
/// # Errors
///
/// It cannot.
pub(super) fn scores(files: &ModelFiles) -> Result<(), RunError> {
    if is_reward_model(files)? || files.adapter().is_some() {
        return Ok(());
    }
    Err(RunError::Impossible(format!(
        "annotator.epochs = 0, but {} is no reward model: it has no score.weight; name a sequence classifier with one label, or let it learn (annotator.epochs = 5, say)",
        files.name()
    )))
}
