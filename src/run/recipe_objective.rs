//! Whether what a recipe says of the objective has a meaning.

use super::Recipe;
use super::recipe::PolicySettings;
use crate::preference::{Admits, Divergence, Objective};
use crate::registry::Choice;

/// The key of the first setting that has none, and what is wrong with it.
type Refusal = (String, String);

/// Refuse what has no meaning.
///
/// # Errors
///
/// The first setting that has none, and what would have one.
pub(super) fn check(recipe: &Recipe) -> Result<(), Refusal> {
    let policy = &recipe.policy;
    loss_weights(policy)?;
    modifiers(policy)?;
    references(policy)?;
    let needs = policy.objective.needs();
    if policy.odpo_alpha > 0.0 && !recipe.annotator.kind.reads().confidence() {
        return Err(refusal(
            "odpo_alpha",
            &format!(
                "= {} offsets each pair by its margin, but annotator.kind = \"{}\" gives none; set it to 0, or take another annotator",
                policy.odpo_alpha,
                recipe.annotator.kind.name()
            ),
        ));
    }
    let training = &policy.training;
    let per_step = training.batch_size.max(1) * training.accumulate.max(1);
    if needs.mismatched && per_step < 2 {
        return Err(refusal(
            "batch_size",
            "= 1 with kto: how far the policy has moved is measured on responses of other pairs of the step; take two pairs a step or more",
        ));
    }
    Ok(())
}

fn refusal(name: &str, words: &str) -> Refusal {
    let key = format!("policy.{name}");
    let found = format!("{key} {words}");
    (key, found)
}

fn loss_weights(policy: &PolicySettings) -> Result<(), Refusal> {
    let (weights, losses) = (&policy.loss_weights, policy.objective.parts().len());
    if !weights.is_empty() && weights.len() != losses {
        return Err(refusal(
            "loss_weights",
            &format!(
                "has {} numbers for {losses} objectives ({}); write one for each, or none",
                weights.len(),
                policy.objective.name()
            ),
        ));
    }
    match weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
        Some(weight) => {
            Err(refusal("loss_weights", &format!("holds {weight}; expected numbers from 0")))
        }
        None => Ok(()),
    }
}

/// A setting that changes an objective: its name, whether it is on, whether an objective admits it, and why
/// others do not.
type Modifier = (&'static str, bool, fn(&Admits) -> bool, &'static str);

fn modifiers(policy: &PolicySettings) -> Result<(), Refusal> {
    let all: [Modifier; 6] = [
        (
            "f_divergence_type",
            policy.f_divergence_type != Divergence::ReverseKl,
            |admits| admits.divergence,
            "is not built on the difference of two log-ratios, in which what a divergence leaves open cancels",
        ),
        (
            "odpo_alpha",
            policy.odpo_alpha > 0.0,
            |admits| admits.offset,
            "has no logit that the margin of a pair could offset",
        ),
        ("ld_alpha", policy.ld_alpha < 1.0, |admits| admits.tails, "counts tokens in another way"),
        (
            "use_weighting",
            policy.use_weighting,
            |admits| admits.weighting,
            "has no loss of each pair by itself that it could weigh",
        ),
        (
            "ref_model_sync_steps",
            policy.ref_model_sync_steps > 0,
            |admits| admits.other_references,
            "has no reference that could move so",
        ),
        (
            "references",
            !policy.references.is_empty(),
            |admits| admits.other_references,
            "has no reference that could be made of several",
        ),
    ];
    for (name, _, admitted, why) in all.into_iter().filter(|(_, on, ..)| *on) {
        if let Some(part) = policy.objective.refusing(admitted) {
            let admit = Choice::<dyn Objective>::all().filter(|o| admitted(&o.admits()));
            let admit = admit.map(|o| o.name()).collect::<Vec<_>>().join(", ");
            return Err(refusal(
                name,
                &format!(
                    "has no meaning for the objective {}, which {why}; leave it out, or take one of {admit}",
                    part.name()
                ),
            ));
        }
    }
    Ok(())
}

fn references(policy: &PolicySettings) -> Result<(), Refusal> {
    if policy.objective.needs().references && policy.references.is_empty() {
        return Err(refusal(
            "references",
            "is empty, and mrpo compares with more references than the policy's start; name one or more models with the same tokenizer, or take the objective dpo",
        ));
    }
    let others = policy.ref_model_sync_steps > 0 || !policy.references.is_empty();
    if policy.preference().extrapolation() > 0.0 && others {
        return Err(refusal(
            "spa_lambda",
            "leads the policy away from its start, which is its reference; with policy.ref_model_sync_steps or policy.references that is another; set policy.spa_lambda = 0, or leave them out",
        ));
    }
    if policy.ref_model_sync_steps == 0 {
        return Ok(());
    }
    if !policy.references.is_empty() {
        return Err(refusal(
            "ref_model_sync_steps",
            "moves the reference, and policy.references makes one of several that stay; set one of the two",
        ));
    }
    if policy.objective.needs().mismatched {
        return Err(refusal("ref_model_sync_steps", "has no meaning with kto; set it to 0"));
    }
    if policy.lora.rank > 0 {
        return Err(refusal(
            "ref_model_sync_steps",
            "mixes weights, but policy.lora.rank trains an adapter, whose factors cannot be mixed (their product would have to be); set policy.lora.rank = 0, or leave the reference where it is",
        ));
    }
    Ok(())
}
