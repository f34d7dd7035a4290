//! What `benches/gpu.sh` runs on a machine with nothing but this program: every task that needs a
//! device, and the program `confide` itself.
//!
//!     cargo bench --bench gpu -- TASK …
//!
//! | Task | What it does |
//! |---|---|
//! | `checkpoint SHAPE OUT [--pairs N]` | a real shape with random weights, and pairs as long as those of HH |
//! | `compare RUN RUN` | how far the losses of two runs are apart |
//! | `device [--device gpu] [--quick]` | what a device tells of itself, and the rates that it reaches |
//! | `frames [--pairs N] [--frames N]` | the window drawn without a screen |
//! | `parts MODEL FILE [--batch N] [--device gpu]` | what the parts of a training step take |
//! | `pairs`, `soak`, `elements` | the benchmarks of these names |
//! | `confide …` | the program |
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Each benchmark that is a task here brings what they share along.
#![allow(clippy::duplicate_mod)]

use std::process::ExitCode;

mod checkpoint;
mod compare;
mod device;
#[path = "../elements.rs"]
mod elements;
mod frames;
#[path = "../pairs.rs"]
mod pairs;
mod parts;
#[path = "../shared.rs"]
mod shared;
#[path = "../soak.rs"]
mod soak;

fn main() -> ExitCode {
    confide::allocator::keep_freed_memory();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error")).init();
    let mut words = shared::words();
    let task = if words.is_empty() { String::new() } else { words.remove(0) };
    match task.as_str() {
        "checkpoint" => checkpoint::run(&words),
        "compare" => compare::run(&words),
        "device" => device::run(&words),
        "frames" => frames::run(&words),
        "pairs" => pairs::run(&words),
        "parts" => parts::run(&words),
        "soak" => soak::run(words),
        "elements" => elements::run(&words),
        "confide" => {
            let words = std::iter::once(task).chain(words);
            return ExitCode::from(confide::cli::main_from(words, None));
        }
        other => {
            eprintln!("“{other}” is no task; see the head of benches/gpu/main.rs");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
