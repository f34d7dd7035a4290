//! Measure the policy on the held-out split, and on the gold reward where one is known.

use super::super::event::Stage;
use super::super::session::{RunError, Session};
use super::confidence::mean;
use super::data::Prepared;
use super::encode::encode;
use super::policy::preference;
use super::sft::{Material, reference};
use crate::annotate::all_log_probs;
use crate::evaluate::{GoldReport, gold_report, sample};
use crate::model::{Decoder, Sampling, load_as};
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
        match pair.fit(Fit::Start, session.recipe.data.max_length) {
            Some(sides) if known => pairs.push(preferred_first(&prepared.pairs[pair.pair], sides)),
            Some(_) => {}
            None => {
                session.too_long.insert(pair.pair);
            }
        }
    }
    let built_in = session.recipe.data.files.iter().any(|f| f.starts_with("builtin:"));
    let gold = built_in && session.recipe.evaluate.samples > 0;
    let total = 2 * pairs.len() as u64;
    session.stage(Stage::Evaluate, total, |session| {
        let folder = session.folder.path().join("policy");
        let precision = session.recipe.policy.precision;
        let policy = load_as(&find_model(&folder.to_string_lossy())?, &session.device, precision)?;
        let before = reference(session, material)?;
        held_out(session, material, &pairs, [&before.decoder, &policy.decoder])?;
        if gold {
            let report = gold_samples(session, material, &before.decoder, &policy.decoder)?;
            session.state.report.gold = Some(report);
        }
        Ok(())
    })
}

fn held_out(
    session: &mut Session<'_>,
    material: &Material,
    pairs: &[[Sequence; 2]],
    models: [&Decoder; 2],
) -> Result<(), RunError> {
    let sequences: Vec<&Sequence> = pairs.iter().flatten().collect();
    let batch_size = 2 * session.recipe.policy.training.batch_size;
    let total = 2 * pairs.len() as u64;
    let mut log_probs = Vec::new();
    for (i, model) in models.into_iter().enumerate() {
        let base = (i * pairs.len()) as u64;
        let values = all_log_probs(
            model,
            &sequences,
            material.encoder.tokenizer.pad,
            batch_size,
            &mut |done| session.progress(Stage::Evaluate, base + done as u64 / 2, total),
        )?;
        log_probs.push(values);
    }
    let beta = preference(session).beta;
    let reward = |i: usize| beta * (f64::from(log_probs[1][i]) - f64::from(log_probs[0][i]));
    let margins: Vec<f64> = (0..pairs.len()).map(|i| reward(2 * i) - reward(2 * i + 1)).collect();
    let report = &mut session.state.report.policy;
    report.rewards_margin = mean(margins.iter().copied());
    report.rewards_accuracy = mean(margins.iter().map(|m| f64::from(u8::from(*m > 0.0))));
    Ok(())
}

fn gold_samples(
    session: &mut Session<'_>,
    material: &Material,
    before: &Decoder,
    policy: &Decoder,
) -> Result<GoldReport, RunError> {
    let base = load_as(&material.files, &session.device, session.recipe.policy.precision)?;
    let settings = &session.recipe.evaluate;
    let sampling = Sampling {
        max_new_tokens: settings.max_new_tokens,
        temperature: settings.temperature,
        seed: session.recipe.seed,
        ..Sampling::default()
    };
    let prompts = crate::demo::held_out_prompts(settings.samples, session.recipe.seed);
    let tokenizer = &material.encoder.tokenizer;
    let ids = prompts.iter().map(|p| tokenizer.encode(p)).collect::<Result<Vec<_>, _>>()?;
    let stop = material.encoder.stop();
    let models = [&base.decoder, before, policy];
    let mut samples = Vec::new();
    for model in models {
        let breathe = &mut || session.breathe();
        samples.push(sample(model, tokenizer, &stop, &ids, &sampling, breathe)?);
    }
    Ok(gold_report(&prompts, &samples, &crate::demo::gold_reward))
}
