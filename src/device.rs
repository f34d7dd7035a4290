//! The devices of this machine: which of them computes and why, and what it allows.

mod adapters;
mod candidate;
mod choice;
mod error;
mod fault;
mod limits;
mod memory;
mod read;
mod setup;
mod start;
mod started;

pub use adapters::list;
pub use candidate::{Candidate, Class};
pub use choice::{Choice, choose, find};
pub use error::DeviceError;
pub use fault::Fault;
pub use limits::Limits;
pub use memory::{Memory, peak_memory};
pub(crate) use memory::{free_memory, is_cpu};
pub(crate) use read::read;
pub use setup::open_with_least_limits;
pub use start::open;
pub(crate) use start::restart;
pub(crate) use started::{fault_of, largest_tensor};
