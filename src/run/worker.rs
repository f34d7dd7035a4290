//! The thread that owns all tensor work of a run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::error::RunError;
use super::estimate::stage_limit;
use super::fault::{Faults, Next};
use super::folder::{self, Reopened, RunFolder};
use super::folder_error::FolderError;
use super::job::Job;
use super::models::pin_models;
use super::session::Session;
use super::stages::run_all;
use super::state::State;
use super::{Control, Event, Report};
use crate::train::Threshold;
use crate::{device, legible};

/// A run on its own thread.
#[derive(Debug)]
pub struct RunHandle {
    events: Receiver<Event>,
    control: Control,
    thread: Option<JoinHandle<()>>,
}

impl RunHandle {
    /// The events, as they happen.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// Commands.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for RunHandle {
    fn drop(&mut self) {
        // Leaving the program must not lose what was computed: wait for the last checkpoint. A
        // thread that only reads yet has a moment to end.
        const MOMENT: Duration = Duration::from_secs(2);
        self.control.stop();
        let begun = Instant::now();
        while !self.is_finished() && (self.control.at_stake() || begun.elapsed() < MOMENT) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Run on a thread of its own; `wake` is called after each event.
pub fn spawn(job: Job, control: Control, wake: impl Fn() + Send + Sync + 'static) -> RunHandle {
    let (sender, events) = channel();
    let commands = control.clone();
    let work = move || {
        let mut listener = |event| {
            let _ = sender.send(event);
            wake();
        };
        // The last event told the outcome.
        let _ = execute(job, commands, &mut listener);
    };
    let thread = std::thread::Builder::new().name("run".to_owned()).spawn(work).ok();
    RunHandle { events, control, thread }
}

/// Run on this thread; the last event is `finished`, `stopped` or `failed`. Where the device fails, it
/// is started again and the run goes on from its last checkpoint, if there is a way.
///
/// # Errors
///
/// As told by the last event.
pub fn execute(
    job: Job,
    control: Control,
    listener: &mut dyn FnMut(Event),
) -> Result<Report, RunError> {
    let (noting, control) = (control.clone(), control);
    let listener = &mut |event: Event| {
        noting.observe(&event);
        listener(event);
    };
    let (mut job, mut faults) = (job, Faults::default());
    loop {
        let mut opened = caught(|| open(job, &control, faults.next.take(), &mut *listener))?;
        let outcome = match caught(|| work(&mut opened)) {
            Err(error) => match faults.way_on(&opened, error) {
                // What the failed device holds goes with the session.
                Ok(next) => {
                    job = next;
                    continue;
                }
                Err(error) => Err(error),
            },
            finished => finished,
        };
        let last = match &outcome {
            Ok(report) => Event::Finished { report: Box::new(report.clone()) },
            Err(RunError::Stopped) => Event::Stopped,
            Err(error) => Event::Failed { message: legible::cut(&error.to_string()).into_owned() },
        };
        if let Err(error) = opened.emit(last.clone()) {
            log::error!("{error}");
            (opened.listener)(last);
        }
        return outcome;
    }
}

/// What work makes, its panics as errors.
fn caught<T>(work: impl FnOnce() -> Result<T, RunError>) -> Result<T, RunError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(RunError::panic(&*panic)))
}

/// Open folder and device; failures here are told to the listener, for there is no log yet.
fn open<'a>(
    job: Job,
    control: &Control,
    fault: Option<Next>,
    listener: &'a mut dyn FnMut(Event),
) -> Result<Session<'a>, RunError> {
    let found = match try_open(job, control, fault.as_ref(), listener) {
        Ok(found) => found,
        Err(error) => {
            listener(Event::Failed { message: legible::cut(&error.to_string()).into_owned() });
            return Err(error);
        }
    };
    let Opened { folder, state, notes, choice, device, resumed } = found;
    let recipe = state.recipe.clone();
    let earlier = state.seconds;
    let memory = stage_limit(recipe.memory(&choice.device), &device);
    let threshold = Threshold::new(state.now.threshold);
    let mut session = Session {
        recipe,
        folder,
        state,
        device,
        hardware: choice.device.clone(),
        memory,
        control: control.clone(),
        threshold,
        listener,
        begun: Instant::now(),
        earlier,
        peak_memory: 0,
        too_long: std::collections::BTreeSet::new(),
        refused: std::collections::BTreeSet::new(),
        produced: std::collections::BTreeMap::new(),
    };
    let started = Event::Started {
        recipe: Box::new(session.recipe.clone()),
        folder: session.folder.path().to_owned(),
        device: choice.device.describe(),
        why: choice.why,
        resumed,
        threshold: session.threshold.get(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: jiff::Timestamp::now().to_string(),
    };
    session.emit(started)?;
    if session.hardware.class != device::Class::Cpu {
        let message = "on a graphics device kernels are compiled and tuned when they are first needed: its first steps can take minutes, and later runs find what was kept".to_owned();
        session.emit(Event::Note { message })?;
    }
    for message in notes {
        session.emit(Event::Warning { message, passing: true })?;
    }
    if let Some(fault) = fault {
        session.warn(fault.note)?;
        // Another fault before the next checkpoint shall not take it back.
        session.save_state()?;
        // The person moved it after the checkpoint.
        if fault.threshold.to_bits() != session.threshold.get().to_bits() {
            session.control.restore_threshold(fault.threshold);
        }
    }
    Ok(session)
}

/// A run that can begin, or go on.
struct Opened {
    folder: RunFolder,
    state: State,
    /// What is worth knowing of what was found.
    notes: Vec<String>,
    choice: device::Choice,
    device: burn::tensor::Device,
    resumed: bool,
}

fn try_open(
    job: Job,
    control: &Control,
    fault: Option<&Next>,
    listener: &mut dyn FnMut(Event),
) -> Result<Opened, RunError> {
    let resumed = matches!(job, Job::Resume { .. });
    let (Reopened { folder, mut state, mut notes }, wanted) = match job {
        Job::Fresh { mut recipe, folder, download } => {
            recipe.check(&recipe.name)?;
            pin_models(&mut recipe, download, control, listener)?;
            let mut state = State::new(&recipe);
            let folder = RunFolder::create(&folder, &mut state)?;
            (Reopened { folder, state, notes: Vec::new() }, None)
        }
        Job::Resume { folder, device } => {
            if folder::is_complete(&folder) {
                let found = format!(
                    "the run in it is complete (see it with `confide report {}`)",
                    folder.display()
                );
                return Err(FolderError::NotARun { folder, found }.into());
            }
            (RunFolder::reopen(&folder)?, device)
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    if state.program != version {
        notes.push(format!(
            "the run was begun by version {}, and goes on with {version}: numbers may differ in their last digits",
            state.program
        ));
    }
    let choice = device::find(wanted.as_deref().unwrap_or(&state.recipe.device))?;
    let device = match fault {
        Some(_) => device::restart(&choice.device)?,
        None => device::open(&choice.device)?,
    };
    if let Some((stage, plan)) = fault.and_then(|fault| fault.reduced) {
        state.reduce(stage, plan);
        folder.keep(&mut state)?;
    }
    Ok(Opened { folder, state, notes, choice, device, resumed })
}

fn work(session: &mut Session<'_>) -> Result<Report, RunError> {
    run_all(session)?;
    session.save_state()?;
    // What could not be removed in its time.
    session.folder.clear(&session.state);
    // The last event tells it with the whole report, which is on the disk before that event is.
    session.state.now.report.seconds = session.seconds();
    let report = session.state.now.report.clone();
    session.folder.save_report(&report)?;
    Ok(report)
}
