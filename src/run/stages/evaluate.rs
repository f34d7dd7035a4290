//! Measure the policy on the held-out split, and on the gold reward where one is known.

use super::super::error::RunError;
use super::super::event::Stage;
use super::super::session::Session;
use super::confidence::mean;
use super::data::Prepared;
use super::encode::encode;
use super::gold;
use super::policy::preference;
use super::sft::{Material, reference};
use crate::annotate::all_log_probs;
use crate::model::{Checkpoint, Footprint, load_as};
use crate::run::find_model;
use crate::run::stages::annotator::preferred_first;
use crate::text::{Fit, Sequence};

pub(crate) fn run(
    session: &mut Session<'_>,
    prepared: &Prepared,
    material: &Material,
) -> Result<(), RunError> {
    let mut pairs = Vec::new();
    let held_out_split = &prepared.split.held_out;
    let names = ["policy", "held-out"];
    for pair in encode(session, &material.encoder, prepared, held_out_split, names)? {
        let known = prepared.pairs[pair.pair].label.is_some();
        match pair.fit(Fit::Start, material.max_length) {
            Some(sides) if known => pairs.push(preferred_first(&prepared.pairs[pair.pair], sides)),
            Some(_) => {}
            None => {
                session.too_long.insert(pair.pair);
            }
        }
    }
    let total = 2 * pairs.len() as u64;
    session.stage(Stage::Evaluate, total, |session| {
        held_out(session, material, &pairs)?;
        gold::run(session, prepared, material)
    })
}

/// The aligned policy, as it was written.
pub(crate) fn aligned(session: &Session<'_>) -> Result<Checkpoint, RunError> {
    let folder = session.folder.path().join("policy");
    let precision = session.recipe.policy.precision;
    Ok(load_as(&find_model(&folder.to_string_lossy())?, &session.device, precision)?)
}

/// Compare policy and reference on the held-out pairs; one model is there at a time, which is
/// what the estimate of memory counts on.
fn held_out(
    session: &mut Session<'_>,
    material: &Material,
    pairs: &[[Sequence; 2]],
) -> Result<(), RunError> {
    let sequences: Vec<&Sequence> = pairs.iter().flatten().collect();
    let wanted = 2 * session.recipe.policy.training.batch_size;
    let total = 2 * pairs.len() as u64;
    let pad = material.encoder.tokenizer.pad;
    let mut log_probs = Vec::new();
    for i in 0..2 {
        let model = if i == 0 { reference(session, material)? } else { aligned(session)? };
        let footprint = Footprint::of(&model, session.recipe.policy.precision);
        let batch_size =
            session.scoring_batch(Stage::Evaluate, &footprint, false, &sequences, wanted)?;
        let base = (i * pairs.len()) as u64;
        let progress = &mut |done| session.progress(Stage::Evaluate, base + done as u64 / 2, total);
        log_probs.push(all_log_probs(&model.decoder, &sequences, pad, batch_size, progress)?);
    }
    let beta = preference(session).beta;
    let reward = |i: usize| beta * (f64::from(log_probs[1][i]) - f64::from(log_probs[0][i]));
    let margins: Vec<f64> = (0..pairs.len()).map(|i| reward(2 * i) - reward(2 * i + 1)).collect();
    let report = &mut session.state.now.report.policy;
    report.rewards_margin = mean(margins.iter().copied());
    report.rewards_accuracy = mean(margins.iter().map(|m| f64::from(u8::from(*m > 0.0))));
    Ok(())
}
