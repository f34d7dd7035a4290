//! How stages are computed within a device's memory.

use super::Event;
use super::error::RunError;
use super::session::Session;
use super::stage::AboutStage;
use crate::annotate::{Shapes, scoring_needs, shapes_of};
use crate::batch::Sequence;
use crate::model::{Footprint, MemoryEstimate};
use crate::train::{ExecutionPlan, Sampler, Task, Training};

impl Session<'_> {
    /// How a training stage is computed: as an earlier sitting decided, or the fastest way that
    /// fits.
    pub(crate) fn plan(
        &mut self,
        stage: &AboutStage,
        footprint: &Footprint,
        task: &dyn Task,
        order: &Sampler,
        training: &Training,
    ) -> Result<ExecutionPlan, RunError> {
        self.plan_once(stage, |limit, reduced| match reduced {
            Some(plan) => (plan, plan.needs(footprint, task, order, training)),
            None => ExecutionPlan::choose(footprint, task, order, training, limit),
        })
    }

    /// How many sequences a stage without training computes at once.
    pub(crate) fn scoring_batch(
        &mut self,
        stage: &AboutStage,
        footprint: &Footprint,
        scores: bool,
        sequences: &[&Sequence],
        wanted: usize,
    ) -> Result<usize, RunError> {
        let shapes: Shapes<'_> = &|size| shapes_of(sequences, size);
        self.scoring_batch_in(stage, footprint, scores, shapes, wanted)
    }

    /// The same in batches of these shapes.
    pub(crate) fn scoring_batch_in(
        &mut self,
        stage: &AboutStage,
        footprint: &Footprint,
        scores: bool,
        shapes: Shapes<'_>,
        wanted: usize,
    ) -> Result<usize, RunError> {
        let plan = self.plan_once(stage, |limit, reduced| {
            let wanted = reduced.map_or(wanted, |plan| plan.micro_batch);
            let (size, needs) = scoring_needs(footprint, scores, shapes, wanted, limit);
            (ExecutionPlan { micro_batch: size, ..ExecutionPlan::default() }, needs)
        })?;
        Ok(plan.micro_batch)
    }

    fn plan_once(
        &mut self,
        about: &AboutStage,
        choose: impl FnOnce(Option<u64>, Option<ExecutionPlan>) -> (ExecutionPlan, MemoryEstimate),
    ) -> Result<ExecutionPlan, RunError> {
        let AboutStage { stage, seed, .. } = *about;
        if let Some(plan) = self.state.now.plans.get(&stage) {
            return Ok(*plan);
        }
        let (plan, needs) = choose(self.memory, self.state.now.reduced.get(&stage).copied());
        let plan = ExecutionPlan { seed: self.recipe.seed ^ seed << 32, ..plan };
        if let Some(limit) = self.memory.filter(|limit| *limit < needs.total()) {
            let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
            self.warn(format!(
                "stage {} will take about {:.1} GiB, and the device has {:.1} GiB for it: it may fail; `confide estimate` tells what would fit",
                stage.name(),
                gib(needs.total()),
                gib(limit)
            ))?;
        }
        self.emit(Event::Planned { stage, plan, needs })?;
        self.state.now.plans.insert(stage, plan);
        Ok(plan)
    }
}
