//! Being told to end from outside: by a signal, a closed terminal, the end of a session.
//!
//! The first request asks the run under way to write a checkpoint and end; the program then ends by
//! itself, with an exit code that says who asked. A further one ends it at once. Where nothing would
//! be lost, while data are read, say, nobody waits.

mod cause;
mod door;
mod listen;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

pub use cause::Cause;
pub use door::requested;
pub use listen::{guard_exit, watch};
