//! Log-probabilities of the frozen reference, which the objective compares the policy with.

use sha2::{Digest, Sha256};

use super::super::Recipe;
use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::{AboutStage, Stage, StageEstimate, Whose};
use super::aligning::Aligning;
use super::compared::{Base, further, take, write};
use super::estimating::Estimating;
use super::material::tuned;
use super::policy::{ALIGN, idle};
use super::work::Work;
use super::{StageDefinition, Then};
use crate::files::hex;
use crate::model::MemoryEstimate;
use crate::train::{OutputKind, Task};

pub(super) struct Reference;

impl Stage {
    /// Log-probabilities of the frozen reference.
    pub const REFERENCE: Self = Self("reference");
}

static ABOUT: AboutStage = AboutStage {
    stage: Stage::REFERENCE,
    title: "Reference",
    part: &ALIGN,
    model: Whose::Policy,
    computes: true,
    seed: 4,
};

impl StageDefinition for Reference {
    fn about(&self) -> &'static AboutStage {
        &ABOUT
    }

    fn is_skipped(&self, recipe: &Recipe) -> bool {
        // What is compared with the policy's own responses is written when a round begins.
        idle(recipe) || !recipe.policy.objective.needs().reference || recipe.rejects_own()
    }

    /// It is computed in the parts in which the policy will be.
    fn planned_as(&self) -> Stage {
        Stage::POLICY
    }

    fn estimate(&self, inputs: &Estimating<'_>) -> Result<Option<StageEstimate>, RunError> {
        let policy = inputs.policy()?;
        let batch = 2 * inputs.recipe.policy.training.batch_size;
        let kind = OutputKind::LogProbs;
        let own = inputs.inferred(Stage::REFERENCE, policy.footprint(), kind, &policy.pairs, batch);
        let beside = further(inputs, &policy.pairs)?.map(|needs| MemoryEstimate {
            weights: needs.weights + policy.footprint().weights(),
            ..needs
        });
        let needs = beside.into_iter().chain([own.needs]).max_by_key(MemoryEstimate::total);
        Ok(Some(StageEstimate { needs: needs.unwrap_or_default(), ..own }))
    }

    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError> {
        if session.is_done(Stage::POLICY) {
            return Ok(Then::Next);
        }
        let mut aligning = work.take_aligning(session)?;
        // Computed once and kept under a key made of everything that they depend on.
        let name =
            format!("checkpoints/reference-log-probs-{}.safetensors", key(session, &aligning));
        session.stage(Stage::REFERENCE, aligning.kept.len() as u64, |session| {
            let base = Base { decoder: &aligning.checkpoint.decoder, lasts: true };
            write(session, work, &aligning, base, &name)
        })?;
        take(session, &mut aligning, &name)?;
        work.aligning.replace(Some(aligning));
        Ok(Then::Next)
    }
}

/// A hash of the references' weights, of how they are read, and of all token sequences.
fn key(session: &Session<'_>, aligning: &Aligning) -> String {
    let settings = &session.recipe.policy;
    let mut hash = Sha256::new();
    let input = |name: &str| session.state.inputs.get(name).map(String::as_bytes);
    hash.update(input("policy.model").unwrap_or_default());
    hash.update(tuned(session).and_then(|path| std::fs::read(path).ok()).unwrap_or_default());
    for i in 0..settings.references.len() {
        hash.update(input(&reference_name(i)).unwrap_or_default());
    }
    let preference = settings.preference();
    if let Some(alpha) = preference.ld_alpha {
        hash.update(alpha.to_le_bytes());
    }
    for item in 0..aligning.task.len() {
        for sequence in aligning.task.sequences(&[item]) {
            for part in [&sequence.prompt[..], &sequence.response[..]] {
                hash.update((part.len() as u64).to_le_bytes());
                part.iter().for_each(|token| hash.update(token.to_le_bytes()));
            }
        }
    }
    hex(&hash.finalize()[..8])
}

/// What the state calls a further reference.
pub(super) fn reference_name(i: usize) -> String {
    format!("policy.references.{i}")
}
