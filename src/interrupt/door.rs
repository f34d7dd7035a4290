//! What a request to end reaches, whoever listens to requests.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cause::Cause;

/// What a request reaches.
struct Door {
    stop: Box<dyn Fn(Cause) + Send>,
    at_stake: Box<dyn Fn() -> bool + Send>,
}

/// The door in use. A window that could not be opened hands over to the terminal.
static DOOR: Mutex<Option<Door>> = Mutex::new(None);

/// Number of the first request; 0 while there was none.
static FIRST: AtomicU8 = AtomicU8::new(0);

/// Open a door in place of the one in use; whether it is the first.
pub(super) fn open(
    stop: impl Fn(Cause) + Send + 'static,
    at_stake: impl Fn() -> bool + Send + 'static,
) -> bool {
    let door = Door { stop: Box::new(stop), at_stake: Box::new(at_stake) };
    let before = DOOR.lock().unwrap_or_else(PoisonError::into_inner).replace(door);
    before.is_none()
}

/// Who asked the program to end, if somebody did.
pub fn requested() -> Option<Cause> {
    let number = FIRST.load(Ordering::Relaxed);
    Cause::ALL.into_iter().find(|cause| cause.number() == number)
}

/// The first request.
pub(super) fn begin(cause: Cause) {
    FIRST.store(cause.number(), Ordering::Relaxed);
    if let Some(door) = &*DOOR.lock().unwrap_or_else(PoisonError::into_inner) {
        (door.stop)(cause);
    }
}

/// Whether something would be lost if the process ended now.
pub(super) fn at_stake() -> bool {
    let door = DOOR.lock().unwrap_or_else(PoisonError::into_inner);
    door.as_ref().is_some_and(|door| (door.at_stake)())
}

/// Wait until nothing is at stake and the program had a moment to end by itself, or until
/// somebody `insists`.
pub(super) fn wait(mut insists: impl FnMut() -> bool) {
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
