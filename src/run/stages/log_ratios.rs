//! An annotator whose scores are log-ratios: its model is fine-tuned, which makes the reference, and learns
//! on from there.

use std::path::PathBuf;

use super::super::error::RunError;
use super::super::export::Export;
use super::super::session::Session;
use super::super::stage::Stage;
use super::super::training::{Course, Phase};
use super::super::{AnnotatorSettings, Recipe};
use super::encode::encoder;
use super::lessons::{lessons, nothing_to_learn, order, task};
use super::load::load_to_train;
use super::log_probs::{LOG_PROBS, learn};
use super::prepared::Prepared;
use super::random::stream;
use super::reader::folder;
use super::words::{length, model};
use crate::annotate::Lessons;
use crate::batch::{Ranked, Sequence};
use crate::model::{
    Checkpoint, Decoder, Footprint, ModelFiles, Storage, collect_trained, load_named, save_tensors,
    take_tensors,
};
use crate::train::{ExecutionPlan, Sampler, SftTask, Training};

/// What fine-tuning leaves: the trained weights of the reference.
const REFERENCE: &str = "checkpoints/annotator-reference.safetensors";

/// What will be done, in a sentence.
pub(super) fn plan(settings: &AnnotatorSettings) -> String {
    let before = match fine_tuning(settings) {
        Some(training) => {
            format!("is fine-tuned on the chosen responses ({}), then ", length(&training))
        }
        None => String::new(),
    };
    format!(
        "The weak model {} {before}learns by DPO from the human labels: {}; how much likelier it then finds a response is its score.",
        model(&settings.model),
        length(&settings.training)
    )
}

/// The training on the chosen responses; `None` where the model is the reference as it is.
pub(super) fn fine_tuning(settings: &AnnotatorSettings) -> Option<Training> {
    let found = settings.kind.fine_tuning(&settings.constants)?;
    let (epochs, learning_rate) = (found.epochs, found.learning_rate);
    Some(Training { epochs, learning_rate, steps: 0, ..settings.training.clone() })
}

/// Fine-tune, ask what it is then, and learn on.
pub(super) fn train(
    session: &mut Session<'_>,
    prepared: &Prepared,
    files: &ModelFiles,
) -> Result<(), RunError> {
    let encoder = encoder(session, files)?;
    let lessons = lessons(session, prepared, files, &encoder)?;
    let pad = encoder.tokenizer.pad;
    let lessons = Lessons { pad: Some(pad), ..lessons };
    let order = order(&session.recipe, lessons.pairs.len(), 0);
    if order.total == 0 {
        return Err(nothing_to_learn());
    }
    let tuning = fine_tuning(&session.recipe.annotator);
    let tuning =
        tuning.map(|training| (tuning_order(&session.recipe, &lessons, &training), training));
    let before = tuning.as_ref().map_or(0, |(order, _)| order.total);
    let total = before + order.total;
    session.stage(Stage::ANNOTATOR, total, |session| {
        let mut checkpoint = reference(session, files)?;
        let training = session.recipe.annotator.training.clone();
        let precision = session.recipe.annotator.precision;
        let footprint = Footprint::of(&checkpoint, precision);
        // Pairs take more than responses do, so that a plan for them is one for both.
        let pairs = task(&session.recipe, lessons.clone())?;
        let plan =
            session.plan(Stage::ANNOTATOR.about(), &footprint, &*pairs, &order, &training)?;
        if let (Some((order, training)), 0) = (tuning, session.phase(Stage::ANNOTATOR)) {
            let course = Course { order, training: &training, plan };
            checkpoint.decoder = tune(session, checkpoint.decoder, &lessons, course, total)?;
        }
        // DPO begins as its reference, which drops nothing.
        let decoder = checkpoint.decoder.without_dropout();
        let known = log_probs(session, &decoder, &lessons, pad, (&order, plan))?;
        let mut task = task(&session.recipe, Lessons { reference: known, ..lessons })?;
        let number = usize::from(before > 0);
        let phase = Phase { number, before, total };
        let course = Course { order, training: &training, plan };
        let about = Stage::ANNOTATOR.about();
        checkpoint.decoder = session.train_phase(about, phase, decoder, &mut *task, course)?;
        session.measured("annotator.steps", total as f64)?;
        let (ends, merge) = (encoder.stop(), session.recipe.annotator.lora.merge);
        let export = Export { source: files, pad: Some(pad), ends, merge };
        session.export(&folder(0), &checkpoint, &export)
    })
}

/// The order in which fine-tuning takes its responses.
pub(super) fn tuning_order(recipe: &Recipe, lessons: &Lessons, training: &Training) -> Sampler {
    let (shuffle, stream) = (recipe.data.shuffle, stream::ANNOTATOR_SFT);
    Sampler::new(lessons.pairs.len(), training, shuffle, recipe.seed, stream)
}

/// Fine-tune on the chosen responses, and keep what the model is then.
pub(super) fn tune(
    session: &mut Session<'_>,
    decoder: Decoder,
    lessons: &Lessons,
    course: Course<'_>,
    total: u64,
) -> Result<Decoder, RunError> {
    let chosen = lessons.pairs.iter().map(|sides| sides.chosen.clone()).collect();
    let mut task = SftTask::new(chosen, lessons.pad.unwrap_or_default());
    let phase = Phase { number: 0, before: 0, total };
    let about = Stage::ANNOTATOR.about();
    let tuned = session.train_phase(about, phase, decoder, &mut task, course)?;
    let path = session.folder.path().join(REFERENCE);
    save_tensors(&path, &collect_trained(&tuned), Storage::F32)?;
    session.produced(REFERENCE)?;
    Ok(tuned)
}

/// The file of what fine-tuning left, where it is complete: of an earlier sitting, or of a stage that is.
fn tuned(session: &Session<'_>) -> Option<PathBuf> {
    let under_way = session.phase(Stage::ANNOTATOR) > 0;
    let path = session.folder.path().join(REFERENCE);
    under_way.then_some(path).or_else(|| session.file_of(Stage::ANNOTATOR, REFERENCE))
}

/// The annotator's model as what it becomes is compared with: as it is, or fine-tuned where that is done.
pub(super) fn reference(session: &Session<'_>, files: &ModelFiles) -> Result<Checkpoint, RunError> {
    let settings = &session.recipe.annotator;
    let (precision, lora) = (settings.precision, &settings.lora);
    let mut checkpoint = load_to_train(session, files, "annotator", precision, lora)?;
    // A sequence classifier's scalar head has no part in it.
    checkpoint.decoder.score = None;
    if let Some(path) = tuned(session) {
        checkpoint.decoder = take_tensors(checkpoint.decoder, load_named(&path)?);
    }
    Ok(checkpoint)
}

/// What the reference says of all responses, computed in the very batches of the first epoch: there the
/// model is still the reference, and batches of other shapes may differ from it in the last bits.
pub(super) fn log_probs(
    session: &mut Session<'_>,
    reference: &Decoder,
    lessons: &Lessons,
    pad: u32,
    (order, plan): (&Sampler, ExecutionPlan),
) -> Result<Vec<Ranked<f32>>, RunError> {
    let batch_size = session.recipe.annotator.training.batch_size;
    let mut cache = session.cached(reference, LOG_PROBS)?;
    for items in order.first_epoch() {
        for part in plan.parts(&items, batch_size) {
            let sides = || part.iter().map(|&i| &lessons.pairs[i]);
            let chosen = sides().map(|sides| &sides.chosen);
            let all: Vec<&Sequence> = chosen.chain(sides().map(|sides| &sides.rejected)).collect();
            learn(&mut cache, reference, &all, pad)?;
            session.poll()?;
        }
    }
    let of = |side: Sequence| cache.get(&side).unwrap_or(f32::NAN);
    let known = lessons.pairs.iter().map(|sides| sides.clone().map(of)).collect();
    session.keep_cache(cache)?;
    Ok(known)
}
