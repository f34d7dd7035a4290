//! What a run tells of its models before its first stage, told without one.

use std::collections::BTreeMap;

use super::super::error::RunError;
use super::super::{Recipe, find_model};
use super::encode::encoder_at;
use super::prepared::{Prepared, prepare};
use super::{annotator, check, lengths, rounds};
use crate::model::{ModelError, ModelFiles};
use crate::text::{Encoder, Lengths};

/// What a run would tell of its models before its first stage: what the limit on lengths loses for
/// each, and warnings.
pub(crate) fn preview(
    recipe: &Recipe,
    prepared: &Prepared,
) -> Result<(BTreeMap<String, Lengths>, Vec<String>), RunError> {
    let (mut lengths, mut warnings) = (BTreeMap::new(), Vec::new());
    warnings.extend(annotator::told(recipe));
    warnings.extend(rounds::warning(recipe));
    for_readers(recipe, |who, files, encoder| {
        warnings.extend(
            encoder.tell_controls(&prepared.pairs).map(|told| format!("for the {who}, {told}")),
        );
        match check::warnings(recipe, who, files, encoder) {
            Ok(found) => warnings.extend(found),
            // Told by its settings alone.
            Err(RunError::Model(error @ ModelError::NotAModel { .. })) => {
                warnings.push(format!("a run would not begin: {error}"));
            }
            Err(error) => return Err(error),
        }
        let found = lengths::lengths(recipe, prepared, who, files, encoder)?;
        found.iter().try_for_each(|found| lengths::allowed(recipe, who, found))?;
        lengths.extend(found.map(|found| (who.to_owned(), found)));
        Ok(())
    })?;
    Ok((lengths, warnings))
}

/// Look at each model that reads in a run of a recipe.
fn for_readers(
    recipe: &Recipe,
    mut look: impl FnMut(&str, &ModelFiles, &Encoder) -> Result<(), RunError>,
) -> Result<(), RunError> {
    check::readers(recipe).into_iter().try_for_each(|(who, field)| {
        let files = find_model(&field)?;
        look(who, &files, &encoder_at(recipe, &files, jiff::Zoned::now())?)
    })
}

/// What the limit on lengths loses for each model, `annotator` and `policy`, of a recipe that an
/// estimate may refuse for it.
///
/// # Errors
///
/// Data or models cannot be read.
pub fn lengths_of(recipe: &Recipe) -> Result<BTreeMap<String, Lengths>, RunError> {
    let (prepared, _) = prepare(recipe)?;
    let mut all = BTreeMap::new();
    for_readers(recipe, |who, files, encoder| {
        let found = lengths::lengths(recipe, &prepared, who, files, encoder)?;
        all.extend(found.map(|found| (who.to_owned(), found)));
        Ok(())
    })?;
    Ok(all)
}
