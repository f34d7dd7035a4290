//! The policy with what it will learn, as reference and alignment both have it.

use super::super::Normalisation;
use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::Stage;
use super::material::{LabelledPair, Material, reference};
use super::random::stream::{self, of_round};
use super::sampling::longest;
use crate::batch::{Ranked, Sequence};
use crate::model::{Checkpoint, Footprint};
use crate::train::{
    ExecutionPlan, MovingReference, PolicyPair, PreferenceTask, Sampler, Task, WeightedMean,
};

/// The policy with what it will learn.
pub(super) struct Aligning {
    /// Indexes of the pairs that batches are made of.
    pub(super) kept: Vec<usize>,
    pub(super) order: Sampler,
    /// The policy before its first step on them.
    pub(super) checkpoint: Checkpoint,
    pub(super) task: PreferenceTask,
    pub(super) plan: ExecutionPlan,
}

impl Aligning {
    pub(super) fn new(session: &mut Session<'_>, material: &Material) -> Result<Self, RunError> {
        let settings = session.recipe.policy.clone();
        let (shuffle, seed) = (session.recipe.data.shuffle, session.recipe.seed);
        let kept = kept(session, &material.pairs);
        let order = Sampler::new(kept.len(), &settings.training, shuffle, seed, stream::POLICY);
        let mut checkpoint = reference(session, material)?;
        if settings.disable_dropout {
            // The policy begins as its reference, which drops nothing.
            checkpoint.decoder = checkpoint.decoder.without_dropout();
        }
        // The reference is computed in the parts in which the policy will be, so the plan comes first.
        let footprint = Footprint::of(&checkpoint, settings.precision);
        let mut task = task(session, material, &material.pairs, &kept);
        if settings.ref_model_sync_steps > 0 {
            if checkpoint.adapter.is_some() {
                return Err(RunError::Impossible(format!(
                    "policy.ref_model_sync_steps mixes weights, but {} is an adapter, whose factors cannot be mixed; name a whole model, or set policy.ref_model_sync_steps = 0",
                    material.files.name()
                )));
            }
            let every = settings.ref_model_sync_steps as u64;
            let alpha = settings.ref_model_mixup_alpha;
            task =
                task.with_moving_reference(MovingReference::new(&checkpoint.decoder, every, alpha));
        }
        if settings.preference().extrapolation() > 0.0 {
            task = task.with_start(&checkpoint.decoder);
        }
        let plan = plan(session, material, &footprint, (&task, &order))?;
        Ok(Self { kept, order, checkpoint, task, plan })
    }

    /// The same policy before the pairs of a round, counted from 0; the weighting selects among them, unless they
    /// are `selected` already.
    pub(super) fn again(
        self,
        session: &Session<'_>,
        material: &Material,
        pairs: &[LabelledPair],
        selected: bool,
        round: usize,
    ) -> Self {
        let training = &session.recipe.policy.training;
        let (shuffle, seed) = (session.recipe.data.shuffle, session.recipe.seed);
        let kept = if selected { (0..pairs.len()).collect() } else { kept(session, pairs) };
        let stream = of_round(stream::POLICY, round);
        let order = Sampler::new(kept.len(), training, shuffle, seed, stream);
        let task = task(session, material, pairs, &kept);
        Self { kept, order, task, ..self }
    }
}

/// How steps are computed: as can be those of all rounds, whatever the policy writes in them.
fn plan(
    session: &mut Session<'_>,
    material: &Material,
    footprint: &Footprint,
    (task, order): (&PreferenceTask, &Sampler),
) -> Result<ExecutionPlan, RunError> {
    let training = session.recipe.policy.training.clone();
    let about = Stage::POLICY.about();
    if session.recipe.rounds_written() == 0 {
        return session.plan(about, footprint, task, order, &training);
    }
    let sides: Vec<Ranked<Sequence>> =
        material.pairs.iter().map(|(sides, _)| sides.clone()).collect();
    let longest = longest(&session.recipe, &sides, material.max_length);
    let mismatched = session.recipe.policy.objective.needs().mismatched;
    let written = PreferenceTask::new(
        unweighted(longest, mismatched.then_some(material.max_length)),
        material.encoder.tokenizer.pad,
        session.recipe.policy.preference(),
        WeightedMean::Pairs,
        None,
    );
    let most =
        |task: &dyn Task| ExecutionPlan::default().needs(footprint, task, order, &training).total();
    let longer = most(&written) > most(task);
    let task: &dyn Task = if longer { &written } else { task };
    session.plan(about, footprint, task, order, &training)
}

/// Whether labels are weighed by how sure they are.
fn weighed(session: &Session<'_>) -> bool {
    session.recipe.annotator.kind.reads().confidence()
}

/// The pairs that batches are made of: all, or those that the weighting selects.
fn kept(session: &Session<'_>, pairs: &[LabelledPair]) -> Vec<usize> {
    let weighting = &session.recipe.confidence;
    let margins = || pairs.iter().map(|(_, label)| label.margin).collect::<Vec<_>>();
    // Not by the threshold, which may move while the policy is trained.
    let selection = weighed(session).then(|| weighting.selection(&margins())).flatten();
    let all = 0..pairs.len();
    match selection {
        Some(kept) => all.filter(|&pair| kept[pair]).collect(),
        None => all.collect(),
    }
}

/// Pairs of which nothing is known yet; with `longest`, each also with the chosen response of the pair before it
/// behind its own prompt, cut to so many tokens (the last one's behind the first prompt).
pub(super) fn unweighted(sides: Vec<Ranked<Sequence>>, longest: Option<usize>) -> Vec<PolicyPair> {
    let before = |i: usize| &sides[(i + sides.len() - 1) % sides.len()].chosen;
    let other = |i: usize, longest: usize| {
        let (prompt, response) = (sides[i].chosen.prompt.clone(), before(i).response.clone());
        (Sequence { prompt, response }.cut(longest), 0.0)
    };
    let mismatched: Vec<Option<(Sequence, f64)>> =
        (0..sides.len()).map(|i| longest.map(|longest| other(i, longest))).collect();
    let pair = |(sides, mismatched)| PolicyPair {
        sides,
        reference: Ranked::default(),
        margin: 0.0,
        mismatched,
    };
    sides.into_iter().zip(mismatched).map(pair).collect()
}

/// The weighted objective over pairs; what the reference says of them is not known yet.
fn task(
    session: &Session<'_>,
    material: &Material,
    pairs: &[LabelledPair],
    kept: &[usize],
) -> PreferenceTask {
    let pairs = || kept.iter().map(|&pair| &pairs[pair]);
    let given = pairs().map(|(_, label)| label.weight).collect();
    let mismatched = session.recipe.policy.objective.needs().mismatched;
    let longest = mismatched.then_some(material.max_length);
    let mut unknown = unweighted(pairs().map(|(sides, _)| sides.clone()).collect(), longest);
    unknown.iter_mut().zip(pairs()).for_each(|(pair, (_, label))| pair.margin = label.log_odds);
    let mean = match session.recipe.policy.normalisation {
        Normalisation::Pairs => WeightedMean::Pairs,
        Normalisation::Weights => WeightedMean::Weights,
    };
    let weighting = weighed(session).then(|| session.recipe.confidence.clone());
    let pad = material.encoder.tokenizer.pad;
    let sampling = session.recipe.policy.sampling;
    let preference = session.recipe.policy.preference();
    PreferenceTask::new(unknown, pad, preference, mean, weighting)
        .with_selected_pairs()
        .with_sampling(sampling)
        .with_given_weights(given)
        .with_threshold(session.threshold.clone())
}
