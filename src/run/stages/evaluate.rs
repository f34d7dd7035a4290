//! Measure the policy on the held-out split, and on the gold reward where one is known.

use super::super::Recipe;
use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::{AboutStage, Part, Shows, Stage, StageEstimate, Whose};
use super::encode::encode;
use super::estimating::Estimating;
use super::gold;
use super::labels::{by_human, mean};
use super::material::{Material, aligned, reference};
use super::policy::idle;
use super::words::model;
use super::work::Work;
use super::{StageDefinition, Then};
use crate::annotate::{all_log_probs, tailed_log_probs};
use crate::batch::{Ranked, Sequence};
use crate::model::{Footprint, Tails};
use crate::preference::ResponseLogProb;
use crate::text::Fit;
use crate::train::OutputKind;

pub(super) struct Evaluate;

impl Stage {
    /// Measure on the held-out split.
    pub const EVALUATE: Self = Self("evaluate");
}

static PART: Part = Part {
    title: "Evaluate",
    explanation: "Measure on pairs that nothing was trained on",
    shows: Shows::Report,
};

static ABOUT: AboutStage = AboutStage {
    stage: Stage::EVALUATE,
    title: "Evaluate",
    part: &PART,
    model: Whose::Policy,
    computes: true,
    seed: 6,
};

impl StageDefinition for Evaluate {
    fn about(&self) -> &'static AboutStage {
        &ABOUT
    }

    fn is_skipped(&self, recipe: &Recipe) -> bool {
        idle(recipe)
    }

    fn plan(&self, recipe: &Recipe) -> String {
        let gold = match recipe.evaluate.gold.as_str() {
            "" if recipe.data.files.iter().any(|f| f.starts_with("builtin:")) => {
                " In this small world the true reward is known, so samples are judged by it too."
                    .to_owned()
            }
            "" => String::new(),
            name => format!(" The reward model {} judges samples.", model(name)),
        };
        format!(
            "Annotator and policy are measured on the held-out pairs, which nothing was trained on.{gold}"
        )
    }

    fn estimate(&self, inputs: &Estimating<'_>) -> Result<Option<StageEstimate>, RunError> {
        let (policy, held_out) = (inputs.policy()?, inputs.held_out()?);
        let batch = 2 * inputs.recipe.policy.training.batch_size;
        let kind = OutputKind::LogProbs;
        let needs = inputs.inferred(Stage::EVALUATE, policy.footprint(), kind, held_out, batch);
        Ok(Some(needs))
    }

    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError> {
        let (prepared, material) = (work.prepared()?, work.material(session)?);
        let mut pairs = Vec::new();
        let held_out_split = &prepared.split.held_out;
        let names = ["policy", "held-out"];
        for pair in encode(session, &material.encoder, prepared, held_out_split, names)? {
            let known = prepared.pairs[pair.pair].label.is_some();
            match pair.fit(Fit::Start, material.max_length) {
                Some(sides) if known => pairs.push(by_human(&prepared.pairs[pair.pair], sides)),
                Some(_) => {}
                None => {
                    session.too_long.insert(pair.pair);
                }
            }
        }
        let total = 2 * pairs.len() as u64;
        session.stage(Stage::EVALUATE, total, |session| {
            held_out(session, material, &pairs)?;
            gold::run(session, prepared, material)
        })?;
        Ok(Then::Next)
    }
}

/// Compare policy and reference on the held-out pairs; one model is there at a time, which is
/// what the estimate of memory counts on.
fn held_out(
    session: &mut Session<'_>,
    material: &Material,
    pairs: &[Ranked<Sequence>],
) -> Result<(), RunError> {
    let sequences: Vec<&Sequence> = pairs.iter().flat_map(Ranked::each).collect();
    let wanted = 2 * session.recipe.policy.training.batch_size;
    let total = 2 * pairs.len() as u64;
    let pad = material.encoder.tokenizer.pad;
    let preference = session.recipe.policy.preference();
    let lengths = |pair: &Ranked<Sequence>| pair.each().map(|side| side.response.len());
    let tails = preference.ld_alpha.map(|alpha| {
        // Both responses of a pair stand beside each other here.
        let lengths = pairs.iter().map(lengths).flat_map(|both| [both, both]);
        Tails::of_pairs(&lengths.collect::<Vec<_>>(), 1, alpha)
    });
    let mut log_probs: [Vec<f32>; 2] = Default::default();
    for (i, found) in log_probs.iter_mut().enumerate() {
        if i == 0 && !session.recipe.policy.objective.needs().reference {
            *found = vec![0.0; sequences.len()];
            continue;
        }
        let model = if i == 0 { reference(session, material)? } else { aligned(session)? };
        let footprint = Footprint::of(&model, session.recipe.policy.precision);
        let batch_size = session.scoring_batch(&ABOUT, &footprint, false, &sequences, wanted)?;
        let base = (i * pairs.len()) as u64;
        let progress = &mut |done| session.progress(Stage::EVALUATE, base + done as u64 / 2, total);
        *found = match &tails {
            Some(tails) => {
                tailed_log_probs(&model.decoder, &sequences, tails, pad, batch_size, progress)?
            }
            None => all_log_probs(&model.decoder, &sequences, pad, batch_size, progress)?,
        };
    }
    let reward = |i: usize| {
        preference.reward(&ResponseLogProb {
            policy: f64::from(log_probs[1][i]),
            reference: f64::from(log_probs[0][i]),
            tokens: sequences[i].response.len() as f64,
        })
    };
    let margins: Vec<f64> = (0..pairs.len()).map(|i| reward(2 * i) - reward(2 * i + 1)).collect();
    session.measured("policy.rewards_margin", mean(margins.iter().copied()))?;
    let right = mean(margins.iter().map(|m| f64::from(u8::from(*m > 0.0))));
    session.measured("policy.rewards_accuracy", right)
}
