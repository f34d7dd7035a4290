//! Align the policy with the labels, each weighted by its confidence.

use super::super::Recipe;
use super::super::error::RunError;
use super::super::export::Export;
use super::super::session::Session;
use super::super::stage::{AboutStage, Part, Shows, Stage, StageEstimate, Whose};
use super::aligning::unweighted;
use super::encode::max_length;
use super::estimating::Estimating;
use super::random::stream;
use super::words::{length, model};
use super::work::Work;
use super::{StageDefinition, Then};
use super::{round_needs, rounds, sampling};
use crate::batch::{Ranked, Sequence};
use crate::model::MemoryEstimate;
use crate::train::{PreferenceTask, Training, WeightedMean};

pub(super) struct Policy;

impl Stage {
    /// Preference optimisation.
    pub const POLICY: Self = Self("policy");
}

/// Everything between the labels and the aligned policy.
pub(super) static ALIGN: Part = Part {
    title: "Align",
    explanation: "Fine-tune the policy, then optimise it on the weighted pairs",
    shows: Shows::Curves,
};

static ABOUT: AboutStage = AboutStage {
    stage: Stage::POLICY,
    title: "Policy",
    part: &ALIGN,
    model: Whose::Policy,
    computes: true,
    seed: 5,
};

/// Whether no policy is aligned in runs of a recipe.
pub(super) fn idle(recipe: &Recipe) -> bool {
    recipe.policy.training.epochs <= 0.0
}

impl StageDefinition for Policy {
    fn about(&self) -> &'static AboutStage {
        &ABOUT
    }

    fn is_skipped(&self, recipe: &Recipe) -> bool {
        idle(recipe)
    }

    fn plan(&self, recipe: &Recipe) -> String {
        let settings = &recipe.policy;
        let who = if Stage::SFT.is_skipped(recipe) {
            format!("The stronger model {}", model(&settings.model))
        } else {
            "It then".to_owned()
        };
        format!(
            "{who} learns from the weighted pairs with {}, β = {}: {}.{}",
            settings.objective.title(),
            settings.beta,
            length(&settings.training),
            rounds::plan(recipe)
        )
    }

    fn training<'r>(&self, recipe: &'r Recipe) -> Option<(&'static str, &'r Training)> {
        Some(("policy", &recipe.policy.training))
    }

    fn estimate(&self, inputs: &Estimating<'_>) -> Result<Option<StageEstimate>, RunError> {
        let (policy, settings) = (inputs.policy()?, &inputs.recipe.policy);
        let order = inputs.order(policy.pairs.len(), &settings.training, stream::POLICY);
        // Which response is chosen makes no difference here.
        let sides: Vec<_> =
            policy.pairs.iter().map(|sides| Ranked::of(sides.clone(), false)).collect();
        let mismatched = settings.objective.needs().mismatched;
        let longest = max_length(inputs.recipe, policy.files())?;
        let trained = |sides: Vec<Ranked<Sequence>>| {
            let mut task = PreferenceTask::new(
                unweighted(sides, mismatched.then_some(longest)),
                policy.pad(),
                settings.preference(),
                WeightedMean::Pairs,
                None,
            );
            if settings.ref_model_sync_steps > 0 {
                task = task.about_to_move_its_reference();
            }
            let (footprint, training) = (policy.footprint(), &settings.training);
            inputs.trained(Stage::POLICY, footprint, &task, &order, training)
        };
        let labelled = trained(sides.clone());
        if inputs.recipe.rounds_written() == 0 {
            return Ok(Some(labelled));
        }
        let written = trained(sampling::longest(inputs.recipe, &sides, longest));
        let rounds = round_needs::most(inputs, &sides, longest)?;
        let most = [labelled, written].into_iter().max_by_key(|found| found.needs.total());
        Ok(most.map(|most| StageEstimate { needs: larger(most.needs, rounds), ..most }))
    }

    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError> {
        if session.is_done(Stage::POLICY) {
            return Ok(Then::Next);
        }
        let settings = session.recipe.policy.clone();
        let material = work.material(session)?;
        let aligning = work.take_aligning(session)?;
        let total = rounds::total(session, work, &aligning)?;
        session.stage(Stage::POLICY, total, |session| {
            let (checkpoint, total) = rounds::align(session, work, aligning)?;
            session.measured("policy.steps", total as f64)?;
            let export = Export {
                source: &material.files,
                pad: Some(material.encoder.tokenizer.pad),
                ends: material.encoder.stop(),
                merge: settings.lora.merge,
            };
            session.export("policy", &checkpoint, &export)
        })?;
        Ok(Then::Next)
    }
}

fn larger(one: MemoryEstimate, other: MemoryEstimate) -> MemoryEstimate {
    if other.total() > one.total() { other } else { one }
}
