//! A run under way: its recipe, its folder, its device, and who listens.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use burn::tensor::Device;

use super::checkpoint::{self, Checkpointing, MOMENTS, Snapshot, WEIGHTS, Writing};
use super::error::RunError;
use super::folder::{CheckpointState, RunFolder, State, StateFile};
use super::passes::Passes;
use super::{Control, Event, Recipe, Stage};
use crate::annotate::scoring_needs;
use crate::device;
use crate::model::{
    Checkpoint, Decoder, Footprint, GENERATION_FILE, ModelError, ModelFiles, Needs, Precision,
    Storage, first_not_finite, generation_config, load_named, save, save_adapter, take_tensors,
};
use crate::text::{Sequence, TEMPLATE_FILE};
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
}

impl Session<'_> {
    /// Tell the listener and the log.
    pub(crate) fn emit(&mut self, event: Event) -> Result<(), RunError> {
        self.folder.log(&event)?;
        (self.listener)(event);
        Ok(())
    }

    /// Warn, and remember it for the report; a resumed stage does not warn again.
    pub(crate) fn warn(&mut self, message: String) -> Result<(), RunError> {
        if self.state.report.warnings.contains(&message) {
            return Ok(());
        }
        self.state.report.warnings.push(message.clone());
        self.emit(Event::Warning { message })
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
        self.state.done.contains(&stage)
    }

    /// Run a stage unless an earlier sitting completed it; `work` leaves its artifacts on disk.
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
        if self.state.checkpoint.as_ref().is_none_or(|c| c.stage != stage) {
            self.emit(Event::StageStarted { stage, total })?;
        }
        work(self)?;
        self.note_memory();
        let peak_memory = (self.peak_memory > 0).then_some(self.peak_memory);
        let seconds = begun.elapsed().as_secs_f64();
        self.emit(Event::StageEnded { stage, seconds, peak_memory })?;
        // The next stage has other shapes: what this one left in pools is of no use to it.
        self.device.memory_cleanup();
        crate::allocator::give_back();
        self.state.done.push(stage);
        let old = self.state.checkpoint.take();
        self.save_state()?;
        if let Some(old) = old {
            checkpoint::remove(&self.folder.path().join(old.folder));
        }
        Ok(())
    }

    pub(crate) fn save_state(&mut self) -> Result<(), RunError> {
        Ok(self.state_file()?.write()?)
    }

    fn state_file(&mut self) -> Result<StateFile, RunError> {
        self.state.seconds = self.seconds();
        self.state.report.data.too_long = self.too_long.len();
        self.state.report.data.refused = self.refused.len();
        Ok(self.folder.state_file(&mut self.state)?)
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
        self.plan_once(stage, |limit| Plan::choose(footprint, task, order, training, limit))
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
        let plan = self.plan_once(stage, |limit| {
            let (size, needs) = scoring_needs(footprint, scores, sequences, wanted, limit);
            (Plan { micro_batch: size, ..Plan::default() }, needs)
        })?;
        Ok(plan.micro_batch)
    }

    fn plan_once(
        &mut self,
        stage: Stage,
        choose: impl FnOnce(Option<u64>) -> (Plan, Needs),
    ) -> Result<Plan, RunError> {
        if let Some(plan) = self.state.plans.get(&stage) {
            return Ok(*plan);
        }
        let (plan, needs) = choose(self.memory);
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
        self.state.plans.insert(stage, plan);
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
        start.skipped = self.state.report.skipped_steps.get(&stage).copied().unwrap_or(0);
        if let Some(checkpoint) = self.state.checkpoint.clone().filter(|c| c.stage == stage) {
            let folder = self.folder.path().join(&checkpoint.folder);
            start.model = take_tensors(start.model, load_named(&folder.join(WEIGHTS))?);
            let moments = load_named(&folder.join(MOMENTS))?;
            start.optimiser.restore(moments, checkpoint.step, &self.device);
            start.step = checkpoint.step;
            start.tokens = checkpoint.tokens;
        }
        task.set_threshold(self.state.threshold);
        let mut observer = StageObserver {
            stage,
            tokens: start.tokens,
            last: Instant::now(),
            error: None,
            aside: plan.aside,
            writing: None,
            session: self,
        };
        let ended = crate::train::train(start, task, order, training, &mut observer);
        let written = observer.finish_checkpoint();
        if let Some(error) = observer.error {
            return Err(error);
        }
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
        let kept = match self.state.checkpoint.as_ref().filter(|c| c.stage == stage) {
            Some(checkpoint) if sound => {
                let folder = self.folder.path().join(&checkpoint.folder);
                format!("the last finite weights are in {}", folder.display())
            }
            Some(checkpoint) => {
                let folder = self.folder.path().join(&checkpoint.folder);
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

    /// Write a model in Hugging Face layout, with its tokenizer, as a folder of the run; of an
    /// adapted model the adapter alone, and on request the merged model beside it.
    ///
    /// # Errors
    ///
    /// A weight is no finite number; the disk is full, say.
    pub(crate) fn export(
        &self,
        folder: &str,
        checkpoint: &Checkpoint,
        export: &Export<'_>,
    ) -> Result<(), RunError> {
        if let Some(name) = first_not_finite(&checkpoint.decoder) {
            let path = self.folder.path().join(folder);
            return Err(ModelError::Overflowed { path, name }.into());
        }
        if export.merge && checkpoint.adapter.is_some() {
            self.export_as(&format!("{folder}-merged"), checkpoint, export, true)?;
        }
        self.export_as(folder, checkpoint, export, false)
    }

    fn export_as(
        &self,
        name: &str,
        checkpoint: &Checkpoint,
        export: &Export<'_>,
        merged: bool,
    ) -> Result<(), RunError> {
        let path = self.folder.path().join(name);
        let wrap = |source| RunError::Write { path: path.clone(), source };
        crate::files::write_folder(&path, |partial| {
            match checkpoint.adapter.as_ref().filter(|_| !merged) {
                Some(adapter) => save_adapter(partial, checkpoint, adapter),
                None => save(partial, checkpoint, export.pad, Storage::F32),
            }
            .map_err(std::io::Error::other)?;
            for file in [
                "tokenizer.json",
                "tokenizer_config.json",
                TEMPLATE_FILE,
                GENERATION_FILE,
                "special_tokens_map.json",
                "added_tokens.json",
                "vocab.json",
                "merges.txt",
            ] {
                if let Some(bytes) = export.source.bytes(file).map_err(std::io::Error::other)? {
                    crate::files::write(&partial.join(file), &bytes)?;
                }
            }
            // The model is to be asked in the way in which it was trained, and to end in that way.
            let own = &self.recipe.data.chat_template;
            if !own.is_empty() {
                crate::files::write(&partial.join(TEMPLATE_FILE), &std::fs::read(own)?)?;
            }
            let named = generation_config(export.source, &export.ends);
            match named.map_err(std::io::Error::other)? {
                Some(text) => crate::files::write(&partial.join(GENERATION_FILE), &text),
                None => Ok(()),
            }
        })
        .map_err(wrap)
    }
}

/// What an exported model is written with.
pub(crate) struct Export<'a> {
    /// The files that it was read from.
    pub(crate) source: &'a ModelFiles,
    /// What readers of a score skip.
    pub(crate) pad: Option<u32>,
    /// Tokens that ended what the model was trained to write.
    pub(crate) ends: Vec<u32>,
    /// Whether the merged model is written too.
    pub(crate) merge: bool,
}

/// Turns what the training loop tells into events and checkpoints.
struct StageObserver<'a, 'b> {
    stage: Stage,
    tokens: u64,
    last: Instant,
    /// The first failure to report; training is then stopped.
    error: Option<RunError>,
    /// Whether checkpoints are written while training goes on.
    aside: bool,
    /// A checkpoint that is being written, and the one before it.
    writing: Option<(Option<CheckpointState>, Writing)>,
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
        let folder = PathBuf::from("checkpoints").join(format!("{}-{step}", self.stage.name()));
        let fresh = CheckpointState { stage: self.stage, step, tokens: self.tokens, folder };
        let path = session.folder.path().join(&fresh.folder);
        session.emit(Event::Checkpoint { stage: self.stage, step })?;
        let before = session.state.checkpoint.replace(fresh.clone());
        let old = before.as_ref().filter(|old| old.folder != fresh.folder);
        let job = Checkpointing {
            snapshot: Snapshot::take(model, optimiser),
            old: old.map(|old| session.folder.path().join(&old.folder)),
            state: session.state_file()?,
            folder: path.clone(),
        };
        if !self.aside {
            return self.checkpoint_written(before, job.write());
        }
        match job.write_aside() {
            Ok(thread) => {
                self.writing = Some((before, thread));
                Ok(())
            }
            Err(source) => self.checkpoint_written(before, Err(RunError::Write { path, source })),
        }
    }

    /// Wait for a checkpoint that is being written.
    fn finish_checkpoint(&mut self) -> Result<(), RunError> {
        let Some((before, thread)) = self.writing.take() else { return Ok(()) };
        let written = thread.join().unwrap_or_else(|panic| Err(RunError::panic(&*panic)));
        self.checkpoint_written(before, written)
    }

    /// Where it could not be written, the one before is still the one to go on from.
    fn checkpoint_written(
        &mut self,
        before: Option<CheckpointState>,
        written: Result<(), RunError>,
    ) -> Result<(), RunError> {
        if written.is_err() {
            self.session.state.checkpoint = before;
        }
        written
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
            self.session.state.threshold = value;
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
        let due = self.last.elapsed().as_secs_f64() >= self.session.recipe.checkpoint_seconds;
        let busy = self.writing.as_ref().is_some_and(|(_, thread)| !thread.is_finished());
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
        let written = self.write_checkpoint(step, model, optimiser);
        written.map_err(|e| TrainError::Checkpoint(e.to_string()))
    }

    fn warn(&mut self, message: String) {
        let told = self.session.warn(message);
        self.keep(told);
    }

    fn skipped(&mut self, found: NonFinite, allowed: u64) {
        let skipped = found.skipped + 1;
        self.session.state.report.skipped_steps.insert(self.stage, skipped);
        self.warn(format!(
            "{}: {found}, so the step is skipped ({skipped} of the {allowed} that {}.skip_nonfinite allows)",
            self.stage.name(),
            self.stage.name()
        ));
    }
}
