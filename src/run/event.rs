//! What a run reports, one fact at a time.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Recipe;
use super::report::Report;
use super::stage::Stage;
use super::summary::{DataSummary, PromptsReport};
use crate::model::MemoryEstimate;
use crate::text::Lengths;
use crate::train::{ExecutionPlan, Metrics};

/// One fact that a run reports; a line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run began, or began again from a checkpoint.
    Started {
        /// The resolved recipe.
        recipe: Box<Recipe>,
        /// The run folder.
        folder: PathBuf,
        /// The device, in words.
        device: String,
        /// Why that device.
        why: String,
        /// Whether this continues an interrupted run.
        resumed: bool,
        /// The threshold in force.
        #[serde(with = "crate::finite")]
        threshold: f64,
        /// Version of the program.
        version: String,
        /// When, as RFC 3339.
        time: String,
    },
    /// A model is being fetched from the hub.
    Fetching {
        /// Its name.
        model: String,
        /// The file under way.
        file: String,
        /// Bytes here.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The data were read and split.
    Data {
        /// Counts.
        summary: DataSummary,
    },
    /// What the limit on lengths loses of the pairs that a model reads.
    Lengths {
        /// `annotator` or `policy`.
        model: String,
        /// Counts and quantiles.
        lengths: Lengths,
    },
    /// How a model sees prompts.
    Prompts {
        /// `annotator`, `policy` or `gold`.
        model: String,
        /// The style, and one pair written in it.
        written: PromptsReport,
    },
    /// A stage began.
    StageStarted {
        /// Which.
        stage: Stage,
        /// Optimiser steps or items that it will take.
        total: u64,
    },
    /// A stage moved on.
    Progress {
        /// Which.
        stage: Stage,
        /// Steps or items done.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// How a stage will be computed, so that it fits the device.
    Planned {
        /// Which.
        stage: Stage,
        /// The way.
        plan: ExecutionPlan,
        /// What it is expected to take.
        needs: MemoryEstimate,
    },
    /// A stage ended.
    StageEnded {
        /// Which.
        stage: Stage,
        /// Seconds that it took.
        #[serde(with = "crate::finite")]
        seconds: f64,
        /// Bytes at the peak so far: of the process on the CPU, of the device's pools on a GPU.
        #[serde(default)]
        peak_memory: Option<u64>,
    },
    /// One optimiser step.
    Step {
        /// `annotator`, `sft` or `policy`.
        stage: Stage,
        /// Counted from 1.
        step: u64,
        /// Its numbers.
        metrics: Metrics,
    },
    /// A number was measured; the report has it under this name.
    Measured {
        /// Its place in the report, with dots: `annotator.accuracy`.
        name: String,
        /// The number.
        #[serde(with = "crate::finite")]
        value: f64,
        /// Its 95 % interval, where one is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interval: Option<[f64; 2]>,
    },
    /// What is more than a number was measured; the report has it under this name.
    Tabulated {
        /// Its place in the report, with dots: `annotator.calibration`.
        name: String,
        /// The same as it stands in the report.
        table: serde_json::Value,
    },
    /// The annotations were written; tables read them from the file.
    Annotated {
        /// File name inside the run folder.
        file: PathBuf,
        /// Pairs in it.
        pairs: usize,
    },
    /// The threshold in force from the next step on.
    Threshold {
        /// τ.
        #[serde(with = "crate::finite")]
        value: f64,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Stage.
        stage: Stage,
        /// Steps done.
        step: u64,
    },
    /// The run pauses before its next step.
    Paused,
    /// The run goes on.
    Continued,
    /// Something worth knowing that stops nothing.
    Warning {
        /// In a sentence.
        message: String,
        /// Whether it concerns this sitting alone, so that it is no part of the report.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        passing: bool,
    },
    /// Something worth showing in the log.
    Note {
        /// In a sentence.
        message: String,
    },
    /// The run was stopped; it can be resumed.
    Stopped,
    /// The run failed.
    Failed {
        /// What was found, what was expected, what to try.
        message: String,
    },
    /// The run is complete.
    Finished {
        /// What came out.
        report: Box<Report>,
    },
}

impl Event {
    /// Whether nothing of the run comes after it.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Stopped | Self::Failed { .. } | Self::Finished { .. })
    }
}
