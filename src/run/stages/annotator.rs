//! Train the weak annotator on the labelled split.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use burn::tensor::{Tensor, TensorData};

use super::super::Recipe;
use super::super::error::RunError;
use super::super::export::Export;
use super::super::session::Session;
use super::super::stage::{AboutStage, Part, Shows, Stage, StageEstimate, Whose};
use super::super::training::{Course, Phase};
use super::encode::encoder;
use super::estimating::Estimating;
use super::lessons::{lessons, lessons_of, nothing_to_learn, order, task};
use super::load::load_to_train;
use super::log_ratios;
use super::prepared::Prepared;
use super::random::normal;
use super::random::stream::{self, of_member};
use super::reader::{folder, pad, scores};
use super::verdicts;
use super::words::{length, model};
use super::work::Work;
use super::{StageDefinition, Then};
use crate::annotate::{Lessons, Reads};
use crate::batch::Ranked;
use crate::model::{Checkpoint, Footprint, ModelFiles, is_reward_model};
use crate::run::find_model;
use crate::text::Fit;
use crate::train::{ExecutionPlan, Sampler, Task, Training};

pub(super) struct Annotator;

impl Stage {
    /// Train the annotator on the labelled split.
    pub const ANNOTATOR: Self = Self("annotator");
}

static PART: Part = Part {
    title: "Annotator",
    explanation: "Train a weak model on the human labels",
    shows: Shows::Curves,
};

static ABOUT: AboutStage = AboutStage {
    stage: Stage::ANNOTATOR,
    title: "Annotator",
    part: &PART,
    model: Whose::Annotator,
    computes: true,
    seed: 1,
};

/// Standard deviation of a fresh scalar head.
const HEAD_SD: f64 = 0.02;

impl StageDefinition for Annotator {
    fn about(&self) -> &'static AboutStage {
        &ABOUT
    }

    fn is_skipped(&self, recipe: &Recipe) -> bool {
        !recipe.annotator.kind.reads().learns()
    }

    fn plan(&self, recipe: &Recipe) -> String {
        let settings = &recipe.annotator;
        let name = model(&settings.model);
        if settings.kind.reads().asks() && settings.kind.reads().learns() {
            verdicts::plan(settings)
        } else if settings.kind.reads().asks() {
            format!("The model {name} is asked about each pair as it is; it learns nothing here.")
        } else if settings.kind.reads() == Reads::LogProbs {
            format!(
                "The model {name} is read as it is: how likely it finds each response scores it; it learns nothing here."
            )
        } else if !settings.kind.reads().model() {
            settings.kind.about().summary.to_owned()
        } else if settings.training.epochs == 0.0 {
            format!("The reward model {name} scores responses as it is; it learns nothing here.")
        } else {
            let length = length(&settings.training);
            match settings.ensemble {
                1 if !settings.kind.reads().head() => log_ratios::plan(settings),
                1 => format!(
                    "The weak model {name} learns to score responses from the human labels: {length}."
                ),
                members => format!(
                    "{members} copies of the weak model {name} learn to score responses, one after another, each from a resample of the human labels: {length} each."
                ),
            }
        }
    }

    fn training<'r>(&self, recipe: &'r Recipe) -> Option<(&'static str, &'r Training)> {
        Some(("annotator", &recipe.annotator.training))
    }

    fn estimate(&self, inputs: &Estimating<'_>) -> Result<Option<StageEstimate>, RunError> {
        let (reader, settings) = (inputs.annotator()?, &inputs.recipe.annotator);
        let labelled = &inputs.prepared.split.labelled;
        let pairs = if settings.kind.reads().asks() {
            verdicts::estimated(inputs, reader, labelled)?
        } else {
            inputs.training(reader, labelled, Fit::Whole, ["annotator", "labelled"])?
        };
        let order = inputs.order(pairs.len(), &settings.training, stream::ANNOTATOR);
        let head = settings.kind.reads().head();
        if settings.training.epochs <= 0.0 {
            scores(&reader.files)?;
        } else if order.total == 0 && !(head && is_reward_model(&reader.files)?) {
            return Err(nothing_to_learn());
        }
        // Which response is chosen makes no difference here.
        let pairs = pairs.into_iter().map(|sides| Ranked::of(sides, false)).collect();
        let pad = Some(reader.encoder.tokenizer.pad);
        let task = task(inputs.recipe, Lessons { pairs, pad, ..Lessons::default() })?;
        let (footprint, training) = (&reader.footprint, &settings.training);
        Ok(Some(inputs.trained(Stage::ANNOTATOR, footprint, &*task, &order, training)))
    }

    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError> {
        let files = find_model(&session.recipe.annotator.model)?;
        if session.recipe.annotator.training.epochs <= 0.0 {
            // Nothing to train: the model must be able to score already.
            scores(&files)?;
            session.stage(Stage::ANNOTATOR, 0, |_| Ok(()))?;
        } else if session.recipe.annotator.kind.reads().asks() {
            verdicts::train(session, work.prepared()?, &files)?;
        } else if session.recipe.annotator.kind.reads().head() {
            train(session, work.prepared()?, &files)?;
        } else {
            log_ratios::train(session, work.prepared()?, &files)?;
        }
        Ok(Then::Next)
    }
}

/// Each member of the annotator learns, one after the other.
fn train(
    session: &mut Session<'_>,
    prepared: &Prepared,
    files: &ModelFiles,
) -> Result<(), RunError> {
    let members = session.recipe.annotator.ensemble;
    let encoder = encoder(session, files)?;
    let lessons = lessons(session, prepared, files, &encoder)?;
    let steps = order(&session.recipe, lessons.pairs.len(), 0).total;
    let pad = pad(files, &encoder, steps)?;
    let lessons = Lessons { pad, ..lessons };
    let total = members as u64 * steps;
    session.stage(Stage::ANNOTATOR, total, |session| {
        for number in session.phase(Stage::ANNOTATOR)..members {
            let phase = Phase { number, before: number as u64 * steps, total };
            train_member(session, files, &lessons, phase)?;
            // The next one has the device to itself.
            session.device.memory_cleanup();
        }
        session.measured("annotator.steps", total as f64)
    })
}

/// A member learns, and its model is written.
fn train_member(
    session: &mut Session<'_>,
    files: &ModelFiles,
    lessons: &Lessons,
    phase: Phase,
) -> Result<(), RunError> {
    let settings = session.recipe.annotator.clone();
    let member = phase.number;
    let order = order(&session.recipe, lessons.pairs.len(), member);
    let mut checkpoint =
        load_to_train(session, files, "annotator", settings.precision, &settings.lora)?;
    if checkpoint.decoder.score.is_none() {
        if order.total == 0 {
            return Err(nothing_to_learn());
        }
        checkpoint = with_fresh_head(checkpoint, session, member);
    }
    let mut task = task(&session.recipe, lessons_of(&session.recipe, lessons, member))?;
    let footprint = Footprint::of(&checkpoint, settings.precision);
    let plan = plan(session, &footprint, lessons)?;
    // No two members drop the same.
    let plan = ExecutionPlan { seed: plan.seed ^ (member as u64) << 48, ..plan };
    let course = Course { order, training: &settings.training, plan };
    checkpoint.decoder =
        session.train_phase(&ABOUT, phase, checkpoint.decoder, &mut *task, course)?;
    let merge = settings.lora.merge;
    let export = Export { source: files, pad: lessons.pad, ends: Vec::new(), merge };
    session.export(&folder(member), &checkpoint, &export)
}

/// How members are computed, all in the same way: as the one that takes the most of memory can be.
fn plan(
    session: &mut Session<'_>,
    footprint: &Footprint,
    lessons: &Lessons,
) -> Result<ExecutionPlan, RunError> {
    let recipe = session.recipe.clone();
    let training = &recipe.annotator.training;
    let mut most: Option<(u64, Box<dyn Task>, Sampler)> = None;
    for member in 0..recipe.annotator.ensemble {
        let task = task(&recipe, lessons_of(&recipe, lessons, member))?;
        let order = order(&recipe, lessons.pairs.len(), member);
        let needs = ExecutionPlan::default().needs(footprint, &*task, &order, training).total();
        if most.as_ref().is_none_or(|(known, ..)| *known < needs) {
            most = Some((needs, task, order));
        }
    }
    match most {
        Some((_, task, order)) => session.plan(&ABOUT, footprint, &*task, &order, training),
        None => Err(nothing_to_learn()),
    }
}

/// What is worth knowing of several members before a run begins.
pub(super) fn told(recipe: &Recipe) -> Option<String> {
    let members = recipe.annotator.ensemble;
    (members > 1).then(|| {
        format!(
            "the annotator's {members} members are trained, and asked, one after another: {members} times the time of one, and the memory of one"
        )
    })
}

fn with_fresh_head(checkpoint: Checkpoint, session: &Session<'_>, member: usize) -> Checkpoint {
    let width = checkpoint.decoder.config().embedding;
    let mut rng = ChaCha8Rng::seed_from_u64(session.recipe.seed);
    rng.set_stream(of_member(stream::HEAD, member));
    let weights: Vec<f32> = (0..width).map(|_| (HEAD_SD * normal(&mut rng)) as f32).collect();
    let weight = Tensor::from_data(TensorData::new(weights, [width, 1]), &session.device);
    Checkpoint { decoder: checkpoint.decoder.with_score(weight), ..checkpoint }
}
