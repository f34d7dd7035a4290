//! Annotated pairs as columns: what the table, the cloud and the histogram draw.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::AnnotatedPair;
use crate::preference::{
    Calibration, Calibrator, Fitted, Judged, Said, Weighting, calibration, confidence,
    effective_sample_size,
};

/// Bins of the histogram of C.
pub const BINS: usize = 40;

/// All annotated pairs of a run, with what never changes computed once.
#[derive(Debug, Default)]
pub struct PairTable {
    /// The pairs.
    pub pairs: Vec<AnnotatedPair>,
    /// d of each pair.
    pub margins: Vec<f64>,
    /// Characters of the chosen response minus those of the rejected one.
    pub longer: Vec<i32>,
    /// Whether a human agrees with the weak label.
    pub agrees: Vec<Option<bool>>,
    /// The pairs of the unlabelled split: only these get weights.
    pub unlabelled: Vec<usize>,
}

impl PairTable {
    /// Compute the columns; slow for many pairs.
    pub fn new(pairs: Vec<AnnotatedPair>) -> Self {
        let length = |text: &str| text.chars().count() as i32;
        Self {
            margins: pairs.iter().map(|pair| pair.margin).collect(),
            longer: pairs.par_iter().map(|p| length(p.chosen()) - length(p.rejected())).collect(),
            agrees: pairs.iter().map(AnnotatedPair::agrees).collect(),
            unlabelled: (0..pairs.len()).filter(|&i| pairs[i].split == "unlabelled").collect(),
            pairs,
        }
    }

    /// What the annotator leaves beside scores and margins, by name.
    pub fn columns(&self) -> BTreeSet<&str> {
        self.pairs.iter().flat_map(|pair| pair.columns.keys()).map(String::as_str).collect()
    }

    /// Margins that are positive where a human agrees, where one spoke, in a split by its name.
    pub fn signed_margins(&self, split: &str) -> Vec<f64> {
        let of_split = self.pairs.iter().filter(|pair| pair.split == split);
        of_split.filter_map(AnnotatedPair::signed_margin).collect()
    }
}

/// Right ones among those that a human judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Human and weak label agree.
    pub right: usize,
    /// A human label is known.
    pub known: usize,
}

impl Agreement {
    /// The share of right ones; `None` where no human spoke.
    pub fn share(self) -> Option<f64> {
        (self.known > 0).then(|| self.right as f64 / self.known as f64)
    }

    fn add(&mut self, agrees: Option<bool>) {
        self.known += usize::from(agrees.is_some());
        self.right += usize::from(agrees == Some(true));
    }
}

/// What a weighting says of a table before its threshold.
#[derive(Debug, Default)]
pub struct Calibrated {
    /// How margins become log-odds; `None` where that is to be fitted, and the table has no pairs for it: then
    /// they are taken as they are.
    pub fitted: Option<Fitted>,
    /// Agreement with the humans on the held-out split, if margins are taken as they are.
    pub before: Option<Calibration>,
    /// The same, calibrated.
    pub after: Option<Calibration>,
    /// C of each pair.
    pub confidence: Vec<f64>,
    /// The unlabelled split.
    judged: Judged,
    /// Why it has no weights.
    pub problem: Option<String>,
}

impl Calibrated {
    fn new(table: &PairTable, weighting: &Weighting) -> Self {
        let fitted = weighting.calibrator(&table.signed_margins("calibration"));
        let calibrator = fitted.as_ref().map_or(&Calibrator::NONE, |fitted| &fitted.calibrator);
        let held_out = table.signed_margins("held_out");
        let unlabelled = table.unlabelled.iter().map(|&i| &table.pairs[i]);
        let said: Vec<Said<'_>> = unlabelled.map(|p| (p.margin, &p.columns)).collect();
        let (judged, problem) = match weighting.judge(calibrator, &said) {
            Ok(judged) => (judged, None),
            Err(problem) => (Judged::default(), Some(problem)),
        };
        Self {
            before: calibration(&held_out, &Calibrator::NONE),
            after: calibration(&held_out, calibrator),
            confidence: table.margins.iter().map(|&d| confidence(calibrator.log_odds(d))).collect(),
            judged,
            problem,
            fitted,
        }
    }
}

/// What a weighting makes of a table.
#[derive(Debug, Default)]
pub struct Weights {
    /// The weighting.
    pub of: Weighting,
    /// What it says before its threshold, which may move alone.
    pub calibrated: Arc<Calibrated>,
    /// Weight of each pair; NaN outside the unlabelled split.
    pub weight: Vec<f64>,
    /// Pairs of the unlabelled split with weight above 0.
    pub kept: usize,
    /// Mean weight over the unlabelled split, dropped pairs included.
    pub mean: f64,
    /// How many equally weighted pairs the weights are worth.
    pub effective: f64,
    /// Agreement with humans among kept pairs.
    pub agree_kept: Agreement,
    /// Agreement with humans among dropped pairs.
    pub agree_dropped: Agreement,
    /// Pairs of the unlabelled split per bin of C over [0, 1]: (dropped, kept).
    pub bins: Vec<(usize, usize)>,
}

impl Weights {
    /// Apply a weighting.
    pub fn new(table: &PairTable, weighting: &Weighting) -> Self {
        Self::of_said(table, weighting, &Arc::new(Calibrated::new(table, weighting)))
    }

    /// Apply another weighting to the same table; a few milliseconds for 100,000 pairs where its threshold
    /// alone is another.
    pub fn again(&self, table: &PairTable, weighting: &Weighting) -> Self {
        let same = Weighting { threshold: weighting.threshold, ..self.of.clone() };
        if same == *weighting {
            return Self::of_said(table, weighting, &self.calibrated);
        }
        Self::new(table, weighting)
    }

    fn of_said(table: &PairTable, weighting: &Weighting, calibrated: &Arc<Calibrated>) -> Self {
        let weights = weighting.weigh(&calibrated.judged);
        let mut all = Self {
            of: weighting.clone(),
            weight: vec![f64::NAN; table.pairs.len()],
            mean: weights.iter().sum::<f64>() / weights.len().max(1) as f64,
            effective: effective_sample_size(&weights),
            bins: vec![(0, 0); BINS],
            calibrated: Arc::clone(calibrated),
            ..Self::default()
        };
        for (&i, &weight) in table.unlabelled.iter().zip(&weights) {
            all.weight[i] = weight;
            let kept = weight > 0.0;
            let bin =
                &mut all.bins[((calibrated.confidence[i] * BINS as f64) as usize).min(BINS - 1)];
            if kept {
                bin.1 += 1;
                all.kept += 1;
                all.agree_kept.add(table.agrees[i]);
            } else {
                bin.0 += 1;
                all.agree_dropped.add(table.agrees[i]);
            }
        }
        all
    }
}

/// Which pairs the table shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Split {
    /// All of them.
    #[default]
    All,
    /// Those that the policy learns from.
    Unlabelled,
    /// Those that calibrate.
    Calibration,
    /// Those kept for evaluation.
    HeldOut,
}

impl Split {
    /// All choices, in order.
    pub const ALL: [Self; 4] = [Self::All, Self::Unlabelled, Self::Calibration, Self::HeldOut];
}

/// A column of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Column {
    /// The order of the file.
    #[default]
    Number,
    /// The prompt.
    Prompt,
    /// The response with the higher score.
    Chosen,
    /// The other one.
    Rejected,
    /// Score of the chosen response.
    ScoreChosen,
    /// Score of the rejected response.
    ScoreRejected,
    /// d.
    Margin,
    /// C.
    Confidence,
    /// Weight.
    Weight,
    /// Whether a human agrees.
    Human,
}

impl Column {
    /// All columns, in order.
    pub const ALL: [Self; 10] = [
        Self::Number,
        Self::Prompt,
        Self::Chosen,
        Self::Rejected,
        Self::ScoreChosen,
        Self::ScoreRejected,
        Self::Margin,
        Self::Confidence,
        Self::Weight,
        Self::Human,
    ];

    /// Its header.
    pub fn title(self) -> &'static str {
        match self {
            Self::Number => "#",
            Self::Prompt => "Prompt",
            Self::Chosen => "Chosen",
            Self::Rejected => "Rejected",
            Self::ScoreChosen => "Score +",
            Self::ScoreRejected => "Score −",
            Self::Margin => "Margin",
            Self::Confidence => "C",
            Self::Weight => "Weight",
            Self::Human => "Human",
        }
    }

    /// What it means.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Number => "Place in the annotations file",
            Self::Prompt => "The prompt",
            Self::Chosen => "The response that the annotator scores higher",
            Self::Rejected => "The response that the annotator scores lower",
            Self::ScoreChosen => "The annotator's score of the chosen response",
            Self::ScoreRejected => "The annotator's score of the rejected response",
            Self::Margin => "d: the score of the chosen response minus that of the rejected one",
            Self::Confidence => {
                "C = 2σ(d/T) − 1, calibrated: how sure the annotator is, from 0 to 1"
            }
            Self::Weight => "What multiplies this pair's loss; held-out pairs have none",
            Self::Human => "Whether a human label, where known, agrees with the annotator",
        }
    }
}

/// What to show, and in which order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Query {
    /// Only pairs whose prompt or responses contain this, whatever the case.
    pub text: String,
    /// Only this split.
    pub split: Split,
    /// Only pairs on which human and annotator disagree.
    pub disagreements: bool,
    /// Only weights within; pairs without a weight count as 0.
    pub least_weight: f64,
    /// The upper end.
    pub most_weight: f64,
    /// By which column.
    pub sort: Column,
    /// The other way round.
    pub descending: bool,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            text: String::new(),
            split: Split::All,
            disagreements: false,
            least_weight: 0.0,
            most_weight: 1.0,
            sort: Column::Number,
            descending: false,
        }
    }
}

impl Query {
    /// Whether another weighting can change the answer.
    pub fn depends_on_weights(&self) -> bool {
        let range = (self.least_weight, self.most_weight) != (0.0, 1.0);
        range || matches!(self.sort, Column::Confidence | Column::Weight)
    }

    /// Whether any pair can be left out.
    pub fn filters(&self) -> bool {
        Self { sort: Column::Number, descending: false, ..self.clone() } != Self::default()
    }

    /// Weights that it asks for; those of an expression may be more than 1, which is the most that is asked
    /// for.
    fn weights(&self) -> RangeInclusive<f64> {
        let most = if self.most_weight >= 1.0 { f64::INFINITY } else { self.most_weight };
        self.least_weight..=most
    }

    /// Indices of the pairs that match, in order; slow for many pairs, so off the UI thread.
    pub fn rows(&self, table: &PairTable, weights: &Weights) -> Vec<u32> {
        let needle = self.text.trim().to_lowercase();
        let matches = |&i: &u32| self.matches(i as usize, &needle, table, weights);
        let mut rows: Vec<u32> =
            (0..table.pairs.len() as u32).into_par_iter().filter(matches).collect();
        let order = |a: &u32, b: &u32| {
            let order = self.compare(*a as usize, *b as usize, table, weights);
            // Equal ones stay in the order of the file, whichever way the column is sorted.
            if self.descending { order.reverse() } else { order }.then(a.cmp(b))
        };
        rows.par_sort_unstable_by(order);
        rows
    }

    fn matches(&self, i: usize, needle: &str, table: &PairTable, weights: &Weights) -> bool {
        let pair = &table.pairs[i];
        let split = match self.split {
            Split::All => true,
            Split::Unlabelled => pair.split == "unlabelled",
            Split::Calibration => pair.split == "calibration",
            Split::HeldOut => pair.split == "held_out",
        };
        let weight = weights.weight.get(i).copied().filter(|w| !w.is_nan()).unwrap_or(0.0);
        split
            && (!self.disagreements || table.agrees[i] == Some(false))
            && self.weights().contains(&weight)
            && (needle.is_empty() || contains(pair, needle))
    }

    fn compare(&self, a: usize, b: usize, table: &PairTable, weights: &Weights) -> Ordering {
        let (p, q) = (&table.pairs[a], &table.pairs[b]);
        let by = |column: &[f64]| {
            let value = |i: usize| {
                column.get(i).copied().filter(|v| !v.is_nan()).unwrap_or(f64::NEG_INFINITY)
            };
            value(a).total_cmp(&value(b))
        };
        match self.sort {
            Column::Number => a.cmp(&b),
            Column::Prompt => p.prompt.cmp(&q.prompt),
            Column::Chosen => p.chosen().cmp(q.chosen()),
            Column::Rejected => p.rejected().cmp(q.rejected()),
            Column::ScoreChosen => score(p, true).total_cmp(&score(q, true)),
            Column::ScoreRejected => score(p, false).total_cmp(&score(q, false)),
            Column::Margin => by(&table.margins),
            Column::Confidence => by(&weights.calibrated.confidence),
            Column::Weight => by(&weights.weight),
            Column::Human => table.agrees[a].cmp(&table.agrees[b]),
        }
    }
}

/// The score of the chosen or the rejected response.
pub fn score(pair: &AnnotatedPair, chosen: bool) -> f32 {
    let [first, second] = pair.scores;
    if chosen { first.max(second) } else { first.min(second) }
}

fn contains(pair: &AnnotatedPair, needle: &str) -> bool {
    let texts = [&pair.prompt, &pair.responses[0], &pair.responses[1]];
    texts.into_iter().any(|text| text.to_lowercase().contains(needle))
}
