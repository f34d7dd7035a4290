//! Signals.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::cause::Cause;
use super::door;

/// Set before the process ends without waiting for anything.
static AT_ONCE: AtomicBool = AtomicBool::new(false);

/// Listen on a thread of its own.
pub(super) fn listen() -> io::Result<()> {
    // What was ignored from the start, by `nohup` or by a shell's background, stays ignored.
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal));
    let signals = Signals::new(wanted)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || follow(signals))?;
    Ok(())
}

/// See [`super::guard_exit`].
pub(super) fn guard_exit() {
    // SAFETY: the function takes and returns nothing, and does not unwind.
    unsafe { libc::atexit(before_exit) };
}

fn follow(mut signals: Signals) {
    let Some(first) = signals.forever().find_map(cause_of) else { return };
    let since = Instant::now();
    door::begin(first);
    door::wait(|| {
        signals.pending().filter_map(cause_of).any(|cause| cause.hurries(since.elapsed()))
    });
    AT_ONCE.store(true, Ordering::Relaxed);
    // SAFETY: ends the process; nothing runs any more, so that no driver waits for its threads.
    unsafe { libc::_exit(i32::from(first.exit_code())) }
}

fn cause_of(signal: i32) -> Option<Cause> {
    Cause::ALL.into_iter().find(|cause| i32::from(cause.number()) == signal)
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: `sigaction` is plain data, for which zeros are a value.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action the call only fills `now`.
    let told = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut now) };
    told == 0 && now.sa_sigaction == libc::SIG_IGN
}

extern "C" fn before_exit() {
    // A run cannot be waited for on its own thread.
    let own = std::thread::current().name() == Some("run");
    if own || AT_ONCE.load(Ordering::Relaxed) || !door::at_stake() {
        return;
    }
    if door::requested().is_none() {
        door::begin(Cause::HangUp);
    }
    while door::at_stake() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
