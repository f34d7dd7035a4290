//! How steps are computed, and what that takes of a device's memory.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{GradientCheckpointing, Sampler, Task, Training};
use crate::model::{BatchShape, Footprint, MemoryEstimate, PassKind};

/// How steps are computed; none of it changes what they compute, to rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionPlan {
    /// Compute layers again in the backward pass rather than keep what they computed.
    pub recompute: bool,
    /// Items computed at once; 0 takes a whole batch.
    pub micro_batch: usize,
    /// Seed of what adapters drop.
    pub seed: u64,
    /// Whether there is room for what a checkpoint holds while training goes on; without it,
    /// training waits until the checkpoint is written.
    #[serde(default)]
    #[serde(rename = "aside")]
    pub async_checkpoint: bool,
}

impl ExecutionPlan {
    /// The parts of a step's items that are computed at once.
    pub fn parts<'a>(
        &self,
        items: &'a [usize],
        batch_size: usize,
    ) -> impl Iterator<Item = &'a [usize]> {
        let micro = if self.micro_batch > 0 { self.micro_batch } else { usize::MAX };
        items.chunks(batch_size.max(1)).flat_map(move |batch| batch.chunks(micro))
    }

    /// The plan of one step: its own seed.
    pub(super) fn at(&self, step: u64) -> Self {
        Self { seed: self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D).wrapping_add(step), ..*self }
    }

    /// What a training takes at its peak, over all its steps.
    pub fn needs(
        &self,
        footprint: &Footprint,
        task: &dyn Task,
        order: &Sampler,
        training: &Training,
    ) -> MemoryEstimate {
        let kind = if self.recompute { PassKind::Recompute } else { PassKind::Keep };
        let scores = task.output_kind().is_scores();
        let (moves, teacher) = (task.moves_reference(), task.teacher());
        let asked = teacher.or(task.asks_start().then_some(footprint));
        let mut order = order.clone();
        let mut highest = 0;
        for step in 0..order.total {
            let items = task.items(&mut order, step);
            for (i, part) in self.parts(&items, training.batch_size).enumerate() {
                let batch = BatchShape::read(&task.sequences(part), &task.reading(part));
                // Later parts add to gradients that are there already.
                let waiting = if i > 0 { footprint.gradients() } else { 0 };
                let beside =
                    if moves { footprint.pass(&batch, scores, PassKind::Infer) } else { 0 };
                let pass = footprint.pass(&batch, scores, kind);
                // A teacher's pass is over before the other begins; what it has said stays.
                let taught = asked.map_or(0, |teacher| {
                    let asked = teacher.pass(&batch, true, PassKind::Infer);
                    asked.max(pass + footprint.taught(&batch, teacher))
                });
                highest = highest.max(waiting + beside + pass.max(taught));
            }
        }
        let gradients = footprint.gradients();
        let copy = if moves || task.asks_start() { gradients } else { 0 };
        let weights = footprint.weights() + copy + teacher.map_or(0, Footprint::weights);
        let held = highest.max(gradients + footprint.update());
        MemoryEstimate {
            weights,
            gradients,
            optimiser: footprint.optimiser(),
            activations: held.saturating_sub(gradients),
        }
    }

    /// The fastest plan whose needs stay within `limit` bytes; the smallest one where none does.
    /// Without a limit it is the smallest that computes a whole batch at once.
    pub fn choose(
        footprint: &Footprint,
        task: &dyn Task,
        order: &Sampler,
        training: &Training,
        limit: Option<u64>,
    ) -> (Self, MemoryEstimate) {
        let mut best = None;
        for plan in Self::candidates(training, limit.is_some()) {
            let needs = plan.needs(footprint, task, order, training);
            // Weights and moments, once more.
            let copy = footprint.gradients() + footprint.optimiser();
            let async_checkpoint = limit.is_some_and(|limit| needs.total() + copy <= limit);
            let plan = Self { async_checkpoint, ..plan };
            if limit.is_none_or(|limit| needs.total() <= limit) {
                return (plan, needs);
            }
            if best
                .as_ref()
                .is_none_or(|(_, least): &(Self, MemoryEstimate)| needs.total() < least.total())
            {
                best = Some((plan, needs));
            }
        }
        best.unwrap_or_default()
    }

    /// Plans that the settings allow, the fastest first: recomputing costs a third of the
    /// arithmetic, smaller parts only what a device loses on small shapes.
    fn candidates(training: &Training, limited: bool) -> Vec<Self> {
        let sizes = match training.micro_batch {
            0 if limited => {
                let halves = std::iter::successors(Some(training.batch_size.max(1)), |&n| {
                    (n > 1).then(|| n.div_ceil(2))
                });
                halves.collect()
            }
            size => vec![size],
        };
        let recompute = match training.recompute {
            GradientCheckpointing::Auto if limited => vec![false, true],
            GradientCheckpointing::Auto | GradientCheckpointing::Always => vec![true],
            GradientCheckpointing::Never => vec![false],
        };
        let plan = |recompute| {
            sizes.iter().map(move |&micro_batch| Self { recompute, micro_batch, ..Self::default() })
        };
        recompute.into_iter().flat_map(plan).collect()
    }
}

/// What was read of parts, as one that holds all their items would have it: each holds what was read of the first
/// sequence of each of its items, then of the second of each, and so on.
pub(super) fn joined(read: &[Tensor<1>], parts: &[&[usize]]) -> Tensor<1> {
    let sides = read[0].dims()[0] / parts[0].len();
    let side = |k: usize| {
        let parts = read.iter().zip(parts);
        parts.map(move |(read, part)| read.clone().narrow(0, k * part.len(), part.len()))
    };
    Tensor::cat((0..sides).flat_map(side).collect(), 0)
}
