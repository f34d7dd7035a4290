//! Fine-tune the policy on the chosen responses; the result is also the reference.

use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::{AboutStage, Stage, StageEstimate, Whose};
use super::super::{Recipe, SftPairs};
use super::estimating::Estimating;
use super::material::{Material, REFERENCE, reference};
use super::policy::{ALIGN, idle};
use super::random::stream;
use super::selecting;
use super::teaching::{self, distillation, estimated};
use super::words::{length, model};
use super::work::Work;
use super::{StageDefinition, Then};
use crate::model::{Footprint, Storage, collect_trained, save_tensors};
use crate::preference::{Judged, Weighting};
use crate::train::{Sampler, SftTask, Training};

pub(super) struct Sft;

impl Stage {
    /// Fine-tune the policy on the chosen responses.
    pub const SFT: Self = Self("sft");
}

static ABOUT: AboutStage = AboutStage {
    stage: Stage::SFT,
    title: "Fine-tuning",
    part: &ALIGN,
    model: Whose::Reference,
    computes: true,
    seed: 3,
};

impl StageDefinition for Sft {
    fn about(&self) -> &'static AboutStage {
        &ABOUT
    }

    fn is_skipped(&self, recipe: &Recipe) -> bool {
        let training = &recipe.sft.training;
        idle(recipe) || (training.epochs == 0.0 && training.steps == 0)
    }

    fn plan(&self, recipe: &Recipe) -> String {
        if self.is_skipped(recipe) {
            return String::new();
        }
        let (name, length) = (model(&recipe.policy.model), length(&recipe.sft.training));
        let which = match recipe.sft.pairs {
            SftPairs::All => "",
            SftPairs::Kept => " of pairs with a weight above 0",
        };
        format!(
            "The stronger model {name} is first fine-tuned on the chosen responses{which}: {length}.{}",
            teaching::plan(recipe)
        )
    }

    fn training<'r>(&self, recipe: &'r Recipe) -> Option<(&'static str, &'r Training)> {
        Some(("sft", &recipe.sft.training))
    }

    fn estimate(&self, inputs: &Estimating<'_>) -> Result<Option<StageEstimate>, RunError> {
        let policy = inputs.policy()?;
        // Which response is chosen, and of which pairs, is not known yet: the longer ones of all are the most it
        // can take.
        let longer = policy.pairs.iter().map(|[a, b]| if a.len() < b.len() { b } else { a });
        let mut task = SftTask::new(longer.cloned().collect(), policy.pad());
        if let Some(distillation) = estimated(inputs)? {
            task = task.with_distillation(distillation);
        }
        let training = &inputs.recipe.sft.training;
        let order = inputs.order(policy.pairs.len(), training, stream::SFT);
        let trained = inputs.trained(Stage::SFT, policy.footprint(), &task, &order, training);
        Ok(Some(selecting::larger(inputs, trained)?))
    }

    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError> {
        let material = work.material(session)?;
        let training = session.recipe.sft.training.clone();
        let (shuffle, seed) = (session.recipe.data.shuffle, session.recipe.seed);
        if session.is_done(Stage::SFT) || self.is_skipped(&session.recipe) {
            return Ok(Then::Next);
        }
        let kept = learned(session, material)?;
        let left = kept.len();
        let pairs = selecting::selected(session, material, kept)?;
        let order = Sampler::new(pairs.len(), &training, shuffle, seed, stream::SFT);
        if order.total == 0 {
            return Ok(Then::Next);
        }
        session.stage(Stage::SFT, order.total, |session| {
            tell(session, left, material.pairs.len())?;
            let checkpoint = reference(session, material)?;
            let chosen = |pair: &usize| material.pairs[*pair].0.chosen.clone();
            let sequences = pairs.iter().map(chosen).collect();
            let mut task = SftTask::new(sequences, material.encoder.tokenizer.pad);
            if let Some(distillation) = distillation(session, order.total)? {
                task = task.with_distillation(distillation);
            }
            let footprint = Footprint::of(&checkpoint, session.recipe.policy.precision);
            let plan = session.plan(&ABOUT, &footprint, &task, &order, &training)?;
            let decoder = checkpoint.decoder;
            let tuned = session.train(&ABOUT, decoder, &mut task, order, &training, plan)?;
            let path = session.folder.path().join(REFERENCE);
            save_tensors(&path, &collect_trained(&tuned), Storage::F32)?;
            session.produced(REFERENCE)
        })?;
        Ok(Then::Next)
    }
}

/// The pairs whose chosen responses are learned, as indexes of the material's.
fn learned(session: &mut Session<'_>, material: &Material) -> Result<Vec<usize>, RunError> {
    let all = 0..material.pairs.len();
    if session.recipe.sft.pairs == SftPairs::All {
        return Ok(all.collect());
    }
    let threshold = threshold(session)?;
    let weights = weights(&session.recipe, threshold, material);
    let kept: Vec<usize> = all.filter(|&pair| weights[pair] > 0.0).collect();
    if kept.is_empty() {
        return Err(RunError::Impossible(format!(
            "sft.pairs = \"kept\": none of {} pairs has a weight above 0 with confidence.threshold = {threshold}; lower the threshold, or set sft.pairs = \"all\"",
            weights.len()
        )));
    }
    Ok(kept)
}

/// The threshold that was in force when fine-tuning began: one that moves later changes nothing, in this sitting
/// and in the next.
fn threshold(session: &mut Session<'_>) -> Result<f64, RunError> {
    let begun = session
        .state
        .under_way
        .as_ref()
        .filter(|begun| begun.stage == Stage::SFT && !begun.checkpoints.is_empty());
    if let Some(begun) = begun {
        return Ok(begun.began.threshold);
    }
    session.move_threshold()?;
    Ok(session.threshold.get())
}

/// The weight of each pair under a threshold.
fn weights(recipe: &Recipe, threshold: f64, material: &Material) -> Vec<f64> {
    let given = material.pairs.iter().map(|(_, label)| label.weight);
    if !recipe.annotator.kind.reads().confidence() {
        return given.collect();
    }
    let weighting = Weighting { threshold, ..recipe.confidence.clone() };
    let labels = || material.pairs.iter().map(|(_, label)| label);
    weighting.weigh(&Judged {
        margins: labels().map(|label| label.margin).collect(),
        log_odds: labels().map(|label| label.log_odds).collect(),
        given: given.collect(),
        negative: 0,
    })
}

/// Tell what is left out.
fn tell(session: &mut Session<'_>, learned: usize, all: usize) -> Result<(), RunError> {
    if learned == all {
        return Ok(());
    }
    session.warn(format!(
        "fine-tuning learns from {learned} of {all} pairs, those with a weight above 0 (sft.pairs = \"kept\")"
    ))
}
