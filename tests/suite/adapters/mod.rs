//! Low-rank adapters and narrow weights: PEFT's adapters in and out, their mathematics, what
//! precision costs, whole runs.

mod damage;
mod mathematics;
mod peft_in;
mod peft_out;
mod precision;
mod python;
mod readout;
mod runs;
mod shared;
