//! Being told to end from outside: by a signal, a closed terminal, the end of a session.
//!
//! The first request asks the run under way to write a checkpoint and end; the program then ends by
//! itself, with an exit code that says who asked. A further one ends it at once. Where nothing would
//! be lost, while data are read, say, nobody waits.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Who wants the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Ctrl-C.
    Interrupt,
    /// The terminal is gone.
    HangUp,
    /// Another program or the system, which is shutting down, say.
    Terminate,
}

impl Cause {
    const ALL: [Self; 3] = [Self::Interrupt, Self::HangUp, Self::Terminate];

    /// The exit code of a program that ends for it: 128 and the signal's number, as shells have it.
    pub fn exit_code(self) -> u8 {
        128 + self.number()
    }

    /// The signal's number, on all systems.
    fn number(self) -> u8 {
        match self {
            Self::HangUp => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }

    /// Whether a further request for it means that somebody does not want to wait. A closed terminal
    /// is told by the kernel and again by the shell, and `timeout` and systemd tell a process and
    /// then its whole group: such echoes are no impatience.
    fn hurries(self, since_first: Duration) -> bool {
        const ECHO: Duration = Duration::from_millis(500);
        match self {
            Self::Interrupt => true,
            Self::Terminate => since_first > ECHO,
            Self::HangUp => false,
        }
    }
}

/// What a request reaches.
struct Door {
    stop: Box<dyn Fn(Cause) + Send>,
    at_stake: Box<dyn Fn() -> bool + Send>,
}

/// The door in use. A window that could not be opened hands over to the terminal.
static DOOR: Mutex<Option<Door>> = Mutex::new(None);

/// Number of the first request; 0 while there was none.
static FIRST: AtomicU8 = AtomicU8::new(0);

/// Listen to requests from now on. `stop` is called at the first one, on a thread of its own;
/// `at_stake` says whether something would be lost if the process ended now.
///
/// # Errors
///
/// The system does not let the program listen; requests then end it at once.
pub fn watch(
    stop: impl Fn(Cause) + Send + 'static,
    at_stake: impl Fn() -> bool + Send + 'static,
) -> io::Result<()> {
    let door = Door { stop: Box::new(stop), at_stake: Box::new(at_stake) };
    let before = DOOR.lock().unwrap_or_else(PoisonError::into_inner).replace(door);
    if before.is_none() { system::listen() } else { Ok(()) }
}

/// Let no library end the process while something is at stake: Xlib does it when the display is gone,
/// as at the end of a session. Only for programs whose main thread runs no run.
pub fn guard_exit() {
    #[cfg(unix)]
    unix::guard_exit();
}

/// Who asked the program to end, if somebody did.
pub fn requested() -> Option<Cause> {
    let number = FIRST.load(Ordering::Relaxed);
    Cause::ALL.into_iter().find(|cause| cause.number() == number)
}

/// The first request.
fn begin(cause: Cause) {
    FIRST.store(cause.number(), Ordering::Relaxed);
    if let Some(door) = &*DOOR.lock().unwrap_or_else(PoisonError::into_inner) {
        (door.stop)(cause);
    }
}

fn at_stake() -> bool {
    let door = DOOR.lock().unwrap_or_else(PoisonError::into_inner);
    door.as_ref().is_some_and(|door| (door.at_stake)())
}

/// Wait until nothing is at stake and the program had a moment to end by itself, or until
/// somebody `insists`.
fn wait(mut insists: impl FnMut() -> bool) {
    const LOOK: Duration = Duration::from_millis(20);
    const MOMENT: Duration = Duration::from_secs(2);
    let mut calm = Instant::now();
    while calm.elapsed() < MOMENT && !insists() {
        std::thread::sleep(LOOK);
        if at_stake() {
            calm = Instant::now();
        }
    }
}
