//! The annotator's training: a scalar head under the Bradley–Terry model.

use burn::tensor::Tensor;

use super::{Metrics, OutputKind, PendingMetrics, Task};
use crate::batch::{Ranked, Sequence};
use crate::model::floats;
use crate::preference::bradley_terry;

/// Minimise −log σ(s⁺ − s⁻) over pairs (chosen, rejected).
pub struct BradleyTerryTask {
    pairs: Vec<Ranked<Sequence>>,
    pad: Option<u32>,
    /// By how much each s⁺ is to exceed its s⁻; empty for nothing.
    margins: Vec<f32>,
    /// c of c·(s⁺ + s⁻)², which holds scores near 0.
    centering: f64,
    count: f64,
    differences: Vec<Tensor<1>>,
}

impl BradleyTerryTask {
    /// Over these pairs; a score is read at the last token that
    /// is not `pad`.
    pub fn new(pairs: Vec<Ranked<Sequence>>, pad: impl Into<Option<u32>>) -> Self {
        Self {
            pairs,
            pad: pad.into(),
            margins: Vec::new(),
            centering: 0.0,
            count: 1.0,
            differences: Vec::new(),
        }
    }

    /// The same with a margin m for each pair, for −log σ(s⁺ − s⁻ − m) (arXiv 2307.09288, eq. 2).
    pub fn with_margins(self, margins: Vec<f32>) -> Self {
        Self { margins, ..self }
    }

    /// The same with c·(s⁺ + s⁻)² added to each pair's loss (arXiv 2312.09244); 0 adds nothing.
    pub fn with_centering(self, centering: f64) -> Self {
        Self { centering, ..self }
    }

    /// The loss of each of these pairs, `[N]`.
    fn losses(&self, items: &[usize], chosen: Tensor<1>, rejected: Tensor<1>) -> Tensor<1> {
        let preferred = if self.margins.is_empty() {
            chosen.clone()
        } else {
            let margins: Vec<f32> = items.iter().map(|&i| self.margins[i]).collect();
            chosen.clone() - floats(&margins, &chosen.device())
        };
        let losses = bradley_terry(preferred, rejected.clone());
        if self.centering == 0.0 {
            return losses;
        }
        losses + (chosen + rejected).square().mul_scalar(self.centering)
    }
}

impl Task for BradleyTerryTask {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn begin(&mut self, items: &[usize]) {
        self.count = items.len().max(1) as f64;
        self.differences.clear();
    }

    fn output_kind(&self) -> OutputKind {
        OutputKind::Scores
    }

    fn sequences(&self, items: &[usize]) -> Vec<&Sequence> {
        let sides = || items.iter().map(|&i| &self.pairs[i]);
        sides().map(|s| &s.chosen).chain(sides().map(|s| &s.rejected)).collect()
    }

    fn pad(&self) -> Option<u32> {
        self.pad
    }

    fn loss(&mut self, items: &[usize], outputs: Tensor<1>) -> Tensor<1> {
        let n = items.len();
        let (chosen, rejected) = (outputs.clone().narrow(0, 0, n), outputs.narrow(0, n, n));
        self.differences.push((chosen.clone() - rejected.clone()).inner());
        self.losses(items, chosen, rejected).sum().div_scalar(self.count)
    }

    fn metrics(&mut self) -> PendingMetrics {
        PendingMetrics {
            metrics: Metrics::default(),
            numbers: std::mem::take(&mut self.differences),
            finish: Box::new(|margins, metrics| {
                let n = margins.len() as f64;
                metrics.set("accuracy", margins.iter().filter(|m| **m > 0.0).count() as f64 / n);
                metrics.set("margin", margins.iter().sum::<f64>() / n);
            }),
        }
    }
}
