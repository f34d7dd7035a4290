//! Measure the policy on the held-out split, and on the gold reward where one is known.

use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::Stage;
use super::confidence::mean;
use super::data::Prepared;
use super::encode::encode;
use super::gold;
use super::policy::needs_reference;
use super::sft::{Material, aligned, reference};
use crate::annotate::all_log_probs;
use crate::batch::{Ranked, Sequence};
use crate::model::Footprint;
use crate::preference::ResponseLogProb;
use crate::run::stages::annotator::by_human;
use crate::text::Fit;

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
            Some(sides) if known => pairs.push(by_human(&prepared.pairs[pair.pair], sides)),
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

/// Compare policy and reference on the held-out pairs; one model is there at a time, which is
/// what the estimate of memory counts on.
fn held_out(
    session: &mut Session<'_>,
    material: &Material,
    pairs: &[Ranked<Sequence>],
) -> Result<(), RunError> {
    let sequences: Vec<&Sequence> = pairs.iter().flat_map(Ranked::each).collect();
    let wanted = 2 * session.recipe.policy.training.batch_size;
    let total = 2 * pairs.len() as u64;
    let pad = material.encoder.tokenizer.pad;
    let mut log_probs: [Vec<f32>; 2] = Default::default();
    for (i, found) in log_probs.iter_mut().enumerate() {
        if i == 0 && !needs_reference(session) {
            *found = vec![0.0; sequences.len()];
            continue;
        }
        let model = if i == 0 { reference(session, material)? } else { aligned(session)? };
        let footprint = Footprint::of(&model, session.recipe.policy.precision);
        let batch_size =
            session.scoring_batch(Stage::Evaluate, &footprint, false, &sequences, wanted)?;
        let base = (i * pairs.len()) as u64;
        let progress = &mut |done| session.progress(Stage::Evaluate, base + done as u64 / 2, total);
        *found = all_log_probs(&model.decoder, &sequences, pad, batch_size, progress)?;
    }
    let preference = session.recipe.policy.preference();
    let reward = |i: usize| {
        preference.reward(&ResponseLogProb {
            policy: f64::from(log_probs[1][i]),
            reference: f64::from(log_probs[0][i]),
            tokens: sequences[i].response.len() as f64,
        })
    };
    let margins: Vec<f64> = (0..pairs.len()).map(|i| reward(2 * i) - reward(2 * i + 1)).collect();
    session.measured("policy.rewards_margin", mean(margins.iter().copied()))?;
    let right = mean(margins.iter().map(|m| f64::from(u8::from(*m > 0.0))));
    session.measured("policy.rewards_accuracy", right)
}
