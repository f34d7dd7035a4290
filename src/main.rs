//! The program `confide`: the window, or a command in the terminal.

use std::io::Write;
use std::process::ExitCode;

use git_testament::{CommitKind, GitModification, GitTestament, git_testament};

// Here and not in a build script, so that a commit does not compile the library again.
git_testament!(REPOSITORY);

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
    let commit = option_env!("CONFIDE_COMMIT").map(str::to_owned).or_else(|| commit(&REPOSITORY));
    ExitCode::from(confide::cli::main(commit.as_deref()))
}

/// Commit and date of the repository that this was built in, with a + where files differ from it.
fn commit(repository: &GitTestament<'_>) -> Option<String> {
    let (CommitKind::NoTags(id, date) | CommitKind::FromTag(_, id, date, _)) = repository.commit
    else {
        return None;
    };
    let differs = |change: &GitModification<'_>| !matches!(change, GitModification::Untracked(_));
    let mark = if repository.modifications.iter().any(differs) { "+" } else { "" };
    Some(format!("{}{mark} {date}", id.get(..7)?))
}
