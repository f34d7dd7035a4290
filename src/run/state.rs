//! What a resumed run must know beyond its artefacts: `state.json`.
//!
//! A file of the run counts only if the state names it, with the checksum that it has.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Recipe, Report, Stage};
use crate::files::{Checksums, hex};
use crate::train::ExecutionPlan;

/// The state's file in a run folder.
pub(super) const FILE: &str = "state.json";
/// The folder of checkpoints in a run folder.
pub(crate) const CHECKPOINTS: &str = "checkpoints";
/// The folder of what rounds of alignment leave, in a run folder.
pub(crate) const ROUNDS: &str = "rounds";
/// The layout of this file; others are not read.
const LAYOUT: u64 = 2;
/// How many checkpoints of a stage are kept: a damaged one is no dead end.
pub(crate) const KEPT: usize = 2;

/// What a run has told and decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The recipe that the run goes by.
    pub recipe: Recipe,
    /// Version of the program that began the run.
    pub program: String,
    /// When the run began: what chat templates take for the present time, so that a run that
    /// is resumed on another day reads the same prompts.
    pub began: String,
    /// Seconds at work so far.
    #[serde(with = "crate::finite")]
    pub seconds: f64,
    /// Fingerprints of what the run reads from outside: data, models, templates.
    pub inputs: BTreeMap<String, String>,
    /// Stages that are complete, their files on disk, in order.
    pub done: Vec<Done>,
    /// The stage under way.
    pub under_way: Option<UnderWay>,
    /// The present moment.
    #[serde(flatten)]
    pub now: Moment,
}

/// What to return to where later work is lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moment {
    /// Bytes of `events.jsonl`; later ones are repeated by a resume.
    pub events_bytes: u64,
    /// The threshold in force.
    #[serde(with = "crate::finite")]
    pub threshold: f64,
    /// How stages are computed, once that is decided.
    pub plans: BTreeMap<Stage, ExecutionPlan>,
    /// How stages have to be computed instead, because the device had no room for the plan.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reduced: BTreeMap<Stage, ExecutionPlan>,
    /// What is known of the outcome.
    pub report: Report,
}

/// A stage that is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Which.
    pub stage: Stage,
    /// What it left for later stages, in the run folder.
    pub files: Checksums,
    /// Where it began, should it have to be repeated.
    pub began: Moment,
}

/// A stage under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UnderWay {
    /// Which.
    pub stage: Stage,
    /// Where it began.
    pub began: Moment,
    /// Its last checkpoints, oldest first.
    pub checkpoints: Vec<CheckpointState>,
}

/// A checkpoint inside a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckpointState {
    /// Optimiser steps done.
    pub step: u64,
    /// Tokens computed.
    pub tokens: u64,
    /// Its folder among the checkpoints.
    pub folder: String,
    /// The files in it.
    pub files: Checksums,
    /// Which of the stage's trainings it is of, where there are several.
    #[serde(default, skip_serializing_if = "is_first")]
    pub phase: usize,
    /// What the trainings before that one have left in the run folder.
    #[serde(default, skip_serializing_if = "Checksums::is_empty")]
    pub left: Checksums,
    /// What had been told by then.
    pub moment: Moment,
}

impl State {
    /// Of a run that begins.
    pub(crate) fn new(recipe: &Recipe) -> Self {
        let now = Moment { threshold: recipe.confidence.threshold, ..Moment::default() };
        let program = env!("CARGO_PKG_VERSION").to_owned();
        Self { recipe: recipe.clone(), program, now, ..Self::default() }
    }

    /// Whether a stage is complete.
    pub(crate) fn is_done(&self, stage: Stage) -> bool {
        self.done.iter().any(|done| done.stage == stage)
    }

    /// Checkpoints of a stage that is under way, oldest first.
    pub(crate) fn checkpoints(&self, stage: Stage) -> &[CheckpointState] {
        match &self.under_way {
            Some(under_way) if under_way.stage == stage => &under_way.checkpoints,
            _ => &[],
        }
    }

    /// Add a checkpoint of the stage under way; returns those that are one too many.
    pub(crate) fn add_checkpoint(&mut self, fresh: CheckpointState) -> Vec<CheckpointState> {
        let Some(under_way) = &mut self.under_way else { return Vec::new() };
        under_way.checkpoints.push(fresh);
        let surplus = under_way.checkpoints.len().saturating_sub(KEPT);
        under_way.checkpoints.drain(..surplus).collect()
    }

    /// Compute a stage in another way from now on, wherever the run goes on from.
    pub(crate) fn reduce(&mut self, stage: Stage, plan: ExecutionPlan) {
        let done = self.done.iter_mut().map(|done| &mut done.began);
        let under_way = self.under_way.iter_mut().flat_map(|under_way| {
            let checkpoints = under_way.checkpoints.iter_mut().map(|c| &mut c.moment);
            std::iter::once(&mut under_way.began).chain(checkpoints)
        });
        for moment in done.chain(under_way).chain(std::iter::once(&mut self.now)) {
            moment.plans.remove(&stage);
            moment.reduced.insert(stage, plan);
        }
    }

    /// As JSON with a checksum of its own.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        json["layout"] = LAYOUT.into();
        json["sha256"] = digest(&json).into();
        serde_json::to_vec_pretty(&json).unwrap_or_default()
    }

    /// Read what [`State::to_json`] wrote.
    ///
    /// # Errors
    ///
    /// In half a sentence: it is damaged, or of another version.
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let mut json: Value = serde_json::from_slice(bytes)
            .map_err(|e| format!("{FILE} is damaged ({e}); expected JSON"))?;
        let layout = json.get("layout").and_then(Value::as_u64);
        if layout != Some(LAYOUT) {
            return Err(format!(
                "{FILE} has layout {}, and this is version {}, which reads layout {LAYOUT}; go on with the version that began the run, or begin it again",
                layout.map_or_else(|| "1".to_owned(), |n| n.to_string()),
                env!("CARGO_PKG_VERSION")
            ));
        }
        let stated = json.as_object_mut().and_then(|fields| fields.remove("sha256"));
        if stated.as_ref().and_then(Value::as_str) != Some(&digest(&json)) {
            return Err(format!("{FILE} was altered or is damaged: its checksum does not fit"));
        }
        let state: Self =
            serde_json::from_value(json).map_err(|e| format!("{FILE} is damaged ({e})"))?;
        match state.strange_name() {
            Some(name) => Err(format!(
                "{FILE} names “{name}”, which is no file of a run; a run folder from somewhere else must not reach outside"
            )),
            None => Ok(state),
        }
    }

    /// The first name that would lead out of the run folder, or elsewhere in it.
    fn strange_name(&self) -> Option<&str> {
        let checkpoints = self.under_way.iter().flat_map(|u| &u.checkpoints);
        let mut folders = checkpoints.clone().map(|c| c.folder.as_str());
        let of_checkpoints = checkpoints.flat_map(|c| c.files.keys().chain(c.left.keys()));
        let files = self.done.iter().flat_map(|d| d.files.keys()).chain(of_checkpoints);
        let plain = |name: &&str| !is_plain(name);
        let parts = |name: &&str| !name.split('/').all(is_plain);
        folders.find(plain).or_else(|| files.map(String::as_str).find(parts))
    }
}

/// Whether a training is the first of its stage.
fn is_first(phase: &usize) -> bool {
    *phase == 0
}

/// Whether this is the name of something in a folder, and nothing else.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(only)), None) if only == name)
        && !name.contains(['/', '\\', ':'])
}

/// SHA-256 of a JSON value, however it is laid out.
fn digest(json: &Value) -> String {
    hex(&Sha256::digest(serde_json::to_vec(json).unwrap_or_default()))
}
