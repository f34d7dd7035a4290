//! Training stages: from a checkpoint if there is one, with checkpoints and events on the way.

use std::time::Instant;

use super::Event;
use super::checkpoint::{self, Checkpointing, Snapshot, Writing, Written};
use super::checkpoint_folder::{self, MOMENTS, TASK, WEIGHTS};
use super::error::RunError;
use super::session::Session;
use super::stage::{AboutStage, Stage};
use super::state::{CHECKPOINTS, CheckpointState};
use crate::files::Checksums;
use crate::model::{Decoder, Precision, load_named, take_tensors, trained_handles};
use crate::train::{
    AdamW, Ended, ExecutionPlan, Flow, Metrics, NonFinite, Sampler, Start, Task, TrainError,
    TrainerCallback, Training,
};

/// The place of one training among those of its stage, which are done one after the other; their steps
/// are counted on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    /// Its number.
    pub(crate) number: usize,
    /// Steps of those before it.
    pub(crate) before: u64,
    /// Steps of all.
    pub(crate) total: u64,
}

/// How a decoder is trained.
pub(crate) struct Course<'t> {
    /// In which order it takes what it learns.
    pub(crate) order: Sampler,
    /// How long and how fast.
    pub(crate) training: &'t Training,
    /// How steps are computed.
    pub(crate) plan: ExecutionPlan,
}

impl Session<'_> {
    /// Train a decoder in a stage, from its checkpoint if there is one.
    pub(crate) fn train(
        &mut self,
        about: &AboutStage,
        model: Decoder,
        task: &mut dyn Task,
        order: Sampler,
        training: &Training,
        plan: ExecutionPlan,
    ) -> Result<Decoder, RunError> {
        let only = Phase { number: 0, before: 0, total: order.total };
        self.train_phase(about, only, model, task, Course { order, training, plan })
    }

    /// The number of the training at which a stage goes on; those before are complete, and what they
    /// have left is whole.
    pub(crate) fn phase(&self, stage: Stage) -> usize {
        self.state.checkpoints(stage).last().map_or(0, |checkpoint| checkpoint.phase)
    }

    /// The same for one of several trainings of a stage.
    pub(crate) fn train_phase(
        &mut self,
        about: &AboutStage,
        phase: Phase,
        model: Decoder,
        task: &mut dyn Task,
        course: Course<'_>,
    ) -> Result<Decoder, RunError> {
        let Course { order, training, plan } = course;
        let stage = about.stage;
        let optimiser = AdamW::new(training.weight_decay);
        let mut start = Start::fresh(model, optimiser, plan);
        start.skipped = self.state.now.report.skipped_steps.get(&stage).copied().unwrap_or(0);
        let newest = self.state.checkpoints(stage).last().cloned();
        if let Some(checkpoint) = newest.filter(|newest| newest.phase == phase.number) {
            self.restore(
                &mut start,
                task,
                &checkpoint,
                checkpoint.step.saturating_sub(phase.before),
            )?;
        }
        let mut callback = StageCallback {
            stage,
            phase,
            tokens: start.tokens,
            last: Instant::now(),
            error: None,
            async_checkpoint: plan.async_checkpoint,
            writing: None,
            cost: 0.0,
            session: self,
        };
        let ended = crate::train::train(start, task, order, training, &mut callback);
        let written = callback.finish_checkpoint();
        if let Some(error) = callback.error.take() {
            return Err(error);
        }
        drop(callback);
        let ended = match ended {
            Err(TrainError::Diverged { found, sound }) => {
                written?;
                return Err(self.diverged(about, training, found, sound));
            }
            other => other?,
        };
        written?;
        match ended {
            Ended::Done(model) => Ok(*model),
            Ended::Stopped => Err(RunError::Stopped),
        }
    }

    /// Start from a checkpoint, after so many steps of its training.
    fn restore(
        &self,
        start: &mut Start,
        task: &mut dyn Task,
        checkpoint: &CheckpointState,
        step: u64,
    ) -> Result<(), RunError> {
        let folder = self.folder.path().join(CHECKPOINTS).join(&checkpoint.folder);
        let (weights, moments) =
            (load_named(&folder.join(WEIGHTS))?, load_named(&folder.join(MOMENTS))?);
        let fits = checkpoint::same_tensors(&weights, &trained_handles(&start.model));
        fits.map_err(|found| {
            RunError::Impossible(format!(
                "{}: {found}; this is the checkpoint of another model: begin the run again",
                folder.join(WEIGHTS).display()
            ))
        })?;
        start.model = take_tensors(start.model.clone(), weights);
        start.optimiser.restore(moments, step, &self.device);
        start.step = step;
        start.tokens = checkpoint.tokens;
        let remembered = folder.join(TASK);
        if remembered.exists() {
            task.restore(load_named(&remembered)?);
        }
        Ok(())
    }

    /// Why a training that diverged ends, and what to change.
    fn diverged(
        &self,
        about: &AboutStage,
        training: &Training,
        found: NonFinite,
        sound: bool,
    ) -> RunError {
        let section = about.stage.name();
        let (precision, _) = self.recipe.storage(about.model.section());
        let all = self.folder.path().join(CHECKPOINTS);
        let kept = match self.state.checkpoints(about.stage).last() {
            Some(checkpoint) if sound => {
                let folder = all.join(&checkpoint.folder);
                format!("the last finite weights are in {}", folder.display())
            }
            Some(checkpoint) => {
                let folder = all.join(&checkpoint.folder);
                format!("the weights have overflowed too, earlier ones are in {}", folder.display())
            }
            None => "the weights have overflowed too, and none are kept".to_owned(),
        };
        let mut advice =
            vec![format!("lower {section}.learning_rate, which is {:?}", training.learning_rate)];
        if training.max_grad_norm <= 0.0 {
            advice.push(format!("set {section}.max_grad_norm (1.0, say), which is off"));
        }
        if precision == Precision::F16 {
            advice.push("take another precision than f16, which overflows early".to_owned());
        }
        if found.step == found.skipped + 1 {
            advice.push(
                "take another model: this one gave no finite number from the start".to_owned(),
            );
        }
        RunError::Diverged {
            stage: section,
            found,
            allowed: training.skip_nonfinite,
            kept,
            advice: advice.join(", or "),
        }
    }
}

/// The share of the time that checkpoints may take; with the first one, of which nobody knows what it costs, and
/// the last they stay under 2 % of an hour.
const COST: f64 = 0.015;

/// Turns what the training loop tells into events and checkpoints.
struct StageCallback<'a, 'b> {
    stage: Stage,
    phase: Phase,
    tokens: u64,
    last: Instant,
    /// The first failure to report; training is then stopped.
    error: Option<RunError>,
    /// Whether checkpoints are written while training goes on.
    async_checkpoint: bool,
    /// A checkpoint that is being written.
    writing: Option<Writing>,
    /// Seconds that the last one took.
    cost: f64,
    session: &'a mut Session<'b>,
}

impl StageCallback<'_, '_> {
    fn keep(&mut self, result: Result<(), RunError>) {
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }

    fn write_checkpoint(
        &mut self,
        step: u64,
        model: &Decoder,
        optimiser: &AdamW,
        task: &dyn Task,
    ) -> Result<(), RunError> {
        self.finish_checkpoint()?;
        let session = &mut *self.session;
        let (phase, step) = (self.phase.number, self.phase.before + step);
        // A run that is stopped where it went on has this one already.
        let newest = session.state.checkpoints(self.stage).last();
        if newest.is_some_and(|last| (last.phase, last.step) == (phase, step)) {
            return session.save_state();
        }
        session.emit(Event::Checkpoint { stage: self.stage, step })?;
        let moment = session.moment();
        let job = Checkpointing {
            snapshot: Snapshot::take(model, optimiser, task),
            checkpoint: CheckpointState {
                step,
                tokens: self.tokens,
                folder: checkpoint_folder::name(self.stage, phase, step),
                files: Checksums::new(),
                phase,
                left: session.produced.clone(),
                moment,
            },
            state: session.state.clone(),
            keeper: session.folder.keeper()?,
        };
        if !self.async_checkpoint {
            return self.checkpoint_written(job.write());
        }
        match job.write_async() {
            Ok(thread) => {
                self.writing = Some(thread);
                Ok(())
            }
            Err(source) => {
                let path = self.session.folder.path().join(CHECKPOINTS);
                Err(RunError::Write { path, source })
            }
        }
    }

    /// Wait for a checkpoint that is being written.
    fn finish_checkpoint(&mut self) -> Result<(), RunError> {
        let Some(thread) = self.writing.take() else { return Ok(()) };
        let written = thread.join().unwrap_or_else(|panic| Err(RunError::panic(&*panic)));
        self.checkpoint_written(written)
    }

    /// Where it could not be written, the ones before are still those to go on from.
    fn checkpoint_written(&mut self, written: Result<Written, RunError>) -> Result<(), RunError> {
        let Written { checkpoint, seconds } = written?;
        self.session.state.add_checkpoint(checkpoint);
        self.cost = seconds;
        Ok(())
    }
}

impl Drop for StageCallback<'_, '_> {
    /// Where training panics, nobody else may write the state of the run meanwhile.
    fn drop(&mut self) {
        if let Err(error) = self.finish_checkpoint() {
            log::warn!("{error}");
        }
    }
}

impl TrainerCallback for StageCallback<'_, '_> {
    fn before_step(&mut self) -> Flow {
        if let Err(error) = self.session.poll() {
            if !matches!(error, RunError::Stopped) {
                self.keep(Err(error));
            }
            return Flow::Stop;
        }
        if self.error.is_some() {
            return Flow::Stop;
        }
        let told = self.session.move_threshold();
        self.keep(told);
        Flow::Go
    }

    fn after_step(&mut self, step: u64, _: u64, metrics: &Metrics) {
        let (step, total) = (self.phase.before + step, self.phase.total);
        self.tokens = metrics.get("num_tokens").unwrap_or(0.0) as u64;
        self.session.note_memory();
        let told = self
            .session
            .emit(Event::Step { stage: self.stage, step, metrics: metrics.clone() })
            .and_then(|()| {
                self.session.emit(Event::Progress { stage: self.stage, done: step, total })
            });
        self.keep(told);
    }

    fn wants_checkpoint(&mut self, step: u64, total: u64) -> bool {
        if self.writing.as_ref().is_some_and(|thread| thread.is_finished()) {
            // What it took says when the next one is due; where it failed, training ends here.
            let written = self.finish_checkpoint();
            self.keep(written);
        }
        let wanted = self.session.recipe.checkpoint_seconds;
        // Of large models on slow disks fewer, so that training has the time; none is asked for
        // more often than that unless after every step.
        let least = if wanted > 0.0 { wanted.max(self.cost / COST) } else { 0.0 };
        // The first one of a later training holds fast what those before it have left, and what was made for it.
        let left = self.phase.number > 0 || !self.session.produced.is_empty();
        let first = left && step == 1;
        let due = first || self.last.elapsed().as_secs_f64() >= least;
        let wants = due && step < total && self.writing.is_none();
        if wants {
            self.last = Instant::now();
        }
        wants
    }

    fn checkpoint(
        &mut self,
        step: u64,
        model: &Decoder,
        optimiser: &AdamW,
        task: &dyn Task,
    ) -> Result<(), TrainError> {
        // Events that could not be written are missing in what a resume would go on from.
        if let Some(error) = &self.error {
            return Err(TrainError::Checkpoint(error.to_string()));
        }
        self.write_checkpoint(step, model, optimiser, task).map_err(|error| {
            let words = error.to_string();
            self.keep(Err(error));
            TrainError::Checkpoint(words)
        })
    }

    fn warn(&mut self, message: String) {
        let told = self.session.warn(message);
        self.keep(told);
    }

    fn skipped(&mut self, found: NonFinite, allowed: u64) {
        let skipped = found.skipped + 1;
        let name = format!("skipped_steps.{}", self.stage.name());
        let told = self.session.measured(&name, skipped as f64);
        self.keep(told);
        self.warn(format!(
            "{}: {found}, so the step is skipped ({skipped} of the {allowed} that {}.skip_nonfinite allows)",
            self.stage.name(),
            self.stage.name()
        ));
    }
}
