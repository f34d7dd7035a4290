//! Who ends a child that takes more than it may.

use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::part::Part;

/// How often a child is looked at: in between it can fill some 100 MiB.
const LOOK: Duration = Duration::from_millis(20);
/// How many times longer a request may wait than it may work: other programs want the processor too,
/// and a process that sleeps, or is stopped, takes no time of it.
const PATIENCE: u32 = 10;

/// What a child was ended for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    /// It worked longer for a request.
    Time(Part, Duration),
    /// It did not answer a request in so long.
    Silence(Part, Duration),
    /// It took more memory; who did, where that is known.
    Memory(Option<Part>),
    /// It answered with more bytes.
    Answer(Option<Part>),
}

/// What was asked, and is not answered.
struct Pending {
    id: u32,
    begun: Instant,
    /// Its share of the processor time since then.
    worked: Duration,
    allowed: Duration,
    part: Part,
}

impl Pending {
    fn exceeds(&self) -> Option<Cause> {
        let waits = PATIENCE * self.allowed;
        if self.worked > self.allowed {
            Some(Cause::Time(self.part, self.allowed))
        } else if self.begun.elapsed() > waits {
            Some(Cause::Silence(self.part, waits))
        } else {
            None
        }
    }
}

#[derive(Default)]
struct State {
    pending: Vec<Pending>,
    cause: Option<Cause>,
    closed: bool,
}

/// A child with what it is asked for.
pub(super) struct Watch {
    child: Mutex<Child>,
    state: Mutex<State>,
    changed: Condvar,
    memory: u64,
}

impl Watch {
    /// Look after a child that may take so many bytes of memory, on a thread of its own.
    ///
    /// # Errors
    ///
    /// There is no thread to be had; the child is ended.
    pub(super) fn over(child: Child, memory: u64) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let (child, state, changed) = (Mutex::new(child), Mutex::default(), Condvar::new());
        let watch = Arc::new(Self { child, state, changed, memory });
        let own = watch.clone();
        let thread = std::thread::Builder::new().name("text process".to_owned());
        match thread.spawn(move || own.look()) {
            Ok(thread) => Ok((watch, thread)),
            Err(error) => {
                watch.close();
                Err(error)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the process.
    pub(super) fn id(&self) -> u32 {
        self.child().id()
    }

    fn look(&self) {
        let pid = Pid::from_u32(self.id());
        let mut system = System::new();
        let threads = rayon::current_num_threads();
        let mut worked = Duration::ZERO;
        let mut state = self.state();
        while !state.closed && state.cause.is_none() {
            if state.pending.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(state);
            std::thread::sleep(LOOK);
            let taken = taken(&mut system, pid);
            state = self.state();
            let Some((memory, all)) = taken else { continue };
            // So many threads share what was worked since it was last looked.
            let at_work = state.pending.len().clamp(1, threads) as u32;
            let share = all.saturating_sub(worked) / at_work;
            worked = all;
            state.pending.iter_mut().for_each(|p| p.worked += share);
            let late = state.pending.iter().find_map(Pending::exceeds);
            let large = (memory > self.memory).then(|| Cause::Memory(state.at_work()));
            if let Some(cause) = late.or(large) {
                state.cause = Some(cause);
                self.kill();
            }
        }
    }

    /// Something is asked, which may take so long; `part` is what works first.
    pub(super) fn begin(&self, id: u32, allowed: Duration, part: Part) {
        let (begun, worked) = (Instant::now(), Duration::ZERO);
        self.state().pending.push(Pending { id, begun, worked, allowed, part });
        self.changed.notify_all();
    }

    /// Something else works at a request from here on.
    pub(super) fn at(&self, id: u32, part: Part) {
        let mut state = self.state();
        state.pending.iter_mut().filter(|p| p.id == id).for_each(|p| p.part = part);
    }

    /// A request is answered.
    pub(super) fn done(&self, id: u32) {
        self.state().pending.retain(|p| p.id != id);
    }

    /// The answer is larger than any good one.
    pub(super) fn too_much(&self) {
        let mut state = self.state();
        let part = state.at_work();
        state.cause.get_or_insert(Cause::Answer(part));
    }

    /// Why the child was ended, if it was.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.state().cause
    }

    /// Who was at work, where only one was.
    pub(super) fn at_work(&self) -> Option<Part> {
        self.state().at_work()
    }

    /// Whether the child has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        !matches!(self.child().try_wait(), Ok(None))
    }

    /// End the child.
    pub(super) fn kill(&self) {
        let _ = self.child().kill();
    }

    /// How the child ended: it is given a moment to do so by itself.
    pub(super) fn end(&self) -> Option<ExitStatus> {
        let (begun, is_due) = (Instant::now(), self.cause().is_some());
        while !is_due && !self.has_ended() && begun.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.kill();
        self.child().wait().ok()
    }

    /// End the child and whoever looks after it.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
        self.kill();
        let _ = self.child().wait();
    }
}

impl State {
    fn at_work(&self) -> Option<Part> {
        let first = self.pending.first()?.part;
        self.pending.iter().all(|p| p.part == first).then_some(first)
    }
}

/// Bytes of memory that a process has, and the processor time that it had.
fn taken(system: &mut System, pid: Pid) -> Option<(u64, Duration)> {
    let what = ProcessRefreshKind::nothing().with_memory().with_cpu().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
    let process = system.process(pid)?;
    Some((process.memory(), Duration::from_millis(process.accumulated_cpu_time())))
}
