//! Why a run folder cannot be used.

use std::path::PathBuf;

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is a run in it.
    #[error(
        "{0} holds a run already; choose another --out, or continue it with `confide resume {0}`"
    )]
    Occupied(String),
    /// There is something else in it.
    #[error(
        "{folder} is not empty: it holds {}; a run begins in a new or empty folder, choose another --out",
        some(names)
    )]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// What is in it.
        names: Vec<String>,
    },
    /// Somebody is at work in it.
    #[error(
        "{folder} is in use by {holder}; wait until it has ended, or stop it (reading it with `confide report` or in the window is possible meanwhile)"
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Who, in words.
        holder: String,
    },
    /// Its recipe was changed.
    #[error(
        "{folder}: recipe.toml is not what the run was begun with: {}; put it back, or begin another run with it (`confide run {folder}/recipe.toml`); only {may_change} may change",
        differences.join(", ")
    )]
    Changed {
        /// The folder.
        folder: PathBuf,
        /// `section.key` with both values.
        differences: Vec<String>,
        /// What may differ.
        may_change: String,
    },
    /// There is no run in it.
    #[error("{folder}: {found}; expected a run folder, as `confide run` writes it")]
    NotARun {
        /// The folder.
        folder: PathBuf,
        /// What is missing or damaged.
        found: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

/// The first few of some names.
fn some(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
    let rest = names.len() - first.len();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", first.join(", "))
}
