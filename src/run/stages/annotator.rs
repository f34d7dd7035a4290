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
use super::encode::{encode, encoder, max_length};
use super::estimating::Estimating;
use super::labels::by_human;
use super::load::load_to_train;
use super::prepared::Prepared;
use super::random::stream::{self, of_member};
use super::random::{normal, resample};
use super::reader::{folder, pad, scores};
use super::words::{length, model};
use super::work::Work;
use super::{StageDefinition, Then};
use crate::annotate::Lessons;
use crate::batch::Ranked;
use crate::model::{Checkpoint, Footprint, ModelFiles, is_reward_model};
use crate::run::find_model;
use crate::text::{Encoder, Fit};
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
        !recipe.annotator.kind.reads().model()
    }

    fn plan(&self, recipe: &Recipe) -> String {
        let settings = &recipe.annotator;
        let name = model(&settings.model);
        if !settings.kind.reads().model() {
            settings.kind.about().summary.to_owned()
        } else if settings.training.epochs == 0.0 {
            format!("The reward model {name} scores responses as it is; it learns nothing here.")
        } else {
            let length = length(&settings.training);
            match settings.ensemble {
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
        let pairs = inputs.training(reader, labelled, Fit::Whole, ["annotator", "labelled"])?;
        let order = inputs.order(pairs.len(), &settings.training, stream::ANNOTATOR);
        if settings.training.epochs <= 0.0 {
            scores(&reader.files)?;
        } else if order.total == 0 && !is_reward_model(&reader.files)? {
            return Err(nothing_to_learn());
        }
        // Which response is chosen makes no difference here.
        let pairs = pairs.into_iter().map(|sides| Ranked::of(sides, false)).collect();
        let task = task(inputs.recipe, Lessons { pairs, ..Lessons::default() })?;
        let (footprint, training) = (&reader.footprint, &settings.training);
        Ok(Some(inputs.trained(Stage::ANNOTATOR, footprint, &*task, &order, training)))
    }

    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError> {
        let files = find_model(&session.recipe.annotator.model)?;
        if session.recipe.annotator.training.epochs <= 0.0 {
            // Nothing to train: the model must be able to score already.
            scores(&files)?;
            session.stage(Stage::ANNOTATOR, 0, |_| Ok(()))?;
        } else {
            train(session, work.prepared()?, &files)?;
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
    let plan = session.plan(&ABOUT, &footprint, &*task, &order, &settings.training)?;
    // No two members drop the same.
    let plan = ExecutionPlan { seed: plan.seed ^ (member as u64) << 48, ..plan };
    let course = Course { order, training: &settings.training, plan };
    checkpoint.decoder =
        session.train_phase(&ABOUT, phase, checkpoint.decoder, &mut *task, course)?;
    let merge = settings.lora.merge;
    let export = Export { source: files, pad: lessons.pad, ends: Vec::new(), merge };
    session.export(&folder(member), &checkpoint, &export)
}

/// The order in which a member takes its pairs.
fn order(recipe: &Recipe, pairs: usize, member: usize) -> Sampler {
    let (shuffle, stream) = (recipe.data.shuffle, of_member(stream::ANNOTATOR, member));
    Sampler::new(pairs, &recipe.annotator.training, shuffle, recipe.seed, stream)
}

/// What a member learns from: all labelled pairs, or a resample where there are several members.
fn lessons_of(recipe: &Recipe, all: &Lessons, member: usize) -> Lessons {
    if recipe.annotator.ensemble == 1 {
        return all.clone();
    }
    let drawn = resample(all.pairs.len(), recipe.seed, of_member(stream::RESAMPLE, member));
    let margins = drawn.iter().filter_map(|&i| all.margins.get(i).copied()).collect();
    Lessons { pairs: drawn.iter().map(|&i| all.pairs[i].clone()).collect(), margins, pad: all.pad }
}

/// What the annotator learns of pairs.
fn task(recipe: &Recipe, lessons: Lessons) -> Result<Box<dyn Task>, RunError> {
    let (kind, settings) = (recipe.annotator.kind, &recipe.annotator.constants);
    kind.task(lessons, settings).ok_or_else(|| {
        RunError::Impossible(format!(
            "annotator.kind = \"{}\" learns nothing; set annotator.epochs = 0",
            kind.name()
        ))
    })
}

/// An annotator without a head and without pairs.
fn nothing_to_learn() -> RunError {
    RunError::Impossible("the annotator has no labelled pairs to learn from and no score.weight of its own; raise data.labelled, or name a trained annotator".to_owned())
}

/// Labelled pairs that fit, told apart by their human labels, and as much of each label's margin as the
/// annotator wants.
fn lessons(
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
    Ok(Lessons { pairs, margins, pad: None })
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
