//! A run under way: its recipe, its folder, its device, and who listens.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use burn::tensor::Device;

use super::checkpoint::{self, Checkpointing, Snapshot, Writing, Written};
use super::checkpoint_folder::{self, MOMENTS, WEIGHTS};
use super::error::RunError;
use super::folder::RunFolder;
use super::passes::Passes;
use super::state::{CHECKPOINTS, CheckpointState, Done, Moment, State, UnderWay};
use super::{Control, Event, Recipe, Stage};
use crate::annotate::scoring_needs;
use crate::batch::Sequence;
use crate::device;
use crate::files::{Checksums, checksums};
use crate::model::{
    Decoder, Footprint, Needs, Precision, load_named, take_tensors, trained_handles,
};
use crate::train::{
    AdamW, Ended, Flow, Metrics, NonFinite, Observer, Order, Plan, Start, Task, TrainError,
    Training,
};

/// A run under way.
pub(crate) struct Session<'a> {
    pub(crate) recipe: Recipe,
    pub(crate) folder: RunFolder,
    pub(crate) state: State,
    pub(crate) device: Device,
    /// The hardware behind it.
    pub(crate) hardware: device::Candidate,
    /// Bytes that a stage may take of the device's memory, where that is known.
    pub(crate) memory: Option<u64>,
    pub(crate) control: Control,
    pub(crate) listener: &'a mut dyn FnMut(Event),
    pub(crate) begun: Instant,
    /// Seconds of earlier sittings.
    pub(crate) earlier: f64,
    /// The most memory seen so far; pools give pages back, so that it is looked at often.
    pub(crate) peak_memory: u64,
    /// Pairs dropped for their length, whoever dropped them.
    pub(crate) too_long: BTreeSet<usize>,
    /// Pairs that a chat template refuses.
    pub(crate) refused: BTreeSet<usize>,
    /// What the stage at work has left so far for later ones.
    pub(crate) produced: Checksums,
}

impl Session<'_> {
    /// Tell the listener and the log.
    pub(crate) fn emit(&mut self, event: Event) -> Result<(), RunError> {
        self.folder.log(&event)?;
        self.state.now.report.apply(&event);
        (self.listener)(event);
        Ok(())
    }

    /// Warn, and remember it for the report; a resumed stage does not warn again.
    pub(crate) fn warn(&mut self, message: String) -> Result<(), RunError> {
        if self.state.now.report.warnings.contains(&message) {
            return Ok(());
        }
        self.emit(Event::Warning { message, passing: false })
    }

    /// Tell what was measured: a number at its place in the report. What could not be measured has
    /// no number.
    pub(crate) fn measured(
        &mut self,
        name: &str,
        value: impl Into<Option<f64>>,
    ) -> Result<(), RunError> {
        match value.into() {
            Some(value) => {
                self.emit(Event::Measured { name: name.to_owned(), value, interval: None })
            }
            None => Ok(()),
        }
    }

    /// Tell what was measured and is more than a number.
    pub(crate) fn tabulated(
        &mut self,
        name: &str,
        found: &impl serde::Serialize,
    ) -> Result<(), RunError> {
        let table = serde_json::to_value(found).unwrap_or_default();
        self.emit(Event::Tabulated { name: name.to_owned(), table })
    }

    /// Tell how many pairs were left out so far.
    fn tell_left_out(&mut self) -> Result<(), RunError> {
        let told = &self.state.now.report.data;
        let (too_long, refused) = (self.too_long.len(), self.refused.len());
        let (told_long, told_refused) = (told.too_long, told.refused);
        if too_long != told_long {
            self.measured("data.too_long", too_long as f64)?;
        }
        if refused != told_refused {
            self.measured("data.refused", refused as f64)?;
        }
        Ok(())
    }

    /// What a model said of sequences in earlier runs.
    pub(crate) fn passes(&mut self, decoder: &Decoder, reads: &str) -> Result<Passes, RunError> {
        let (passes, problem) = Passes::open(decoder, reads);
        match problem {
            Some(message) => self.warn(message)?,
            None if passes.found() > 0 => {
                let message = format!("{} numbers of earlier runs are at hand", passes.found());
                self.emit(Event::Note { message })?;
            }
            None => {}
        }
        Ok(passes)
    }

    /// Keep what a model said for runs to come; that it cannot be kept fails no run.
    pub(crate) fn keep_passes(&mut self, passes: Passes) -> Result<(), RunError> {
        match passes.save() {
            Ok(()) => Ok(()),
            Err(e) => self.warn(format!(
                "what the model said is not kept for other runs: {e}; set CONFIDE_CACHE to a folder that can be written, or to nothing"
            )),
        }
    }

    fn note_memory(&mut self) {
        let now = device::peak_memory(&self.device).unwrap_or(0);
        self.peak_memory = self.peak_memory.max(now);
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.earlier + self.begun.elapsed().as_secs_f64()
    }

    pub(crate) fn is_done(&self, stage: Stage) -> bool {
        self.state.is_done(stage)
    }

    /// Run a stage unless an earlier sitting completed it; `work` leaves its artifacts on disk,
    /// and names them with [`Session::produced`].
    pub(crate) fn stage(
        &mut self,
        stage: Stage,
        total: u64,
        work: impl FnOnce(&mut Self) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        if self.is_done(stage) {
            return Ok(());
        }
        let begun = Instant::now();
        // A stage that goes on from a checkpoint has told of its beginning already.
        if self.state.checkpoints(stage).is_empty() {
            let began = self.moment();
            self.state.under_way = Some(UnderWay { stage, began, checkpoints: Vec::new() });
            self.emit(Event::StageStarted { stage, total })?;
        }
        self.produced.clear();
        work(self)?;
        self.tell_left_out()?;
        self.note_memory();
        let peak_memory = (self.peak_memory > 0).then_some(self.peak_memory);
        let seconds = begun.elapsed().as_secs_f64();
        self.emit(Event::StageEnded { stage, seconds, peak_memory })?;
        // The next stage has other shapes: what this one left in pools is of no use to it.
        self.device.memory_cleanup();
        crate::allocator::give_back();
        let Some(UnderWay { began, checkpoints, .. }) = self.state.under_way.take() else {
            return Ok(());
        };
        let files = std::mem::take(&mut self.produced);
        self.state.done.push(Done { stage, files, began });
        self.save_state()?;
        if !checkpoints.is_empty() {
            self.folder.clear(&self.state);
        }
        Ok(())
    }

    /// A file of the run folder, or a folder of files, that the stage at work leaves: later stages
    /// and sittings find it as it is now, or do the stage again.
    pub(crate) fn produced(&mut self, name: &str) -> Result<(), RunError> {
        let root = self.folder.path();
        let found = checksums(root, name)
            .map_err(|source| RunError::Write { path: root.join(name), source })?;
        self.produced.extend(found);
        Ok(())
    }

    /// The file of a finished stage whose name begins so, if there is one.
    pub(crate) fn file_of(&self, stage: Stage, name: &str) -> Option<std::path::PathBuf> {
        let done = self.state.done.iter().find(|done| done.stage == stage)?;
        let file = done.files.keys().find(|file| file.starts_with(name))?;
        Some(self.folder.path().join(file))
    }

    /// Hold something that the run reads from outside against what it was when the run began.
    pub(crate) fn same_input(&mut self, name: &str, fingerprint: &str) -> Result<(), RunError> {
        let known = self.state.inputs.entry(name.to_owned());
        let known = known.or_insert_with(|| fingerprint.to_owned());
        if *known == fingerprint {
            return Ok(());
        }
        Err(RunError::Impossible(format!(
            "{name}: what is in it has changed since the run began, so that its results would belong to neither; put back what was there, or begin another run (`confide run {}`)",
            self.folder.path().join("recipe.toml").display()
        )))
    }

    fn moment(&mut self) -> Moment {
        self.count();
        self.state.now.events_bytes = self.folder.events_bytes();
        self.state.now.clone()
    }

    pub(crate) fn save_state(&mut self) -> Result<(), RunError> {
        self.count();
        Ok(self.folder.keep(&mut self.state)?)
    }

    /// Bring what is counted elsewhere into the state.
    fn count(&mut self) {
        self.state.seconds = self.seconds();
    }

    /// Wait while paused; `Err` if the user stopped the run.
    pub(crate) fn breathe(&mut self) -> Result<(), RunError> {
        if self.control.is_paused() && !self.control.is_stopped() {
            self.emit(Event::Paused)?;
            while self.control.is_paused() && !self.control.is_stopped() {
                std::thread::sleep(Duration::from_millis(20));
            }
            self.emit(Event::Continued)?;
        }
        if self.control.is_stopped() { Err(RunError::Stopped) } else { Ok(()) }
    }

    /// Report progress of a stage without optimiser steps, and let the user interrupt it.
    pub(crate) fn progress(&mut self, stage: Stage, done: u64, total: u64) -> Result<(), RunError> {
        self.note_memory();
        self.emit(Event::Progress { stage, done, total })?;
        self.breathe()
    }

    /// How a training stage is computed: as an earlier sitting decided, or the fastest way that
    /// fits.
    pub(crate) fn plan(
        &mut self,
        stage: Stage,
        footprint: &Footprint,
        task: &dyn Task,
        order: &Order,
        training: &Training,
    ) -> Result<Plan, RunError> {
        self.plan_once(stage, |limit, reduced| match reduced {
            Some(plan) => (plan, plan.needs(footprint, task, order, training)),
            None => Plan::choose(footprint, task, order, training, limit),
        })
    }

    /// How many sequences a stage without training computes at once.
    pub(crate) fn scoring_batch(
        &mut self,
        stage: Stage,
        footprint: &Footprint,
        scores: bool,
        sequences: &[&Sequence],
        wanted: usize,
    ) -> Result<usize, RunError> {
        let plan = self.plan_once(stage, |limit, reduced| {
            let wanted = reduced.map_or(wanted, |plan| plan.micro_batch);
            let (size, needs) = scoring_needs(footprint, scores, sequences, wanted, limit);
            (Plan { micro_batch: size, ..Plan::default() }, needs)
        })?;
        Ok(plan.micro_batch)
    }

    fn plan_once(
        &mut self,
        stage: Stage,
        choose: impl FnOnce(Option<u64>, Option<Plan>) -> (Plan, Needs),
    ) -> Result<Plan, RunError> {
        if let Some(plan) = self.state.now.plans.get(&stage) {
            return Ok(*plan);
        }
        let (plan, needs) = choose(self.memory, self.state.now.reduced.get(&stage).copied());
        let plan = Plan { seed: self.recipe.seed ^ (stage as u64) << 32, ..plan };
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

    /// Train a decoder in a stage, from its checkpoint if there is one.
    pub(crate) fn train(
        &mut self,
        stage: Stage,
        model: Decoder,
        task: &mut dyn Task,
        order: Order,
        training: &Training,
        plan: Plan,
    ) -> Result<Decoder, RunError> {
        let optimiser = AdamW::new(training.weight_decay);
        let mut start = Start::fresh(model, optimiser, plan);
        start.skipped = self.state.now.report.skipped_steps.get(&stage).copied().unwrap_or(0);
        if let Some(checkpoint) = self.state.checkpoints(stage).last().cloned() {
            self.restore(&mut start, &checkpoint)?;
        }
        task.set_threshold(self.state.now.threshold);
        let mut observer = StageObserver {
            stage,
            tokens: start.tokens,
            last: Instant::now(),
            error: None,
            aside: plan.aside,
            writing: None,
            cost: 0.0,
            session: self,
        };
        let ended = crate::train::train(start, task, order, training, &mut observer);
        let written = observer.finish_checkpoint();
        if let Some(error) = observer.error.take() {
            return Err(error);
        }
        drop(observer);
        let ended = match ended {
            Err(TrainError::Diverged { found, sound }) => {
                written?;
                return Err(self.diverged(stage, training, found, sound));
            }
            other => other?,
        };
        written?;
        match ended {
            Ended::Done(model) => Ok(*model),
            Ended::Stopped => Err(RunError::Stopped),
        }
    }

    /// Start from a checkpoint.
    fn restore(&self, start: &mut Start, checkpoint: &CheckpointState) -> Result<(), RunError> {
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
        start.optimiser.restore(moments, checkpoint.step, &self.device);
        start.step = checkpoint.step;
        start.tokens = checkpoint.tokens;
        Ok(())
    }

    /// Why a training that diverged ends, and what to change.
    fn diverged(
        &self,
        stage: Stage,
        training: &Training,
        found: NonFinite,
        sound: bool,
    ) -> RunError {
        let section = stage.name();
        let precision = match stage {
            Stage::Annotator => self.recipe.annotator.precision,
            _ => self.recipe.policy.precision,
        };
        let all = self.folder.path().join(CHECKPOINTS);
        let kept = match self.state.checkpoints(stage).last() {
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

/// The share of the time that checkpoints may take.
const COST: f64 = 0.02;

/// Turns what the training loop tells into events and checkpoints.
struct StageObserver<'a, 'b> {
    stage: Stage,
    tokens: u64,
    last: Instant,
    /// The first failure to report; training is then stopped.
    error: Option<RunError>,
    /// Whether checkpoints are written while training goes on.
    aside: bool,
    /// A checkpoint that is being written.
    writing: Option<Writing>,
    /// Seconds that the last one took.
    cost: f64,
    session: &'a mut Session<'b>,
}

impl StageObserver<'_, '_> {
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
    ) -> Result<(), RunError> {
        self.finish_checkpoint()?;
        let session = &mut *self.session;
        // A run that is stopped where it went on has this one already.
        if session.state.checkpoints(self.stage).last().is_some_and(|last| last.step == step) {
            return session.save_state();
        }
        session.emit(Event::Checkpoint { stage: self.stage, step })?;
        let moment = session.moment();
        let job = Checkpointing {
            snapshot: Snapshot::take(model, optimiser),
            checkpoint: CheckpointState {
                step,
                tokens: self.tokens,
                folder: checkpoint_folder::name(self.stage, step),
                files: Checksums::new(),
                moment,
            },
            state: session.state.clone(),
            keeper: session.folder.keeper()?,
        };
        if !self.aside {
            return self.checkpoint_written(job.write());
        }
        match job.write_aside() {
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

impl Drop for StageObserver<'_, '_> {
    /// Where training panics, nobody else may write the state of the run meanwhile.
    fn drop(&mut self) {
        if let Err(error) = self.finish_checkpoint() {
            log::warn!("{error}");
        }
    }
}

impl Observer for StageObserver<'_, '_> {
    fn before_step(&mut self) -> Flow {
        if let Err(error) = self.session.breathe() {
            if !matches!(error, RunError::Stopped) {
                self.keep(Err(error));
            }
            return Flow::Stop;
        }
        if self.error.is_some() {
            return Flow::Stop;
        }
        let threshold = self.session.control.take_threshold();
        if let Some(value) = threshold {
            self.session.state.now.threshold = value;
            let told = self.session.emit(Event::Threshold { value });
            self.keep(told);
        }
        Flow::Go(threshold)
    }

    fn after_step(&mut self, step: u64, total: u64, metrics: &Metrics) {
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
        let wanted = self.session.recipe.checkpoint_seconds;
        // Of large models on slow disks fewer, so that training has the time; none is asked for
        // more often than that unless after every step.
        let least = if wanted > 0.0 { wanted.max(self.cost / COST) } else { 0.0 };
        let due = self.last.elapsed().as_secs_f64() >= least;
        let busy = self.writing.as_ref().is_some_and(|thread| !thread.is_finished());
        let wants = due && step < total && !busy;
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
    ) -> Result<(), TrainError> {
        // Events that could not be written are missing in what a resume would go on from.
        if let Some(error) = &self.error {
            return Err(TrainError::Checkpoint(error.to_string()));
        }
        self.write_checkpoint(step, model, optimiser).map_err(|error| {
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
