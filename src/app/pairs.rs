//! Annotated pairs as columns: what the table, the cloud and the histogram draw.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::AnnotatedPair;
use crate::preference::{Weighting, confidence, effective_sample_size};

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

    /// Margins whose sign says whether a human agrees, where one spoke, in the unlabelled split.
    pub fn signed_margins(&self) -> Vec<f64> {
        let signed = |&i: &usize| {
            self.agrees[i].map(|agrees| if agrees { self.margins[i] } else { -self.margins[i] })
        };
        self.unlabelled.iter().filter_map(signed).collect()
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

/// What a weighting makes of a table.
#[derive(Debug, Default)]
pub struct Weights {
    /// The weighting.
    pub of: Weighting,
    /// C of each pair.
    pub confidence: Vec<f64>,
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
    /// Apply a weighting; a few milliseconds for 100,000 pairs.
    pub fn new(table: &PairTable, weighting: &Weighting) -> Self {
        let margins: Vec<f64> = table.unlabelled.iter().map(|&i| table.margins[i]).collect();
        let weights = weighting.weights(&margins);
        let mut all = Self {
            of: weighting.clone(),
            confidence: table
                .margins
                .iter()
                .map(|&d| confidence(d, weighting.temperature))
                .collect(),
            weight: vec![f64::NAN; table.pairs.len()],
            mean: weights.iter().sum::<f64>() / weights.len().max(1) as f64,
            effective: effective_sample_size(&weights),
            bins: vec![(0, 0); BINS],
            ..Self::default()
        };
        for (&i, &weight) in table.unlabelled.iter().zip(&weights) {
            all.weight[i] = weight;
            let kept = weight > 0.0;
            let bin = &mut all.bins[((all.confidence[i] * BINS as f64) as usize).min(BINS - 1)];
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
    /// Those kept for evaluation.
    HeldOut,
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
            Self::Confidence => "C = tanh(d/2T): how sure the annotator is, from 0 to 1",
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
        let range = self.weights() != (0.0..=1.0);
        range || matches!(self.sort, Column::Confidence | Column::Weight)
    }

    /// Whether any pair can be left out.
    pub fn filters(&self) -> bool {
        Self { sort: Column::Number, descending: false, ..self.clone() } != Self::default()
    }

    fn weights(&self) -> RangeInclusive<f64> {
        self.least_weight..=self.most_weight
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
            Split::HeldOut => pair.split != "unlabelled",
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
            Column::Confidence => by(&weights.confidence),
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
