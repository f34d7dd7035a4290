//! The program `confide`: the window, or a command in the terminal.

use std::io::Write;
use std::process::ExitCode;

/// A line of the log, as `env_logger` writes it, without what a terminal would obey.
fn line(out: &mut env_logger::fmt::Formatter, record: &log::Record<'_>) -> std::io::Result<()> {
    let (time, level, target) = (out.timestamp(), record.level(), record.target());
    let style = out.default_level_style(level);
    let words = confide::legible::message(&record.args().to_string());
    writeln!(out, "[{time} {style}{level:<5}{style:#} {target}] {words}")
}

fn main() -> ExitCode {
    confide::allocator::keep_freed_memory();
    let filter = env_logger::Env::default().default_filter_or("error");
    env_logger::Builder::from_env(filter).format(line).init();
    ExitCode::from(confide::cli::main())
}
