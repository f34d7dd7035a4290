//! Writing files so that neither a crash nor a power cut leaves half of one, or a name without its
//! bytes: the file is synced, then renamed, then the folder that names it is synced.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Result, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

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
/// What the file system says; nothing is left behind then.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// As [`write`], with a function that fills the file.
///
/// # Errors
///
/// What the file system or `fill` says; nothing is left behind then.
pub(crate) fn write_with(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let partial = temporary(path);
    let make = || {
        // Whatever stands there, a link to a file of somebody else's say, is not written through.
        remove(&partial)?;
        let mut file = OpenOptions::new().write(true).create_new(true).open(&partial)?;
        fill(&mut file)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)?;
        sync_folder_of(path)
    };
    let written = make();
    if written.is_err() {
        let _ = remove(&partial);
    }
    written
}

/// Fill a folder under a temporary name and rename it. Where there is one already, its files of the
/// same names are replaced, and others stay.
///
/// # Errors
///
/// What the file system or `fill` says; nothing is left behind then.
pub(crate) fn write_folder<E: From<std::io::Error>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let partial = temporary(path);
    remove(&partial)?;
    std::fs::create_dir_all(&partial)?;
    let written = fill(&partial).and_then(|()| Ok(move_in(&partial, path)?));
    if written.is_err() {
        let _ = remove(&partial);
    }
    written
}

fn move_in(partial: &Path, path: &Path) -> Result<()> {
    sync_folder(partial)?;
    if std::fs::symlink_metadata(path).is_ok() {
        let entries = std::fs::read_dir(partial)?.collect::<Result<Vec<_>>>()?;
        for entry in entries {
            std::fs::rename(entry.path(), path.join(entry.file_name()))?;
        }
        sync_folder(path)?;
        std::fs::remove_dir(partial)?;
    } else {
        std::fs::rename(partial, path)?;
    }
    sync_folder_of(path)
}

/// Remove what an interrupted write left; a link goes, not what it leads to.
pub(crate) fn remove(partial: &Path) -> Result<()> {
    match std::fs::symlink_metadata(partial) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(partial),
        Ok(_) => std::fs::remove_file(partial),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Make the names in the folder of a file last.
///
/// # Errors
///
/// What the file system says.
pub(crate) fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync_folder(folder.unwrap_or(Path::new(".")))
}

/// Make the names in a folder last.
///
/// # Errors
///
/// What the file system says.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    // Elsewhere the file system keeps names by itself, and opens no folder.
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        // File systems that know no such thing say so in these ways.
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// SHA-256 of files by their names, which are relative to some folder and have `/` between parts.
pub(crate) type Checksums = BTreeMap<String, String>;

/// Checksums of a file, or of the files in a folder, by names that start with `name`.
///
/// # Errors
///
/// There is none, or it cannot be read.
pub(crate) fn checksums(root: &Path, name: &str) -> Result<Checksums> {
    let path = root.join(name);
    if !path.is_dir() {
        return Ok(Checksums::from([(name.to_owned(), checksum(&path)?)]));
    }
    let mut found = Checksums::new();
    for entry in std::fs::read_dir(&path)? {
        let entry = entry?;
        if let (true, Ok(file)) = (entry.path().is_file(), entry.file_name().into_string()) {
            found.insert(format!("{name}/{file}"), checksum(&entry.path())?);
        }
    }
    Ok(found)
}

/// SHA-256 of a file's bytes, in hexadecimal.
fn checksum(path: &Path) -> Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&block[..n]),
        }
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first file that is not what it was, in half a sentence.
pub(crate) fn damage(root: &Path, files: &Checksums) -> Option<String> {
    files.iter().find_map(|(name, expected)| match checksum(&root.join(name)) {
        Ok(found) if found == *expected => None,
        Ok(_) => Some(format!("{name} is not what was written")),
        Err(e) if e.kind() == ErrorKind::NotFound => Some(format!("{name} is missing")),
        Err(e) => Some(format!("{name} cannot be read ({e})")),
    })
}
