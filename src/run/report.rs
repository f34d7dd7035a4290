//! What came out of a run: the content of `report.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stage::Stage;
use super::summary::{DataSummary, PromptsReport};
use crate::annotate::{Tried, Unasked};
use crate::dissect::Dissection;
use crate::evaluate::GoldReport;
use crate::preference::{Calibration, Calibrator, Combine, Gate};
use crate::text::Lengths;

/// Data part of a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataReport {
    /// Counts of the pool and its splits.
    #[serde(flatten)]
    pub summary: DataSummary,
    /// Pairs dropped because they exceed the length limit.
    pub too_long: usize,
    /// What the limit loses for each model, `annotator` and `policy`.
    #[serde(default)]
    pub lengths: BTreeMap<String, Lengths>,
    /// Pairs dropped because a chat template refuses them.
    #[serde(default)]
    pub refused: usize,
}

/// Annotator part of a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AnnotatorReport {
    /// Who labelled, as the recipe spells it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Share of held-out pairs on which it agrees with the humans; `null` if none.
    #[serde(default, with = "crate::finite")]
    pub accuracy: Option<f64>,
    /// Expected calibration error on the held-out split; `null` if none.
    #[serde(default, with = "crate::finite")]
    pub ece: Option<f64>,
    /// Negative log-likelihood on the held-out split; `null` if none.
    #[serde(default, with = "crate::finite")]
    pub nll: Option<f64>,
    /// Area under the curve of risk over coverage on the held-out split: the smaller, the better its
    /// confidence tells right labels from wrong ones; `null` if none.
    #[serde(default, with = "crate::finite")]
    pub aurc: Option<f64>,
    /// Accuracy of always preferring the longer response, for comparison.
    #[serde(default, with = "crate::finite")]
    pub longer_is_better: Option<f64>,
    /// Optimiser steps.
    pub steps: u64,
    /// Reliability on the held-out split.
    pub calibration: Option<Calibration>,
    /// By how much more than half of all questions the response in first place is preferred, from −½ to ½, before
    /// both orders are averaged; none of an annotator that does not compare.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::finite")]
    pub position_bias: Option<f64>,
    /// Share of pairs of which both orders prefer the same response; none as above.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::finite")]
    pub consistent: Option<f64>,
    /// What a tournament made of its labels; none without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tournament: Option<TournamentReport>,
    /// The question that was looked for; none where it is asked as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<QuestionReport>,
    /// Those that label together, each by itself; none where one labels alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combination: Option<CombinationReport>,
}

/// A judge's question that was looked for (ZEPO, arXiv 2406.11370).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionReport {
    /// The question as it was, as `annotator.prompt` takes it.
    pub before: String,
    /// The question as it is now.
    pub prompt: String,
    /// The line of it that was looked for.
    pub instruction: String,
    /// −|share of answers for the first place − ½| with the question as it was, and as it is now.
    #[serde(with = "crate::finite")]
    pub fairness: [f64; 2],
    /// Unlabelled pairs on which it was looked for.
    pub pairs: usize,
    /// The same on further pairs; `null` without any.
    #[serde(default, with = "crate::finite")]
    pub fairness_further: Option<[f64; 2]>,
    /// How many these are.
    pub further: usize,
    /// Epochs; fewer than asked for where nothing can be fairer.
    pub epochs: u64,
    /// All wordings that were asked, the original first.
    pub tried: Vec<Tried>,
    /// Paraphrases that were not.
    pub unasked: Unasked,
}

impl QuestionReport {
    /// Whether it is another than the one as it was.
    pub fn is_new(&self) -> bool {
        self.before != self.prompt
    }
}

/// What one order of all candidates of a prompt made of comparisons of two (HodgeRank, arXiv 0811.1067).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TournamentReport {
    /// Orders of more than two candidates.
    pub orders: usize,
    /// Pairs in them.
    pub pairs: usize,
    /// Labels that are others than the pair alone was given.
    pub overruled: usize,
    /// Share of the squares of the margins that no order explains: 0 where all comparisons agree; `null` where all
    /// margins are 0.
    #[serde(default, with = "crate::finite")]
    pub inconsistency: Option<f64>,
}

/// Several annotators as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CombinationReport {
    /// How they are combined.
    pub rule: Combine,
    /// Pairs that they are asked about.
    pub pairs: usize,
    /// Each by itself, that of `annotator.kind` first.
    pub annotators: Vec<VoiceReport>,
    /// All of them as one, before a gate.
    pub together: VoiceReport,
}

/// One of several annotators, or what they say together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VoiceReport {
    /// As the recipe names it.
    pub name: String,
    /// Its column in the table; empty for what they say together.
    pub column: String,
    /// Pairs of which it says nothing.
    pub silent: usize,
    /// Labelled pairs of the held-out split of which it says something.
    pub held_out: usize,
    /// Share of them on which it agrees with the humans; `null` if none.
    #[serde(with = "crate::finite")]
    pub accuracy: Option<f64>,
    /// Expected calibration error there; `null` if none.
    #[serde(with = "crate::finite")]
    pub ece: Option<f64>,
    /// Area under the curve of risk over coverage there; `null` if none.
    #[serde(with = "crate::finite")]
    pub aurc: Option<f64>,
    /// How often it is right by Dawid and Skene's estimate, which knows no human label; `null` for other rules.
    #[serde(default, with = "crate::finite")]
    pub estimated: Option<f64>,
    /// How its margins become log-odds.
    pub calibrator: Option<Calibrator>,
}

/// Confidence part of a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfidenceReport {
    /// Mean C over the unlabelled split; `null` if it is empty.
    #[serde(default, with = "crate::finite")]
    pub mean: Option<f64>,
    /// Pairs of the unlabelled split with weight above 0.
    pub kept: usize,
    /// Share of weak labels that agree with human labels, where those are known.
    #[serde(default, with = "crate::finite")]
    pub agreement: Option<f64>,
    /// The same among the kept pairs.
    #[serde(default, with = "crate::finite")]
    pub agreement_kept: Option<f64>,
    /// What was fitted to make log-odds of margins; none where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<FittedReport>,
    /// The gate that says how far labels are to be trusted; none where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateReport>,
}

/// A gate that was fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// What was found.
    pub gate: Gate,
    /// Pairs of the calibration split.
    pub pairs: usize,
    /// AURC of the gate on them, each part judged by a gate that was fitted on the others.
    #[serde(with = "crate::finite")]
    pub cross_fitted: Option<f64>,
    /// AURC of the margins themselves there.
    #[serde(with = "crate::finite")]
    pub cross_fitted_plain: Option<f64>,
}

/// A calibrator that was fitted, and what it changes on the held-out split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittedReport {
    /// How margins become log-odds.
    pub calibrator: Calibrator,
    /// Pairs of the calibration split.
    pub pairs: usize,
    /// With margins taken as log-odds as they are; none without held-out labels.
    pub before: Option<Calibration>,
    /// Calibrated.
    pub after: Option<Calibration>,
}

/// How many pairs of its steps a threshold left with a weight above 0, whatever it was then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeptReport {
    /// Mean share over the steps so far.
    #[serde(with = "crate::finite")]
    pub mean: f64,
    /// Share in the last step.
    #[serde(with = "crate::finite")]
    pub last: f64,
    /// Steps so far.
    pub steps: u64,
}

impl KeptReport {
    /// With the share of one more step.
    pub(crate) fn and(self, share: f64) -> Self {
        let steps = self.steps + 1;
        Self { mean: self.mean + (share - self.mean) / steps as f64, last: share, steps }
    }
}

/// Policy part of a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyReport {
    /// The objective, as the recipe spells it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub objective: String,
    /// Optimiser steps.
    pub steps: u64,
    /// Pairs with weight above 0, step by step, with the threshold in force; `null` where labels are not
    /// weighed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptReport>,
    /// Mean β-scaled margin on the held-out split under human labels; `null` if empty.
    #[serde(default, with = "crate::finite")]
    pub rewards_margin: Option<f64>,
    /// Share of held-out pairs with a positive margin; `null` if empty.
    #[serde(default, with = "crate::finite")]
    pub rewards_accuracy: Option<f64>,
}

/// A round of alignment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoundReport {
    /// Optimiser steps.
    pub steps: u64,
    /// Prompts that the policy wrote to when it began; 0 for one on labelled pairs.
    pub prompts: usize,
    /// Prompts that make no pair, because all responses to them are the same.
    pub alike: usize,
    /// Prompts that make no pair, because the annotator says nothing of two of their responses.
    pub silent: usize,
    /// Pairs that the policy can learn from.
    pub pairs: usize,
    /// Those that batches are made of, with a weight above 0 under the threshold of its beginning.
    pub kept: usize,
    /// Mean tokens of what the policy wrote; `null` if nothing.
    #[serde(with = "crate::finite")]
    pub length: Option<f64>,
    /// Share of it that has an end; `null` if nothing.
    #[serde(with = "crate::finite")]
    pub ended: Option<f64>,
    /// Mean C of the pairs; `null` where the annotator is not asked.
    #[serde(with = "crate::finite")]
    pub confidence: Option<f64>,
    /// Share of the pairs on which the annotator agrees with the gold reward; `null` where there is none.
    #[serde(with = "crate::finite")]
    pub annotator_accuracy: Option<f64>,
    /// Its expected calibration error there.
    #[serde(with = "crate::finite")]
    pub annotator_ece: Option<f64>,
    /// Mean gold reward of the responses of the pairs.
    #[serde(with = "crate::finite")]
    pub gold: Option<f64>,
}

/// What came out of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The run's name.
    pub name: String,
    /// The data.
    pub data: DataReport,
    /// How prompts were written for `annotator`, `policy` and `gold`.
    #[serde(default)]
    pub prompts: BTreeMap<String, PromptsReport>,
    /// The annotator.
    pub annotator: AnnotatorReport,
    /// Its confidence.
    pub confidence: ConfidenceReport,
    /// What its labels and people's reward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dissection: Option<Dissection>,
    /// The policy.
    pub policy: PolicyReport,
    /// Its rounds by their numbers, from 1, where there are several or it writes what it learns from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rounds: BTreeMap<String, RoundReport>,
    /// Samples against the gold reward; only in the built-in demonstration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold: Option<GoldReport>,
    /// Steps of each stage that were skipped because their loss or gradient was no finite number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped_steps: BTreeMap<Stage, u64>,
    /// The device, in words.
    pub device: String,
    /// Wall-clock seconds, resumed parts included.
    #[serde(with = "crate::finite")]
    pub seconds: f64,
    /// Everything that was warned of.
    pub warnings: Vec<String>,
    /// Intervals of what was measured, by the names of the numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, [f64; 2]>,
    /// What was measured beside all that, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, Value>,
}
