//! Writing files so that a crash leaves the old one or the new one, never half of either.

use std::io::Write;
use std::path::{Path, PathBuf};

/// A name beside `path` that no reader looks at.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    path.with_file_name(name)
}

/// Write a file under a temporary name, flush it to the disk and rename it.
///
/// # Errors
///
/// What the file system says.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// As [`write`], with a function that fills the file.
///
/// # Errors
///
/// What the file system or `fill` says.
pub(crate) fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let partial = temporary(path);
    let mut file = std::fs::File::create(&partial)?;
    fill(&mut file)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&partial, path)
}

/// Fill a folder under a temporary name and rename it; an older folder is replaced.
///
/// # Errors
///
/// What the file system or `fill` says.
pub(crate) fn write_folder<E: From<std::io::Error>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let partial = temporary(path);
    if partial.exists() {
        std::fs::remove_dir_all(&partial)?;
    }
    std::fs::create_dir_all(&partial)?;
    fill(&partial)?;
    if path.exists() {
        std::fs::remove_dir_all(path)?;
    }
    std::fs::rename(&partial, path)?;
    Ok(())
}
