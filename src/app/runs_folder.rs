//! The folder of new runs.

use std::path::PathBuf;

/// Where new runs go: beside where the program was started, or at home where that is no place for files,
/// as on a Mac whose Finder starts programs in the root.
pub(super) fn runs_folder() -> PathBuf {
    let in_root = std::env::current_dir().is_ok_and(|here| here.parent().is_none());
    let home = directories::UserDirs::new().filter(|_| in_root);
    home.map_or_else(PathBuf::new, |home| home.home_dir().join("Confide")).join("runs")
}
