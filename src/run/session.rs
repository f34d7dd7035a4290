//! A run under way: its recipe, its folder, its device, and who listens.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use burn::tensor::Device;

use super::error::RunError;
use super::folder::RunFolder;
use super::stage::Stage;
use super::state::{Done, Moment, State, UnderWay};
use super::{Control, Event, Recipe};
use crate::device;
use crate::files::{Checksums, checksums};
use crate::train::Threshold;

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
    /// The threshold in force.
    pub(crate) threshold: Threshold,
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

    /// Tell what was measured with its 95 % interval.
    pub(crate) fn measured_within(
        &mut self,
        name: &str,
        value: f64,
        interval: [f64; 2],
    ) -> Result<(), RunError> {
        self.emit(Event::Measured { name: name.to_owned(), value, interval: Some(interval) })
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

    pub(crate) fn note_memory(&mut self) {
        let now = device::peak_memory(&self.device).unwrap_or(0);
        self.peak_memory = self.peak_memory.max(now);
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.earlier + self.begun.elapsed().as_secs_f64()
    }

    pub(crate) fn is_done(&self, stage: Stage) -> bool {
        self.state.is_done(stage)
    }

    /// Run a stage unless an earlier sitting completed it; `work` leaves its artefacts on disk,
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
        // Trainings of this stage that are complete have left theirs.
        let newest = self.state.checkpoints(stage).last();
        self.produced = newest.map(|checkpoint| checkpoint.left.clone()).unwrap_or_default();
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

    pub(crate) fn moment(&mut self) -> Moment {
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
        self.state.now.threshold = self.threshold.get();
    }

    /// Take over a threshold that a person asked for.
    pub(crate) fn move_threshold(&mut self) -> Result<(), RunError> {
        let Some(value) = self.control.take_threshold() else { return Ok(()) };
        self.threshold.set(value);
        self.emit(Event::Threshold { value })
    }

    /// Wait while paused; `Err` if the user stopped the run.
    pub(crate) fn poll(&mut self) -> Result<(), RunError> {
        if self.control.is_paused() && !self.control.is_stopped() {
            self.emit(Event::Paused)?;
            while self.control.is_paused() && !self.control.is_stopped() {
                std::thread::sleep(Duration::from_millis(20));
            }
            self.emit(Event::Continued)?;
        }
        if self.control.is_stopped() { Err(RunError::Stopped) } else { Ok(()) }
    }

    /// Report progress of a stage without optimiser steps, and let the user interrupt it. What the stage at work
    /// does in the way of another one is not told as that one's progress.
    pub(crate) fn progress(&mut self, stage: Stage, done: u64, total: u64) -> Result<(), RunError> {
        self.note_memory();
        if self.state.under_way.as_ref().is_none_or(|under_way| under_way.stage == stage) {
            self.emit(Event::Progress { stage, done, total })?;
        }
        self.poll()
    }
}
