//! The annotator's training: a scalar head under the Bradley–Terry model.

use burn::tensor::Tensor;

use super::{Metrics, OutputKind, PendingMetrics, Task};
use crate::batch::{Ranked, Sequence};
use crate::preference::bradley_terry;

/// Minimise −log σ(s⁺ − s⁻) over pairs (chosen, rejected).
pub struct BradleyTerryTask {
    pairs: Vec<Ranked<Sequence>>,
    pad: Option<u32>,
    count: f64,
    margins: Vec<Tensor<1>>,
}

impl BradleyTerryTask {
    /// Over these pairs; a score is read at the last token that
    /// is not `pad`.
    pub fn new(pairs: Vec<Ranked<Sequence>>, pad: impl Into<Option<u32>>) -> Self {
        Self { pairs, pad: pad.into(), count: 1.0, margins: Vec::new() }
    }
}

impl Task for BradleyTerryTask {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn begin(&mut self, items: &[usize]) {
        self.count = items.len().max(1) as f64;
        self.margins.clear();
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
        self.margins.push((chosen.clone() - rejected.clone()).inner());
        bradley_terry(chosen, rejected).sum().div_scalar(self.count)
    }

    fn metrics(&mut self) -> PendingMetrics {
        PendingMetrics {
            metrics: Metrics::default(),
            numbers: std::mem::take(&mut self.margins),
            finish: Box::new(|margins, metrics| {
                let n = margins.len() as f64;
                metrics.set("accuracy", margins.iter().filter(|m| **m > 0.0).count() as f64 / n);
                metrics.set("margin", margins.iter().sum::<f64>() / n);
            }),
        }
    }
}
