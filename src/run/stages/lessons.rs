//! What an annotator's model learns from, and in which order.

use super::super::Recipe;
use super::super::error::RunError;
use super::super::session::Session;
use super::encode::{encode, max_length};
use super::labels::by_human;
use super::prepared::Prepared;
use super::random::resample;
use super::random::stream::{self, of_member};
use crate::annotate::Lessons;
use crate::model::ModelFiles;
use crate::text::{Encoder, Fit};
use crate::train::{Sampler, Task};

/// The order in which a member takes its pairs.
pub(super) fn order(recipe: &Recipe, pairs: usize, member: usize) -> Sampler {
    let (shuffle, stream) = (recipe.data.shuffle, of_member(stream::ANNOTATOR, member));
    Sampler::new(pairs, &recipe.annotator.training, shuffle, recipe.seed, stream)
}

/// What a member learns from: all labelled pairs, or a resample where there are several members.
pub(super) fn lessons_of(recipe: &Recipe, all: &Lessons, member: usize) -> Lessons {
    if recipe.annotator.ensemble == 1 {
        return all.clone();
    }
    let drawn = resample(all.pairs.len(), recipe.seed, of_member(stream::RESAMPLE, member));
    let margins = drawn.iter().filter_map(|&i| all.margins.get(i).copied()).collect();
    let pairs = drawn.iter().map(|&i| all.pairs[i].clone()).collect();
    Lessons { pairs, margins, ..all.clone() }
}

/// What the annotator learns of pairs.
pub(super) fn task(recipe: &Recipe, lessons: Lessons) -> Result<Box<dyn Task>, RunError> {
    let (kind, settings) = (recipe.annotator.kind, &recipe.annotator.constants);
    kind.task(lessons, settings).ok_or_else(|| {
        RunError::Impossible(format!(
            "annotator.kind = \"{}\" learns nothing; set annotator.epochs = 0",
            kind.name()
        ))
    })
}

/// An annotator without a head and without pairs.
pub(super) fn nothing_to_learn() -> RunError {
    RunError::Impossible("the annotator has no labelled pairs to learn from and no score.weight of its own; raise data.labelled, or name a trained annotator".to_owned())
}

/// Labelled pairs that fit, told apart by their human labels, and as much of each label's margin as the
/// annotator wants.
pub(super) fn lessons(
    session: &mut Session<'_>,
    prepared: &Prepared,
    files: &ModelFiles,
    encoder: &Encoder,
) -> Result<Lessons, RunError> {
    let max_length = max_length(&session.recipe, files)?;
    let names = ["annotator", "labelled"];
    let encoded = encode(session, encoder, prepared, &prepared.split.labelled, names)?;
    let (mut pairs, mut indexes) = (Vec::with_capacity(encoded.len()), Vec::new());
    for pair in encoded {
        match pair.fit(Fit::Whole, max_length) {
            Some(sides) => {
                pairs.push(by_human(&prepared.pairs[pair.pair], sides));
                indexes.push(pair.pair);
            }
            None => {
                session.too_long.insert(pair.pair);
            }
        }
    }
    let margins = margins(session, prepared, &indexes)?;
    Ok(Lessons { pairs, margins, ..Lessons::default() })
}

/// As much of each label's margin as the annotator wants to learn; none where it wants nothing.
fn margins(
    session: &mut Session<'_>,
    prepared: &Prepared,
    indexes: &[usize],
) -> Result<Vec<f32>, RunError> {
    let settings = &session.recipe.annotator;
    let share = settings.kind.label_margins(&settings.constants);
    if share == 0.0 || indexes.is_empty() {
        return Ok(Vec::new());
    }
    let of = |&i: &usize| prepared.pairs[i].label.and_then(|label| label.margin);
    let missing = indexes.iter().filter(|i| of(i).is_none()).count();
    if missing == indexes.len() {
        return Err(RunError::Impossible(format!(
            "annotator.margin = {share}, but no label comes with a margin to learn; expected a column margin, ratings of both responses, or one that data.columns.margin names; or set annotator.margin = 0"
        )));
    }
    if missing > 0 {
        session.warn(format!(
            "{missing} of {} labelled pairs come without a margin: for annotator.margin theirs is 0",
            indexes.len()
        ))?;
    }
    Ok(indexes.iter().map(|i| share as f32 * of(i).unwrap_or(0.0)).collect())
}
