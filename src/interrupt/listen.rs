//! Listening to requests to end.

use std::io;

use super::cause::Cause;
use super::door;
#[cfg(unix)]
use super::unix as system;
#[cfg(windows)]
use super::windows as system;

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
    if door::open(stop, at_stake) { system::listen() } else { Ok(()) }
}

/// Let no library end the process while something is at stake: Xlib does it when the display is gone,
/// as at the end of a session. Only for programs whose main thread runs no run.
pub fn guard_exit() {
    #[cfg(unix)]
    system::guard_exit();
}
