//! The weak teacher that fine-tuning asks: it learns from it in its first steps, or lets it choose (SALT, arXiv
//! 2410.18779).

use std::rc::Rc;

use burn::tensor::Device;

use super::super::error::RunError;
use super::super::session::Session;
use super::super::sizes::frozen_footprint;
use super::super::stage::Stage;
use super::super::{Recipe, find_model};
use super::encode::{encoder, encoder_at, length_of, max_length};
use super::estimating::Estimating;
use super::labels::for_policy;
use super::prepared::Prepared;
use super::same_tokens::{LOOKED_AT, Written, same_tokens};
use super::words::model;
use crate::model::{ModelError, ModelFiles, Teacher, is_reward_model, load_as, read_config};
use crate::train::Distillation;

/// What will be learned from it, as a sentence behind that of fine-tuning; nothing where there is none.
pub(super) fn plan(recipe: &Recipe) -> String {
    let Some(field) = recipe.teacher() else { return String::new() };
    let (steps, share) = (recipe.sft.distill_steps, recipe.sft.select_share);
    let hardest = if share < 1.0 {
        format!(
            " Of these it takes the hardest {:.3} % that {} could have guessed.",
            100.0 * share,
            model(field)
        )
    } else {
        String::new()
    };
    if steps == 0 {
        return hardest;
    }
    format!(
        "{hardest} Its first {steps} step{} learn{} also what the teacher {} finds likely next.",
        if steps == 1 { "" } else { "s" },
        if steps == 1 { "s" } else { "" },
        model(field)
    )
}

/// Refuse a teacher that cannot teach the policy, before anything is trained.
///
/// # Errors
///
/// It is no language model, reads other tokens than the policy, or knows fewer positions.
pub(super) fn check(session: &mut Session<'_>, prepared: &Prepared) -> Result<(), RunError> {
    let recipe = session.recipe.clone();
    let Some(field) = recipe.teacher().filter(|_| !session.is_done(Stage::SFT)) else {
        return Ok(());
    };
    let (policy, files) = (find_model(&recipe.policy.model)?, find_model(field)?);
    session.same_input("sft.teacher", &files.fingerprint()?)?;
    let (ours, theirs) = (encoder(session, &policy)?, encoder(session, &files)?);
    can_teach(&recipe, prepared, (&policy, &ours), (&files, &theirs))
}

/// Whether a model can teach the policy.
fn can_teach(
    recipe: &Recipe,
    prepared: &Prepared,
    policy: Written<'_>,
    teacher: Written<'_>,
) -> Result<(), RunError> {
    let (files, _) = teacher;
    let classifies = match is_reward_model(files) {
        // An estimate knows a model by its settings alone; a run looks at the weights first.
        Err(ModelError::NotAModel { .. }) => false,
        found => found?,
    };
    if classifies {
        return Err(RunError::Impossible(format!(
            "sft.teacher: {} is a sequence classifier, which finds no next token likely; name a language model with the policy's tokenizer (the one that it was made of, say), or set sft.distill_steps = 0",
            files.name()
        )));
    }
    let theirs = length_of(recipe, &read_config(files)?.1);
    let ours = max_length(recipe, policy.0)?;
    if theirs < ours {
        return Err(RunError::Impossible(format!(
            "sft.teacher: {} has learned {theirs} positions, and sequences of the policy may have {ours} tokens; set data.max_length = {theirs}, or name another teacher",
            files.name()
        )));
    }
    let looked_at: Vec<usize> = for_policy(recipe, prepared).into_iter().take(LOOKED_AT).collect();
    same_tokens(prepared, &looked_at, policy, teacher, ["sft.teacher", "a teacher"])
}

/// The field of the teacher whose next tokens are learned, where any are.
fn distils(recipe: &Recipe) -> Option<&str> {
    recipe.teacher().filter(|_| recipe.sft.distill_steps > 0)
}

/// What learning from the teacher takes, told before it is there.
pub(super) fn estimated(inputs: &Estimating<'_>) -> Result<Option<Distillation>, RunError> {
    let recipe = inputs.recipe;
    let Some(field) = distils(recipe) else { return Ok(None) };
    let files = find_model(field)?;
    let encoder = encoder_at(recipe, &files, jiff::Zoned::now())?;
    can_teach(recipe, inputs.prepared, inputs.policy()?.written(), (&files, &encoder))?;
    untaught(recipe, &files, inputs.device()).map(Some)
}

fn untaught(
    recipe: &Recipe,
    files: &ModelFiles,
    device: &Device,
) -> Result<Distillation, RunError> {
    let footprint = frozen_footprint(files, recipe.policy.precision, device)?;
    Ok(Distillation { steps: recipe.sft.distill_steps, teacher: None, footprint })
}

/// The teacher, for fine-tuning of so many steps; it is not loaded where those that it teaches are done.
pub(super) fn distillation(
    session: &mut Session<'_>,
    total: u64,
) -> Result<Option<Distillation>, RunError> {
    let recipe = session.recipe.clone();
    let Some(field) = distils(&recipe) else { return Ok(None) };
    let settings = &recipe.sft;
    if settings.distill_steps > total {
        session.warn(format!(
            "sft.distill_steps = {} is more than the {total} steps of fine-tuning: all of them learn from the teacher, and none from the data alone",
            settings.distill_steps
        ))?;
    }
    session.measured("sft.distilled_steps", settings.distill_steps.min(total) as f64)?;
    let files = find_model(field)?;
    let found = untaught(&recipe, &files, &session.device)?;
    let done = session.state.checkpoints(Stage::SFT).last().map_or(0, |last| last.step);
    if done >= settings.distill_steps {
        return Ok(Some(found));
    }
    let checkpoint = load_as(&files, &session.device, recipe.policy.precision)?;
    let teacher = Teacher {
        decoder: Rc::new(checkpoint.decoder.without_dropout()),
        temperature: settings.distill_temperature,
        weight: settings.distill_weight,
    };
    Ok(Some(Distillation { teacher: Some(teacher), ..found }))
}
