//! Names on the hub, against a small server that can be told to misbehave.

mod downloads;
mod faults;
mod names;
mod python;
mod server;
mod shared;
