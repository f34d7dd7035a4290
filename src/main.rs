//! The program `confide`: the window, or a command in the terminal.

use std::process::ExitCode;

use git_testament::{CommitKind, GitModification, GitTestament, git_testament};

// Here and not in a build script, so that a commit does not compile the library again.
git_testament!(REPOSITORY);

fn main() -> ExitCode {
    confide::allocator::keep_freed_memory();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error")).init();
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
