//! The program `confide`: the window, or a command in the terminal.

use std::process::ExitCode;

fn main() -> ExitCode {
    confide::allocator::keep_freed_memory();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error")).init();
    ExitCode::from(confide::cli::main())
}
