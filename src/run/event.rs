//! What a run reports, one fact at a time.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{PromptsReport, Recipe, Report};
use crate::data::BadRow;
use crate::model::Needs;
use crate::text::Lengths;
use crate::train::{Metrics, Plan};

/// The stages of a run, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Read, split and tokenise.
    Data,
    /// Train the annotator on the labelled split.
    Annotator,
    /// Score the unlabelled and held-out splits.
    Confidence,
    /// Fine-tune the policy on the chosen responses.
    Sft,
    /// Log-probabilities of the frozen reference.
    Reference,
    /// Preference optimisation.
    Policy,
    /// Measure on the held-out split.
    Evaluate,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 7] = [
        Self::Data,
        Self::Annotator,
        Self::Confidence,
        Self::Sft,
        Self::Reference,
        Self::Policy,
        Self::Evaluate,
    ];

    /// The name, as events spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Annotator => "annotator",
            Self::Confidence => "confidence",
            Self::Sft => "sft",
            Self::Reference => "reference",
            Self::Policy => "policy",
            Self::Evaluate => "evaluate",
        }
    }
}

/// What was read from one data file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileSummary {
    /// The file.
    pub path: PathBuf,
    /// Its format, for a person.
    pub format: String,
    /// Readable pairs.
    pub pairs: usize,
    /// Rows that were skipped, all of them.
    pub bad_rows: usize,
    /// The first skipped rows.
    pub bad: Vec<BadRow>,
    /// What was guessed, and what was left out though it may belong to the prompts.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Columns that nothing was taken from.
    #[serde(default)]
    pub unread: Vec<String>,
}

/// What was read, and how it was split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    /// Readable pairs, before length and split.
    pub pairs: usize,
    /// Rows that were skipped.
    pub bad_rows: usize,
    /// Skipped rows by reason.
    pub bad_by_reason: BTreeMap<String, usize>,
    /// Pairs that occur more than once (each repetition counts).
    pub duplicates: usize,
    /// Pairs whose annotators tied; dropped.
    pub ties: usize,
    /// Pairs with human labels that train the annotator.
    pub labelled: usize,
    /// Pairs that the annotator labels for the policy.
    pub unlabelled: usize,
    /// Pairs kept for evaluation.
    pub held_out: usize,
    /// File by file.
    pub files: Vec<FileSummary>,
}

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
        plan: Plan,
        /// What it is expected to take.
        needs: Needs,
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
