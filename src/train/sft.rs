//! Supervised fine-tuning on responses.

use burn::tensor::Tensor;

use super::{Metrics, OutputKind, PendingMetrics, Task};
use crate::batch::Sequence;

/// Minimise the mean negative log-likelihood of response tokens.
pub struct SftTask {
    sequences: Vec<Sequence>,
    pad: u32,
    targets: f64,
}

impl SftTask {
    /// Over these sequences.
    pub fn new(sequences: Vec<Sequence>, pad: u32) -> Self {
        Self { sequences, pad, targets: 1.0 }
    }
}

impl Task for SftTask {
    fn len(&self) -> usize {
        self.sequences.len()
    }

    fn begin(&mut self, items: &[usize]) {
        let targets: usize = items.iter().map(|&i| self.sequences[i].response.len()).sum();
        self.targets = targets.max(1) as f64;
    }

    fn output_kind(&self) -> OutputKind {
        OutputKind::LogProbs
    }

    fn sequences(&self, items: &[usize]) -> Vec<&Sequence> {
        items.iter().map(|&i| &self.sequences[i]).collect()
    }

    fn pad(&self) -> Option<u32> {
        Some(self.pad)
    }

    fn loss(&mut self, _items: &[usize], outputs: Tensor<1>) -> Tensor<1> {
        outputs.sum().div_scalar(-self.targets)
    }

    fn metrics(&mut self) -> PendingMetrics {
        PendingMetrics::known(Metrics::default())
    }
}
