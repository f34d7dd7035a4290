//! Train the weak annotator on the labelled split.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use burn::tensor::{Tensor, TensorData};

use super::super::event::Stage;
use super::super::session::{RunError, Session};
use super::data::Prepared;
use super::encode::{encode, encoder};
use super::{load_to_train, stream};
use crate::data::Pair;
use crate::model::Checkpoint;
use crate::run::find_model;
use crate::text::{Encoder, Fit, Sequence};
use crate::train::{BradleyTerryTask, Order};

/// Standard deviation of a fresh scalar head.
const HEAD_SD: f64 = 0.02;

pub(crate) fn run(session: &mut Session<'_>, prepared: &Prepared) -> Result<(), RunError> {
    let settings = session.recipe.annotator.clone();
    let files = find_model(&settings.model)?;
    let encoder = encoder(session, &files)?;
    let pairs = labelled_pairs(session, prepared, &encoder)?;
    let pad = encoder.tokenizer.pad;
    let order = Order::new(
        pairs.len(),
        &settings.training,
        session.recipe.data.shuffle,
        session.recipe.seed,
        stream::ANNOTATOR,
    );
    let total = order.total;
    session.stage(Stage::Annotator, total, |session| {
        let mut checkpoint =
            load_to_train(session, &files, "annotator", settings.precision, &settings.lora)?;
        if checkpoint.decoder.score.is_none() {
            if total == 0 {
                return Err(RunError::Impossible("the annotator has no labelled pairs to learn from and no score.weight of its own; raise data.labelled, or name a trained annotator".to_owned()));
            }
            checkpoint = with_fresh_head(checkpoint, session);
        }
        let mut task = BradleyTerryTask::new(pairs, pad);
        checkpoint.decoder = session.train(Stage::Annotator, checkpoint.decoder, &mut task, order, &settings.training)?;
        session.state.report.annotator.steps = total;
        session.export("annotator", &checkpoint, &files, Some(pad), settings.lora.merge)
    })
}

/// Labelled pairs that fit, the preferred response first.
fn labelled_pairs(
    session: &mut Session<'_>,
    prepared: &Prepared,
    encoder: &Encoder,
) -> Result<Vec<[Sequence; 2]>, RunError> {
    let names = ["annotator", "labelled"];
    let encoded = encode(session, encoder, prepared, &prepared.split.labelled, names)?;
    let mut pairs = Vec::with_capacity(encoded.len());
    for pair in encoded {
        match pair.fit(Fit::Whole, session.recipe.data.max_length) {
            Some(sides) => pairs.push(preferred_first(&prepared.pairs[pair.pair], sides)),
            None => {
                session.too_long.insert(pair.pair);
            }
        }
    }
    Ok(pairs)
}

/// Chosen, rejected by the human label.
pub(crate) fn preferred_first<T>(pair: &Pair, sides: [T; 2]) -> [T; 2] {
    let [first, second] = sides;
    match pair.label.map_or(0, |label| label.preferred.index()) {
        0 => [first, second],
        _ => [second, first],
    }
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
