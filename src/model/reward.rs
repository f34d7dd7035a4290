//! Sequence classifiers as reward models.

use serde_json::Value;

use super::weights::Weights;
use super::{ModelError, ModelFiles};

/// The scalar head, as sequence classifiers name it.
pub(super) const SCORE: &str = "score.weight";

/// Whether a model has a scalar head of its own, so that it can score without training.
///
/// # Errors
///
/// A file is missing or damaged; the head has more than one label.
pub fn is_reward_model(files: &ModelFiles) -> Result<bool, ModelError> {
    let weights = Weights::open(files.base())?;
    check_labels(&weights, files)?;
    Ok(weights.contains(SCORE))
}

/// Refuse a head with several labels: a score is one number.
pub(super) fn check_labels(weights: &Weights, files: &ModelFiles) -> Result<(), ModelError> {
    if !weights.contains(SCORE) {
        return Ok(());
    }
    match *weights.get(SCORE)?.shape {
        [1, _] => Ok(()),
        ref shape => Err(ModelError::Config {
            path: files.path("config.json"),
            found: format!(
                "a sequence classifier with {} labels ({SCORE} is {shape:?})",
                shape.first().copied().unwrap_or(0)
            ),
            expected: "a reward model, which has one (num_labels = 1)".to_owned(),
        }),
    }
}

/// The token that is skipped where the end of a sequence is looked for, to read its score.
///
/// A model with a scalar head of its own learnt to speak at a certain place: transformers finds
/// it by `pad_token_id` of `config.json` alone, whatever the tokenizer pads with; without one, it
/// is the last token. A model that gets its head here is read as TRL trains it, by the padding
/// token of its tokenizer, which is then written into its `config.json`; so is one that is trained
/// further and names no padding token. One that the model has no row for stands in no text.
///
/// # Errors
///
/// A file is missing or damaged.
pub fn score_pad(files: &ModelFiles, tokenizer_pad: u32) -> Result<Option<u32>, ModelError> {
    if !is_reward_model(files)? {
        return Ok(Some(tokenizer_pad));
    }
    let config = files.config()?;
    let number = |key: &str| config.get(key).and_then(Value::as_u64);
    let rows = number("vocab_size").unwrap_or(u64::from(u32::MAX));
    let own = number("pad_token_id").filter(|id| *id < rows);
    Ok(own.and_then(|id| u32::try_from(id).ok()))
}
