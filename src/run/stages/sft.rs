//! Fine-tune the policy on the chosen responses; the result is also the reference.

use super::super::Recipe;
use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::{AboutStage, Stage, StageEstimate, Whose};
use super::estimating::Estimating;
use super::material::{REFERENCE, reference};
use super::policy::{ALIGN, idle};
use super::random::stream;
use super::words::{length, model};
use super::work::Work;
use super::{StageDefinition, Then};
use crate::model::{Footprint, Storage, collect_trained, save_tensors};
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
        format!("The stronger model {name} is first fine-tuned on the chosen responses: {length}.")
    }

    fn training<'r>(&self, recipe: &'r Recipe) -> Option<(&'static str, &'r Training)> {
        Some(("sft", &recipe.sft.training))
    }

    fn estimate(&self, inputs: &Estimating<'_>) -> Result<Option<StageEstimate>, RunError> {
        let policy = inputs.policy()?;
        // Which response is chosen is not known yet: the longer one is the most it can take.
        let longer = policy.pairs.iter().map(|[a, b]| if a.len() < b.len() { b } else { a });
        let task = SftTask::new(longer.cloned().collect(), policy.pad());
        let training = &inputs.recipe.sft.training;
        let order = inputs.order(policy.pairs.len(), training, stream::SFT);
        Ok(Some(inputs.trained(Stage::SFT, policy.footprint(), &task, &order, training)))
    }

    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError> {
        let material = work.material(session)?;
        let training = session.recipe.sft.training.clone();
        let (shuffle, seed) = (session.recipe.data.shuffle, session.recipe.seed);
        let order = Sampler::new(material.pairs.len(), &training, shuffle, seed, stream::SFT);
        if order.total == 0 {
            return Ok(Then::Next);
        }
        session.stage(Stage::SFT, order.total, |session| {
            let checkpoint = reference(session, material)?;
            let sequences = material.pairs.iter().map(|(sides, _)| sides.chosen.clone()).collect();
            let mut task = SftTask::new(sequences, material.encoder.tokenizer.pad);
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
