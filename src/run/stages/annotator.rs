//! Train the weak annotator on the labelled split.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use burn::tensor::{Tensor, TensorData};

use super::super::error::RunError;
use super::super::export::Export;
use super::super::session::Session;
use super::super::stage::Stage;
use super::data::Prepared;
use super::encode::{encode, encoder, max_length};
use super::{load_to_train, stream};
use crate::batch::{Ranked, Sequence};
use crate::data::{Pair, Side};
use crate::model::{Checkpoint, Footprint, ModelFiles, is_reward_model, score_pad};
use crate::run::find_model;
use crate::text::{Encoder, Fit};
use crate::train::{BradleyTerryTask, Order};

/// Standard deviation of a fresh scalar head.
const HEAD_SD: f64 = 0.02;

pub(crate) fn run(session: &mut Session<'_>, prepared: &Prepared) -> Result<(), RunError> {
    let settings = session.recipe.annotator.clone();
    let files = find_model(&settings.model)?;
    if settings.training.epochs <= 0.0 {
        return as_it_is(session, &files);
    }
    let encoder = encoder(session, &files)?;
    let max_length = max_length(&session.recipe, &files)?;
    let pairs = labelled_pairs(session, prepared, &encoder, max_length)?;
    let order = Order::new(
        pairs.len(),
        &settings.training,
        session.recipe.data.shuffle,
        session.recipe.seed,
        stream::ANNOTATOR,
    );
    let total = order.total;
    let pad = pad(&files, &encoder, total)?;
    session.stage(Stage::Annotator, total, |session| {
        let mut checkpoint =
            load_to_train(session, &files, "annotator", settings.precision, &settings.lora)?;
        if checkpoint.decoder.score.is_none() {
            if total == 0 {
                return Err(nothing_to_learn());
            }
            checkpoint = with_fresh_head(checkpoint, session);
        }
        let mut task = BradleyTerryTask::new(pairs, pad);
        let footprint = Footprint::of(&checkpoint, settings.precision);
        let plan = session.plan(Stage::Annotator, &footprint, &task, &order, &settings.training)?;
        checkpoint.decoder = session.train(
            Stage::Annotator,
            checkpoint.decoder,
            &mut task,
            order,
            &settings.training,
            plan,
        )?;
        session.measured("annotator.steps", total as f64)?;
        let merge = settings.lora.merge;
        let export = Export { source: &files, pad, ends: Vec::new(), merge };
        session.export("annotator", &checkpoint, &export)
    })
}

/// An annotator without a head and without pairs.
pub(crate) fn nothing_to_learn() -> RunError {
    RunError::Impossible("the annotator has no labelled pairs to learn from and no score.weight of its own; raise data.labelled, or name a trained annotator".to_owned())
}

/// What is skipped where the annotator's score is read, after so many steps of training: a model
/// that names nothing of the kind learns, as in TRL, to skip what its tokenizer pads with.
pub(crate) fn pad(
    files: &ModelFiles,
    encoder: &Encoder,
    steps: u64,
) -> Result<Option<u32>, RunError> {
    let own = score_pad(files, encoder.tokenizer.pad)?;
    Ok(own.or((steps > 0).then_some(encoder.tokenizer.pad)))
}

/// The files that the annotator is read from: those that were trained, or the model as it is.
pub(crate) fn trained_files(session: &Session<'_>) -> Result<ModelFiles, RunError> {
    if session.recipe.annotator.training.epochs <= 0.0 {
        return find_model(&session.recipe.annotator.model);
    }
    find_model(&session.folder.path().join("annotator").to_string_lossy())
}

/// Nothing to train: the model must be able to score already.
fn as_it_is(session: &mut Session<'_>, files: &ModelFiles) -> Result<(), RunError> {
    scores(files)?;
    session.stage(Stage::Annotator, 0, |_| Ok(()))
}

/// Whether a model can score without having learnt it here.
///
/// # Errors
///
/// It cannot.
pub(crate) fn scores(files: &ModelFiles) -> Result<(), RunError> {
    if is_reward_model(files)? || files.adapter().is_some() {
        return Ok(());
    }
    Err(RunError::Impossible(format!(
        "annotator.epochs = 0, but {} is no reward model: it has no score.weight; name a sequence classifier with one label, or let it learn (annotator.epochs = 5, say)",
        files.name()
    )))
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

/// Told apart by the human label; a pair without one as if the first were preferred.
pub(crate) fn by_human<T>(pair: &Pair, sides: [T; 2]) -> Ranked<T> {
    Ranked::of(sides, pair.label.is_some_and(|label| label.preferred == Side::Second))
}

fn with_fresh_head(checkpoint: Checkpoint, session: &Session<'_>) -> Checkpoint {
    let width = checkpoint.decoder.config().embedding;
    let mut rng = ChaCha8Rng::seed_from_u64(session.recipe.seed);
    rng.set_stream(stream::HEAD);
    let weights: Vec<f32> = (0..width).map(|_| (HEAD_SD * normal(&mut rng)) as f32).collect();
    let weight = Tensor::from_data(TensorData::new(weights, [width, 1]), &session.device);
    Checkpoint { decoder: checkpoint.decoder.with_score(weight), ..checkpoint }
}

/// A standard normal number (Box–Muller).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let u: f64 = 1.0 - rng.random::<f64>();
    let v: f64 = rng.random();
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
