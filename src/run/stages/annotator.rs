//! Train the weak annotator on the labelled split.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use burn::tensor::{Tensor, TensorData};

use super::super::Recipe;
use super::super::error::RunError;
use super::super::export::Export;
use super::super::session::Session;
use super::super::stage::{AboutStage, Part, Shows, Stage, StageEstimate, Whose};
use super::encode::{encode, encoder, max_length};
use super::estimating::Estimating;
use super::labels::by_human;
use super::load::load_to_train;
use super::prepared::Prepared;
use super::random::{normal, stream};
use super::reader::{pad, scores};
use super::words::{length, model};
use super::work::Work;
use super::{StageDefinition, Then};
use crate::batch::{Ranked, Sequence};
use crate::model::{Checkpoint, Footprint, ModelFiles, is_reward_model};
use crate::run::find_model;
use crate::text::{Encoder, Fit};
use crate::train::{Sampler, Task, Training};

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
            format!(
                "The weak model {name} learns to score responses from the human labels: {}.",
                length(&settings.training)
            )
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
        let task = task(inputs.recipe, pairs, None)?;
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

fn train(
    session: &mut Session<'_>,
    prepared: &Prepared,
    files: &ModelFiles,
) -> Result<(), RunError> {
    let settings = session.recipe.annotator.clone();
    let encoder = encoder(session, files)?;
    let max_length = max_length(&session.recipe, files)?;
    let pairs = labelled_pairs(session, prepared, &encoder, max_length)?;
    let order = Sampler::new(
        pairs.len(),
        &settings.training,
        session.recipe.data.shuffle,
        session.recipe.seed,
        stream::ANNOTATOR,
    );
    let total = order.total;
    let pad = pad(files, &encoder, total)?;
    session.stage(Stage::ANNOTATOR, total, |session| {
        let mut checkpoint =
            load_to_train(session, files, "annotator", settings.precision, &settings.lora)?;
        if checkpoint.decoder.score.is_none() {
            if total == 0 {
                return Err(nothing_to_learn());
            }
            checkpoint = with_fresh_head(checkpoint, session);
        }
        let mut task = task(&session.recipe, pairs, pad)?;
        let footprint = Footprint::of(&checkpoint, settings.precision);
        let plan = session.plan(&ABOUT, &footprint, &*task, &order, &settings.training)?;
        checkpoint.decoder = session.train(
            &ABOUT,
            checkpoint.decoder,
            &mut *task,
            order,
            &settings.training,
            plan,
        )?;
        session.measured("annotator.steps", total as f64)?;
        let merge = settings.lora.merge;
        let export = Export { source: files, pad, ends: Vec::new(), merge };
        session.export("annotator", &checkpoint, &export)
    })
}

/// What the annotator learns of pairs.
fn task(
    recipe: &Recipe,
    pairs: Vec<Ranked<Sequence>>,
    pad: Option<u32>,
) -> Result<Box<dyn Task>, RunError> {
    let kind = recipe.annotator.kind;
    kind.task(pairs, pad).ok_or_else(|| {
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

/// Labelled pairs that fit, told apart by their human labels.
fn labelled_pairs(
    session: &mut Session<'_>,
    prepared: &Prepared,
    encoder: &Encoder,
    max_length: usize,
) -> Result<Vec<Ranked<Sequence>>, RunError> {
    let names = ["annotator", "labelled"];
    let encoded = encode(session, encoder, prepared, &prepared.split.labelled, names)?;
    let mut pairs = Vec::with_capacity(encoded.len());
    for pair in encoded {
        match pair.fit(Fit::Whole, max_length) {
            Some(sides) => pairs.push(by_human(&prepared.pairs[pair.pair], sides)),
            None => {
                session.too_long.insert(pair.pair);
            }
        }
    }
    Ok(pairs)
}

fn with_fresh_head(checkpoint: Checkpoint, session: &Session<'_>) -> Checkpoint {
    let width = checkpoint.decoder.config().embedding;
    let mut rng = ChaCha8Rng::seed_from_u64(session.recipe.seed);
    rng.set_stream(stream::HEAD);
    let weights: Vec<f32> = (0..width).map(|_| (HEAD_SD * normal(&mut rng)) as f32).collect();
    let weight = Tensor::from_data(TensorData::new(weights, [width, 1]), &session.device);
    Checkpoint { decoder: checkpoint.decoder.with_score(weight), ..checkpoint }
}
