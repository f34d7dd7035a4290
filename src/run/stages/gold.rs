//! Sample the base model, the SFT model and the policy, and let a gold reward judge: the true one
//! of the built-in world, or a reward model that had no part in the run.

use super::super::error::RunError;
use super::super::session::Session;
use super::encode::{encoder, told};
use super::labels::{by_human, mean};
use super::material::{Material, aligned, reference};
use super::prepared::Prepared;
use super::sampling::{different_prompts, with_room};
use crate::annotate::score_sequences;
use crate::batch::Sequence;
use crate::data::Prompt;
use crate::evaluate::{GoldReport, gold_report, sample};
use crate::model::{
    Checkpoint, ModelFiles, Sampling, is_reward_model, load_as, read_config, score_pad,
};
use crate::run::{Recipe, find_model};
use crate::text::{Encoder, TextError};

/// Sequences that the gold model scores at once.
const BATCH: usize = 8;

/// What the samples answer.
struct Asked {
    prompts: Vec<Prompt>,
    /// The pair that each prompt comes from; none in the built-in world.
    pairs: Vec<usize>,
    /// The prompts in the policy's tokens.
    ids: Vec<Vec<u32>>,
}

/// Refuse a gold model that cannot score, before hours are spent on what it shall judge.
pub(crate) fn check(session: &mut Session<'_>) -> Result<(), RunError> {
    match check_of(&session.recipe)? {
        Some(files) => encoder(session, &files).map(drop),
        None => Ok(()),
    }
}

/// The files of the gold model that a recipe names, if it can score.
pub(crate) fn check_of(recipe: &Recipe) -> Result<Option<ModelFiles>, RunError> {
    let name = &recipe.evaluate.gold;
    if name.is_empty() {
        return Ok(None);
    }
    let files = find_model(name)?;
    if !is_reward_model(&files)? {
        return Err(RunError::Impossible(format!(
            "evaluate.gold = \"{name}\" is no reward model: it has no score.weight; name a sequence classifier with one label, or \"\" for none"
        )));
    }
    read_config(&files)?;
    Ok(Some(files))
}

/// Sample base model, SFT model and policy, and report what the gold reward says.
pub(crate) fn run(
    session: &mut Session<'_>,
    prepared: &Prepared,
    material: &Material,
) -> Result<(), RunError> {
    let settings = session.recipe.evaluate.clone();
    let built_in = session.recipe.data.files.iter().any(|f| f.starts_with("builtin:"));
    let nobody = settings.gold.is_empty() && !built_in;
    if settings.samples == 0 || nobody {
        return Ok(());
    }
    let asked = if settings.gold.is_empty() {
        asked_in_the_world(session, material)?
    } else {
        asked_of_held_out(session, prepared, material)?
    };
    if asked.prompts.is_empty() {
        return session.warn("no held-out prompt is short enough to sample a response to; raise data.max_length or data.held_out".to_owned());
    }
    let samples = samples(session, material, &asked.ids)?;
    let report = if settings.gold.is_empty() {
        by_the_world(&asked, &samples)
    } else {
        by_a_model(session, prepared, &asked, samples)?
    };
    session.tabulated("gold", &report)
}

fn asked_in_the_world(session: &Session<'_>, material: &Material) -> Result<Asked, RunError> {
    let samples = session.recipe.evaluate.samples;
    let texts = crate::builtin::held_out_prompts(samples, session.recipe.seed);
    let prompts: Vec<Prompt> = texts.into_iter().map(Prompt::Text).collect();
    let encode = |p: &Prompt| material.encoder.encode(&material.encoder.prompt(p)?);
    let ids = prompts.iter().map(encode).collect::<Result<_, TextError>>()?;
    Ok(Asked { prompts, pairs: Vec::new(), ids })
}

/// Different held-out prompts, taken evenly from the whole split.
fn asked_of_held_out(
    session: &Session<'_>,
    prepared: &Prepared,
    material: &Material,
) -> Result<Asked, RunError> {
    let fresh = different_prompts(prepared, prepared.split.held_out.iter().copied());
    let wanted = session.recipe.evaluate.samples.min(fresh.len());
    let limit = read_config(&material.files)?.1.positions.min(session.recipe.data.max_length);
    let mut asked = Asked { prompts: Vec::new(), pairs: Vec::new(), ids: Vec::new() };
    for k in 0..wanted {
        let pair = fresh[k * fresh.len() / wanted];
        let prompt = &prepared.pairs[pair].prompt;
        if let Some(ids) = with_room(material, prompt, limit)? {
            asked.prompts.push(prompt.clone());
            asked.pairs.push(pair);
            asked.ids.push(ids);
        }
    }
    Ok(asked)
}

/// Responses of [base, SFT, policy] to every prompt; one model is there at a time, and none is
/// left afterwards.
fn samples(
    session: &mut Session<'_>,
    material: &Material,
    ids: &[Vec<u32>],
) -> Result<[Vec<String>; 3], RunError> {
    let settings = session.recipe.evaluate.clone();
    let precision = session.recipe.policy.precision;
    let sampling = Sampling {
        max_new_tokens: settings.max_new_tokens,
        temperature: settings.temperature,
        seed: session.recipe.seed,
        ..Sampling::default()
    };
    let stop = material.encoder.stop();
    let tokenizer = &material.encoder.tokenizer;
    let of = |session: &mut Session<'_>, model: Checkpoint| {
        sample(&model.decoder, tokenizer, &stop, ids, &sampling, &mut || session.poll())
    };
    let base = load_as(&material.files, &session.device, precision)?;
    let base = of(session, base)?;
    let before = reference(session, material)?;
    let before = of(session, before)?;
    let policy = aligned(session)?;
    Ok([base, before, of(session, policy)?])
}

fn by_the_world(asked: &Asked, samples: &[Vec<String>; 3]) -> GoldReport {
    let prompts: Vec<String> = asked.prompts.iter().map(crate::text::prompt_text).collect();
    let reward = |(p, t): (&String, &String)| crate::builtin::gold_reward(p, t);
    let rewards = samples.each_ref().map(|texts| prompts.iter().zip(texts).map(reward).collect());
    gold_report(&prompts, samples, &rewards)
}

/// One prompt's sequences for the gold model: three samples and, where a human judged, the
/// preferred and the other response of its pair.
struct Judged {
    asked: usize,
    sequences: Vec<Sequence>,
}

fn by_a_model(
    session: &mut Session<'_>,
    prepared: &Prepared,
    asked: &Asked,
    samples: [Vec<String>; 3],
) -> Result<GoldReport, RunError> {
    let name = session.recipe.evaluate.gold.clone();
    let files = find_model(&name)?;
    let encoder = encoder(session, &files)?;
    let first = &prepared.pairs[asked.pairs[0]];
    told(session, &encoder, first, "gold")?;
    let judged = judged(session, prepared, asked, &samples, (&files, &encoder))?;
    let gold = load_as(&files, &session.device, session.recipe.evaluate.gold_precision)?;
    let pad = score_pad(&files, encoder.tokenizer.pad)?;
    let all: Vec<&Sequence> = judged.iter().flat_map(|j| &j.sequences).collect();
    let scores = score_sequences(&gold.decoder, &all, pad, BATCH, &mut |_| session.poll())?;

    let mut rewards = [Vec::new(), Vec::new(), Vec::new()];
    let mut right = Vec::new();
    let mut rest = scores.as_slice();
    for one in &judged {
        let (own, after) = rest.split_at(one.sequences.len());
        rest = after;
        rewards.iter_mut().zip(own).for_each(|(list, score)| list.push(f64::from(*score)));
        if let [chosen, rejected] = own[3..] {
            right.push(f64::from(u8::from(chosen > rejected)));
        }
    }
    let kept = |texts: Vec<String>| judged.iter().map(|j| texts[j.asked].clone()).collect();
    let prompts: Vec<String> = judged.iter().map(|j| asked.prompts[j.asked].display()).collect();
    let report = gold_report(&prompts, &samples.map(kept), &rewards);
    Ok(GoldReport { model: name, accuracy: mean(right.into_iter()), ..report })
}

fn judged(
    session: &mut Session<'_>,
    prepared: &Prepared,
    asked: &Asked,
    samples: &[Vec<String>; 3],
    (files, encoder): (&ModelFiles, &Encoder),
) -> Result<Vec<Judged>, RunError> {
    let positions = read_config(files)?.1.positions;
    let (mut judged, mut left_out, mut why) = (Vec::new(), 0, String::new());
    for (i, prompt) in asked.prompts.iter().enumerate() {
        let pair = &prepared.pairs[asked.pairs[i]];
        let human = pair.label.map(|_| by_human(pair, pair.responses.each_ref()).into_array());
        let sampled = samples.iter().map(|texts| &texts[i]);
        let responses = sampled.chain(human.into_iter().flatten());
        let sequences: Result<Vec<Sequence>, TextError> =
            responses.map(|response| encoder.sequence(prompt, response)).collect();
        match sequences {
            Ok(sequences) if sequences.iter().all(|s| !s.is_empty() && s.len() <= positions) => {
                judged.push(Judged { asked: i, sequences });
            }
            Ok(_) => {
                left_out += 1;
                why = format!("a text is longer than its {positions} positions");
            }
            Err(
                error @ (TextError::Refused { .. }
                | TextError::Template { .. }
                | TextError::Beyond { .. }),
            ) => {
                left_out += 1;
                why = error.to_string();
            }
            Err(error) => return Err(error.into()),
        }
    }
    if judged.is_empty() {
        return Err(RunError::Impossible(format!(
            "the gold model can judge none of the {} sampled prompts: {why}",
            asked.prompts.len()
        )));
    }
    if left_out > 0 {
        session.warn(format!("the gold model cannot judge {left_out} of {} sampled prompts, which are left out: {why}", asked.prompts.len()))?;
    }
    Ok(judged)
}
