//! What a recipe will take of its device's memory, told before it runs.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use serde::Serialize;

use super::disk::Disk;
use super::error::RunError;
use super::sizes::{adapter_of, footprint_of, shape_of};
use super::stages::annotator::{nothing_to_learn, scores};
use super::stages::check;
use super::stages::confidence::{for_policy, say_how_sure};
use super::stages::data::{Prepared, prepare};
use super::stages::encode::{encoder_at, max_length, none_is_left};
use super::stages::gold;
use super::stages::lengths;
use super::stages::sft::no_pair_fits;
use super::stages::stream;
use super::{AnnotatorKind, Recipe};
use super::{Stage, find_model};
use crate::annotate::scoring_needs;
use crate::batch::{Ranked, Sequence};
use crate::device::{self, Memory};
use crate::model::{
    Adapter, DecoderConfig, Family, Footprint, LoraSettings, ModelError, ModelFiles, Needs,
    Precision, is_reward_model, parameters,
};
use crate::text::{Encoder, Fit, Lengths, encode_pairs};
use crate::train::{
    BradleyTerryTask, Order, Plan, PolicyPair, PreferenceTask, Readout, SftTask, Task, Training,
    WeightedMean,
};

/// One stage of an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StageEstimate {
    /// Which.
    pub stage: Stage,
    /// Bytes at its peak.
    pub needs: Needs,
    /// How it would be computed; forward passes alone have a part size only.
    pub plan: Plan,
}

/// What a recipe will take, and whether it fits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The device, in words.
    pub device: String,
    /// What it has, where anybody tells.
    pub memory: Option<Memory>,
    /// What the process holds beside the stages: the program, the data. On a GPU it is not on
    /// the device.
    pub process: u64,
    /// What the limit on lengths loses for each model, `annotator` and `policy`.
    pub lengths: BTreeMap<String, Lengths>,
    /// The stages that take memory, in order.
    pub stages: Vec<StageEstimate>,
    /// What it takes of the disk, in the folder that runs are made in.
    pub disk: Disk,
    /// What is worth knowing of the models before they are trained, in sentences.
    pub warnings: Vec<String>,
    /// Changes that would make it fit, the smallest first; empty where it fits, or nothing helps.
    pub advice: Vec<Advice>,
}

/// A change of settings that makes a recipe fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// `section.key` and value, as `--set` takes them.
    pub settings: Vec<(String, String)>,
    /// Bytes at the peak with it.
    pub total: u64,
}

impl Estimate {
    /// Bytes at the peak of the whole run.
    pub fn total(&self) -> u64 {
        self.process + self.stages.iter().map(|s| s.needs.total()).max().unwrap_or(0)
    }

    /// Whether it fits into memory; `None` where the device's is unknown.
    pub fn fits(&self) -> Option<bool> {
        self.memory.map(|memory| self.total() <= memory.bytes)
    }
}

/// What a recipe will take, its run in a folder within `runs`; reads its data and the settings of
/// its models, computes nothing.
///
/// # Errors
///
/// What a run of the recipe would fail with before its first stage.
pub fn estimate(recipe: &Recipe, runs: &Path) -> Result<Estimate, RunError> {
    recipe.check(&recipe.name)?;
    let choice = device::find(&recipe.device)?;
    let device = device::open(&choice.device)?;
    let memory = recipe.memory(&choice.device);
    let (prepared, _) = prepare(recipe)?;
    // In the order of a run, so that both refuse in the same words.
    gold::check_of(recipe)?;
    let (lengths, warnings) = told(recipe, &prepared)?;
    if recipe.annotator.kind == AnnotatorKind::File {
        say_how_sure(recipe, &prepared)?;
    }
    let process = beside_stages(&device);
    let mut inputs = Inputs { prepared: &prepared, device: &device, memory, process };
    let stages = inputs.stages(recipe)?;
    let mut estimate = Estimate {
        device: choice.device.describe(),
        memory,
        process: beside_stages(&device),
        lengths,
        stages,
        disk: Disk::of(recipe, &device, runs)?,
        warnings,
        advice: Vec::new(),
    };
    if estimate.fits() == Some(false) {
        // To find it out took memory as well: plans are made anew with what is left.
        inputs.process = estimate.process;
        estimate.stages = inputs.stages(recipe)?;
    }
    if estimate.fits() == Some(false) {
        estimate.advice = advice(recipe, &inputs, &estimate);
    }
    Ok(estimate)
}

/// What a run would tell of its models before its first stage: what the limit on lengths loses for
/// each, and warnings.
fn told(
    recipe: &Recipe,
    prepared: &Prepared,
) -> Result<(BTreeMap<String, Lengths>, Vec<String>), RunError> {
    let (mut lengths, mut warnings) = (BTreeMap::new(), Vec::new());
    for_readers(recipe, |who, files, encoder| {
        warnings.extend(
            encoder.tell_controls(&prepared.pairs).map(|told| format!("for the {who}, {told}")),
        );
        match check::warnings(recipe, who, files, encoder) {
            Ok(found) => warnings.extend(found),
            // Told by its settings alone.
            Err(RunError::Model(error @ ModelError::NotAModel { .. })) => {
                warnings.push(format!("a run would not begin: {error}"));
            }
            Err(error) => return Err(error),
        }
        let found = lengths::lengths(recipe, prepared, who, files, encoder)?;
        found.iter().try_for_each(|found| lengths::allowed(recipe, who, found))?;
        lengths.extend(found.map(|found| (who.to_owned(), found)));
        Ok(())
    })?;
    Ok((lengths, warnings))
}

/// Look at each model that reads in a run of a recipe.
fn for_readers(
    recipe: &Recipe,
    mut look: impl FnMut(&str, &ModelFiles, &Encoder) -> Result<(), RunError>,
) -> Result<(), RunError> {
    check::readers(recipe).into_iter().try_for_each(|(who, field)| {
        let files = find_model(&field)?;
        look(who, &files, &encoder_at(recipe, &files, jiff::Zoned::now())?)
    })
}

/// What the limit on lengths loses for each model, `annotator` and `policy`, of a recipe that an
/// estimate may refuse for it.
///
/// # Errors
///
/// Data or models cannot be read.
pub fn lengths_of(recipe: &Recipe) -> Result<BTreeMap<String, Lengths>, RunError> {
    let (prepared, _) = prepare(recipe)?;
    let mut all = BTreeMap::new();
    for_readers(recipe, |who, files, encoder| {
        let found = lengths::lengths(recipe, &prepared, who, files, encoder)?;
        all.extend(found.map(|found| (who.to_owned(), found)));
        Ok(())
    })?;
    Ok(all)
}

/// What estimates of a recipe and of its variants share.
struct Inputs<'a> {
    prepared: &'a Prepared,
    device: &'a Device,
    memory: Option<Memory>,
    /// What the process holds beside the stages.
    process: u64,
}

impl Inputs<'_> {
    fn limit(&self) -> Option<u64> {
        self.memory.map(|memory| memory.bytes.saturating_sub(self.process))
    }

    fn stages(&self, recipe: &Recipe) -> Result<Vec<StageEstimate>, RunError> {
        let mut stages = Vec::new();
        if recipe.annotator.kind == AnnotatorKind::RewardHead {
            stages.extend(self.annotator(recipe)?);
        }
        if recipe.policy.training.epochs > 0.0 {
            stages.extend(self.policy(recipe)?);
        }
        Ok(stages)
    }

    fn annotator(&self, recipe: &Recipe) -> Result<Vec<StageEstimate>, RunError> {
        let (data, settings) = (&recipe.data, &recipe.annotator);
        let model =
            Model::open(recipe, &settings.model, settings.precision, &settings.lora, "annotator")?;
        let footprint = model.footprint(true, self.device)?;
        let split = &self.prepared.split;
        let labelled =
            self.training(&model, &split.labelled, Fit::Whole, recipe, ["annotator", "labelled"])?;
        let order = Order::new(
            labelled.len(),
            &settings.training,
            data.shuffle,
            recipe.seed,
            stream::ANNOTATOR,
        );
        if settings.training.epochs <= 0.0 {
            scores(&model.files)?;
        } else if order.total == 0 && !is_reward_model(&model.files)? {
            return Err(nothing_to_learn());
        }
        let labelled = labelled.into_iter().map(|sides| Ranked::of(sides, false)).collect();
        let task = BradleyTerryTask::new(labelled, None);
        let trained = self.trained(Stage::Annotator, &footprint, &task, &order, &settings.training);
        let rest = [&split.unlabelled[..], &split.held_out].concat();
        let scored = self.fitting(&model, &rest, Fit::Whole, recipe)?;
        let scored = self.inferred(
            Stage::Confidence,
            &footprint,
            Readout::Scores,
            &scored,
            2 * settings.training.batch_size,
        );
        Ok(vec![trained, scored])
    }

    fn policy(&self, recipe: &Recipe) -> Result<Vec<StageEstimate>, RunError> {
        let (data, settings) = (&recipe.data, &recipe.policy);
        let model =
            Model::open(recipe, &settings.model, settings.precision, &settings.lora, "policy")?;
        let footprint = model.footprint(false, self.device)?;
        let split = &self.prepared.split;
        let indexes = for_policy(recipe, self.prepared);
        let pairs = self.training(&model, &indexes, Fit::Start, recipe, ["policy", "training"])?;
        if pairs.is_empty() && !indexes.is_empty() {
            return Err(no_pair_fits(max_length(recipe, &model.files)?));
        }
        let held_out = self.fitting(&model, &split.held_out, Fit::Start, recipe)?;
        let pad = model.encoder.tokenizer.pad;
        let order = |training: &Training, stream| {
            Order::new(pairs.len(), training, data.shuffle, recipe.seed, stream)
        };
        // Which response is chosen is not known yet: the longer one is the most it can take.
        let chosen = pairs.iter().map(|[a, b]| if a.len() < b.len() { b } else { a });
        let sft = SftTask::new(chosen.cloned().collect(), pad);
        let sft_order = order(&recipe.sft.training, stream::SFT);
        let sft = self.trained(Stage::Sft, &footprint, &sft, &sft_order, &recipe.sft.training);
        let policy_order = order(&settings.training, stream::POLICY);
        let batch = 2 * settings.training.batch_size;
        let reference =
            settings.objective.needs().reference.then(|| {
                self.inferred(Stage::Reference, &footprint, Readout::LogProbs, &pairs, batch)
            });
        // Which response is chosen makes no difference here.
        let unweighted = |sides| PolicyPair {
            sides: Ranked::of(sides, false),
            reference: Ranked::default(),
            margin: 0.0,
        };
        let task = PreferenceTask::new(
            pairs.into_iter().map(unweighted).collect(),
            pad,
            settings.preference(),
            WeightedMean::Pairs,
            None,
        );
        let policy =
            self.trained(Stage::Policy, &footprint, &task, &policy_order, &settings.training);
        let evaluated =
            self.inferred(Stage::Evaluate, &footprint, Readout::LogProbs, &held_out, batch);
        Ok(std::iter::once(sft).chain(reference).chain([policy, evaluated]).collect())
    }

    /// As [`Inputs::fitting`], for pairs that a run trains on.
    fn training(
        &self,
        model: &Model,
        indexes: &[usize],
        fit: Fit,
        recipe: &Recipe,
        names: [&str; 2],
    ) -> Result<Vec<[Sequence; 2]>, RunError> {
        let encoded = encode_pairs(&model.encoder, &self.prepared.pairs, indexes)?;
        none_is_left(&encoded, self.prepared, indexes.len(), names)?;
        self.fitting(model, indexes, fit, recipe)
    }

    fn fitting(
        &self,
        model: &Model,
        indexes: &[usize],
        fit: Fit,
        recipe: &Recipe,
    ) -> Result<Vec<[Sequence; 2]>, RunError> {
        let max_length = max_length(recipe, &model.files)?;
        let encoded = encode_pairs(&model.encoder, &self.prepared.pairs, indexes)?;
        Ok(encoded.pairs.iter().filter_map(|pair| pair.fit(fit, max_length)).collect())
    }

    fn trained(
        &self,
        stage: Stage,
        footprint: &Footprint,
        task: &dyn Task,
        order: &Order,
        training: &Training,
    ) -> StageEstimate {
        let (plan, needs) = Plan::choose(footprint, task, order, training, self.limit());
        StageEstimate { stage, needs, plan }
    }

    fn inferred(
        &self,
        stage: Stage,
        footprint: &Footprint,
        readout: Readout,
        pairs: &[[Sequence; 2]],
        batch_size: usize,
    ) -> StageEstimate {
        let sequences: Vec<&Sequence> = pairs.iter().flatten().collect();
        let (size, needs) =
            scoring_needs(footprint, readout.is_scores(), &sequences, batch_size, self.limit());
        StageEstimate { stage, needs, plan: Plan { micro_batch: size, ..Plan::default() } }
    }
}

/// A model of a recipe, by its settings and its way of writing prompts.
struct Model {
    files: ModelFiles,
    encoder: Encoder,
    precision: Precision,
    adapter: Option<Adapter>,
    /// The settings of its adapter.
    section: String,
}

impl Model {
    fn open(
        recipe: &Recipe,
        field: &str,
        precision: Precision,
        lora: &LoraSettings,
        section: &str,
    ) -> Result<Self, RunError> {
        let files = find_model(field)?;
        let adapter = adapter_of(&files, lora, section)?;
        let section = format!("{section}.lora");
        let encoder = encoder_at(recipe, &files, jiff::Zoned::now())?;
        Ok(Self { files, encoder, precision, adapter, section })
    }

    /// Whether the device has the types and the room for each parameter, and the adapter a place.
    fn fits_device(
        &self,
        family: &Family,
        config: &DecoderConfig,
        scored: bool,
        device: &Device,
    ) -> Result<(), RunError> {
        self.precision.check(device)?;
        let parameters = parameters(config, scored);
        if let Some(most) = device::largest_tensor(device) {
            let large = parameters.iter().find(|parameter| 4 * parameter.count() > most);
            if let Some(parameter) = large {
                let (tensor, bytes) = (parameter.path.clone(), 4 * parameter.count());
                return Err(ModelError::Piece { tensor, bytes, most }.into());
            }
        }
        if let Some(adapter) = self.adapter.as_ref().filter(|_| self.files.adapter().is_none()) {
            adapter.check_targets(family, &parameters, self.section.as_ref())?;
        }
        Ok(())
    }

    fn footprint(&self, scored: bool, device: &Device) -> Result<Footprint, RunError> {
        let (family, config) = shape_of(&self.files)?;
        self.fits_device(family, &config, scored, device)?;
        footprint_of(&self.files, self.adapter.as_ref(), self.precision, scored, device)
    }
}

/// Bytes that a stage may take of what a run may take.
pub(super) fn stage_limit(memory: Option<Memory>, device: &Device) -> Option<u64> {
    memory.map(|memory| memory.bytes.saturating_sub(beside_stages(device)))
}

/// What a process grows by when it computes for the first time: pages of kernels that are read
/// in, and the threads' own buffers. Measured on x86-64 Linux.
const COMPUTING: u64 = 20 << 20;

/// Bytes that the process holds on a device beside its stages.
fn beside_stages(device: &Device) -> u64 {
    if *device == Device::flex() { process_memory().unwrap_or(0) + COMPUTING } else { 0 }
}

/// Bytes of memory that this process holds now, where the system tells.
fn process_memory() -> Option<u64> {
    let id = sysinfo::get_current_pid().ok()?;
    let mut system = sysinfo::System::new();
    system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[id]), false);
    system.process(id).map(sysinfo::Process::memory)
}

/// Settings that save memory, in the order in which a person would rather change them.
fn savings(recipe: &Recipe, stage: Stage, device: &Device) -> Vec<Vec<(String, String)>> {
    let (section, precision, lora) = match stage {
        Stage::Annotator | Stage::Confidence => {
            ("annotator", recipe.annotator.precision, &recipe.annotator.lora)
        }
        _ => ("policy", recipe.policy.precision, &recipe.policy.lora),
    };
    let training = if stage == Stage::Sft { "sft" } else { section };
    let set = |key: String, value: &str| vec![(key, value.to_owned())];
    let mut found = vec![
        [set(format!("{training}.recompute"), "auto"), set(format!("{training}.micro_batch"), "0")]
            .concat(),
    ];
    if lora.rank == 0 {
        found.push(set(format!("{section}.lora.rank"), "8"));
    }
    let narrower = Precision::ALL.into_iter().skip_while(|p| *p != precision).skip(1);
    for precision in narrower.filter(|p| p.check(device).is_ok()) {
        found.push(set(format!("{section}.precision"), precision.name()));
    }
    let halves = [2, 4].map(|part| recipe.data.max_length / part);
    for length in halves.into_iter().filter(|length| *length >= 64) {
        found.push(set("data.max_length".to_owned(), &length.to_string()));
    }
    found
}

/// How many ways out an advice names.
const ADVICE: usize = 3;

/// The smallest changes that make a recipe fit: single ones where there are any, else
/// one after the other until it does.
fn advice(recipe: &Recipe, inputs: &Inputs<'_>, estimate: &Estimate) -> Vec<Advice> {
    let Some(limit) = estimate.memory.map(|memory| memory.bytes) else { return Vec::new() };
    let highest = estimate.stages.iter().max_by_key(|s| s.needs.total());
    let Some(stage) = highest.map(|s| s.stage) else { return Vec::new() };
    let total = |settings: &[(String, String)]| {
        let stages = inputs.stages(&recipe.with(settings).ok()?).ok()?;
        let needs = stages.iter().map(|s| s.needs.total()).max()?;
        Some(estimate.process + needs)
    };
    let savings = savings(recipe, stage, inputs.device);
    let single = savings.iter().filter_map(|settings| {
        let total = total(settings).filter(|total| *total <= limit)?;
        Some(Advice { settings: settings.clone(), total })
    });
    let single: Vec<Advice> = single.take(ADVICE).collect();
    if !single.is_empty() {
        return single;
    }
    let mut together: Vec<(String, String)> = Vec::new();
    for settings in savings {
        let mut next = together.clone();
        next.retain(|(key, _)| settings.iter().all(|(other, _)| other != key));
        next.extend(settings);
        match total(&next) {
            Some(total) if total <= limit => return vec![Advice { settings: next, total }],
            Some(_) => together = next,
            None => {}
        }
    }
    Vec::new()
}
