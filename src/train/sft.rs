//! Supervised fine-tuning on responses.

use burn::tensor::Tensor;

use super::{Metrics, OutputKind, PendingMetrics, Task};
use crate::batch::Sequence;
use crate::model::{Footprint, Reading, Teacher};

/// Minimise the mean negative log-likelihood of response tokens.
pub struct SftTask {
    sequences: Vec<Sequence>,
    pad: u32,
    targets: f64,
    distillation: Option<Distillation>,
}

/// Learning from a teacher before learning from the data alone (SALT, arXiv 2410.18779).
pub struct Distillation {
    /// The first so many steps.
    pub steps: u64,
    /// Who teaches; let go after the last of them, and absent where all are done or none will be.
    pub teacher: Option<Teacher>,
    /// What it takes of memory.
    pub footprint: Footprint,
}

impl SftTask {
    /// Over these sequences.
    pub fn new(sequences: Vec<Sequence>, pad: u32) -> Self {
        Self { sequences, pad, targets: 1.0, distillation: None }
    }

    /// The same where a teacher's next-token distribution is learned too, in the first steps: the loss of a
    /// token is then (1 − ω)·CE(data) + ω·CE(teacher).
    pub fn with_distillation(self, distillation: Distillation) -> Self {
        Self { distillation: Some(distillation), ..self }
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

    fn reading(&self, _items: &[usize]) -> Reading {
        let teacher = self.distillation.as_ref().and_then(|found| found.teacher.clone());
        Reading { teacher, ..Reading::default() }
    }

    fn teacher(&self) -> Option<&Footprint> {
        self.distillation.as_ref().map(|found| &found.footprint)
    }

    fn before_step(&mut self, step: u64, _total: u64) {
        if let Some(found) = self.distillation.as_mut().filter(|found| step >= found.steps) {
            found.teacher = None;
        }
    }

    fn metrics(&mut self) -> PendingMetrics {
        PendingMetrics::known(Metrics::default())
    }
}
