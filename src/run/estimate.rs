//! What a recipe will take of its device's memory, told before it runs.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use serde::Serialize;

use super::Recipe;
use super::disk::Disk;
use super::error::RunError;
use super::stage::{Stage, StageEstimate};
use super::stages::{Estimating, Prepared, check_of, prepare, preview};
use crate::device::{self, Memory};
use crate::model::Precision;
use crate::text::Lengths;

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
    check_of(recipe)?;
    let (lengths, warnings) = preview(recipe, &prepared)?;
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

/// What estimates of a recipe and of its variants share.
struct Inputs<'a> {
    prepared: &'a Prepared,
    device: &'a Device,
    memory: Option<Memory>,
    /// What the process holds beside the stages.
    process: u64,
}

impl Inputs<'_> {
    /// What each stage of a recipe takes, in order.
    fn stages(&self, recipe: &Recipe) -> Result<Vec<StageEstimate>, RunError> {
        let limit = self.memory.map(|memory| memory.bytes.saturating_sub(self.process));
        let inputs = Estimating::new(recipe, self.prepared, self.device, limit);
        let stages = Stage::all().filter(|stage| !stage.is_skipped(recipe));
        stages.filter_map(|stage| stage.definition().estimate(&inputs).transpose()).collect()
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
    let section = stage.about().model.section();
    let (precision, lora) = recipe.storage(section);
    let training = stage.definition().training(recipe).map_or(section, |(section, _)| section);
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
