//! The policy with what it will learn, as reference and alignment both have it.

use super::super::Normalisation;
use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::Stage;
use super::material::{LabelledPair, Material, reference};
use super::random::stream;
use crate::batch::Ranked;
use crate::model::{Checkpoint, Footprint};
use crate::train::{ExecutionPlan, PolicyPair, PreferenceTask, Sampler, WeightedMean};

/// The policy with what it will learn.
pub(super) struct Aligning {
    /// Indexes of the material's pairs that batches are made of.
    pub(super) kept: Vec<usize>,
    pub(super) order: Sampler,
    /// The policy before its first step.
    pub(super) checkpoint: Checkpoint,
    pub(super) task: PreferenceTask,
    pub(super) plan: ExecutionPlan,
}

impl Aligning {
    pub(super) fn new(session: &mut Session<'_>, material: &Material) -> Result<Self, RunError> {
        let settings = session.recipe.policy.clone();
        let (shuffle, seed) = (session.recipe.data.shuffle, session.recipe.seed);
        let kept = kept(session, material);
        let order = Sampler::new(kept.len(), &settings.training, shuffle, seed, stream::POLICY);
        let mut checkpoint = reference(session, material)?;
        if settings.disable_dropout {
            // The policy begins as its reference, which drops nothing.
            checkpoint.decoder = checkpoint.decoder.without_dropout();
        }
        // The reference is computed in the parts in which the policy will be, so the plan comes first.
        let footprint = Footprint::of(&checkpoint, settings.precision);
        let task = task(session, material, &kept);
        let plan =
            session.plan(Stage::POLICY.about(), &footprint, &task, &order, &settings.training)?;
        Ok(Self { kept, order, checkpoint, task, plan })
    }

    /// The pairs that batches are made of.
    pub(super) fn pairs<'m>(&self, material: &'m Material) -> Vec<&'m LabelledPair> {
        self.kept.iter().map(|&pair| &material.pairs[pair]).collect()
    }
}

/// Whether labels are weighed by how sure they are.
fn weighed(session: &Session<'_>) -> bool {
    session.recipe.annotator.kind.reads().confidence()
}

/// The pairs that batches are made of: all, or those that the weighting selects.
fn kept(session: &Session<'_>, material: &Material) -> Vec<usize> {
    let weighting = &session.recipe.confidence;
    let margins = || material.pairs.iter().map(|(_, label)| label.margin).collect::<Vec<_>>();
    // Not by the threshold, which may move while the policy is trained.
    let selection = weighed(session).then(|| weighting.selection(&margins())).flatten();
    let all = 0..material.pairs.len();
    match selection {
        Some(kept) => all.filter(|&pair| kept[pair]).collect(),
        None => all.collect(),
    }
}

/// The weighted objective over pairs; what the reference says of them is not known yet.
fn task(session: &Session<'_>, material: &Material, kept: &[usize]) -> PreferenceTask {
    let pairs = || kept.iter().map(|&pair| &material.pairs[pair]);
    let given = pairs().map(|(_, label)| label.weight).collect();
    let unknown = pairs().map(|(sides, label)| PolicyPair {
        sides: sides.clone(),
        reference: Ranked::default(),
        margin: label.margin,
    });
    let mean = match session.recipe.policy.normalisation {
        Normalisation::Pairs => WeightedMean::Pairs,
        Normalisation::Weights => WeightedMean::Weights,
    };
    let weighting = weighed(session).then(|| session.recipe.confidence.clone());
    let pad = material.encoder.tokenizer.pad;
    let sampling = session.recipe.policy.sampling;
    let preference = session.recipe.policy.preference();
    PreferenceTask::new(unknown.collect(), pad, preference, mean, weighting)
        .with_selected_pairs()
        .with_sampling(sampling)
        .with_given_weights(given)
        .with_threshold(session.threshold.clone())
}
