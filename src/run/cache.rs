//! What models said of sequences in earlier runs, so that no run asks again.
//!
//! A pass depends on the model's weights, on what is read of it, on the kind of device, and on the
//! sequence's tokens; on no setting of training. So there is one file for each of the former, and in
//! it a number for each sequence, found by a hash of its tokens.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::batch::Sequence;
use crate::device::is_cpu;
use crate::model::{Decoder, visit_all};

/// Begins every file; changes whenever passes come to give other numbers.
const HEADER: &[u8] = b"confide passes 1\n";
/// Bytes of a hash of tokens, and with its number.
const HASH: usize = 16;
const RECORD: usize = HASH + 4;
/// Bytes that all files together may take; the oldest go first.
const LIMIT: u64 = 2 << 30;
/// No file is being written for so long.
const STALE: Duration = Duration::from_secs(3600);

/// Where files are kept for a user's programs: `CONFIDE_CACHE` where it is set (empty means none), else
/// within the system's cache folder.
pub fn cache_folder() -> Option<PathBuf> {
    match std::env::var_os("CONFIDE_CACHE") {
        Some(folder) if folder.is_empty() => None,
        Some(folder) => Some(PathBuf::from(folder).join("passes")),
        None => {
            let dirs = directories::ProjectDirs::from("", "", "confide")?;
            Some(dirs.cache_dir().join("passes"))
        }
    }
}

/// What one model said of sequences, in one way of asking.
pub(crate) struct OutputCache {
    path: Option<PathBuf>,
    known: HashMap<[u8; HASH], f32>,
    /// How many were known before this run.
    found: usize,
    fresh: usize,
}

impl OutputCache {
    /// What is known of a model by the files of a folder; `reads` says what is read of it. A sentence says
    /// what is wrong with an older file, which is then made anew.
    pub(crate) fn open(
        folder: Option<&Path>,
        decoder: &Decoder,
        reads: &str,
    ) -> (Self, Option<String>) {
        let Some(folder) = folder else { return (Self::empty(None), None) };
        let path = folder.join(format!("{}.passes", key(decoder, reads)));
        match read(&path) {
            Ok(known) => {
                let found = known.len();
                (Self { path: Some(path), known, found, fresh: 0 }, None)
            }
            Err(problem) => {
                let told = format!(
                    "{}: {problem}; what models said in earlier runs is computed again",
                    path.display()
                );
                (Self::empty(Some(path)), Some(told))
            }
        }
    }

    fn empty(path: Option<PathBuf>) -> Self {
        Self { path, known: HashMap::new(), found: 0, fresh: 0 }
    }

    /// The number of a sequence, where it is known.
    pub(crate) fn get(&self, sequence: &Sequence) -> Option<f32> {
        // Without a file every sequence is new: its hash would only cost time.
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&hash(sequence)).copied().filter(|number| number.is_finite())
    }

    /// Remember a number.
    pub(crate) fn put(&mut self, sequence: &Sequence, value: f32) {
        self.known.insert(hash(sequence), value);
        self.fresh += 1;
    }

    /// Learn of these sequences what is not known yet: `compute` gives a number for each that is new.
    ///
    /// # Errors
    ///
    /// Those of `compute`.
    pub(crate) fn learn<E>(
        &mut self,
        sequences: &[&Sequence],
        compute: impl FnOnce(&[&Sequence]) -> Result<Vec<f32>, E>,
    ) -> Result<(), E> {
        let new: Vec<&Sequence> =
            sequences.iter().copied().filter(|sequence| self.get(sequence).is_none()).collect();
        if new.is_empty() {
            return Ok(());
        }
        let values = compute(&new)?;
        new.into_iter().zip(values).for_each(|(sequence, value)| self.put(sequence, value));
        Ok(())
    }

    /// How many numbers were there before.
    pub(crate) fn found(&self) -> usize {
        self.found
    }

    /// Write what is new beside what others wrote meanwhile.
    ///
    /// # Errors
    ///
    /// The folder cannot be written.
    pub(crate) fn save(mut self) -> std::io::Result<()> {
        let Some(path) = self.path.take().filter(|_| self.fresh > 0) else { return Ok(()) };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        for (hash, value) in read(&path).unwrap_or_default() {
            self.known.entry(hash).or_insert(value);
        }
        let mut bytes = HEADER.to_vec();
        for (hash, value) in &self.known {
            bytes.extend_from_slice(hash);
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(&Sha256::digest(&bytes));
        // A name of its own, so that two runs that write at once do not meet.
        let partial = path.with_extension(format!("{}.partial", std::process::id()));
        crate::files::write(&partial, &bytes)?;
        std::fs::rename(&partial, &path)?;
        path.parent().map_or(Ok(()), |folder| prune(folder, LIMIT))
    }
}

/// The hash of everything that decides what a model says, but the sequence.
fn key(decoder: &Decoder, reads: &str) -> String {
    let mut hasher = Sha256::new();
    let device = decoder.device();
    let device = if is_cpu(&device) { "cpu".to_owned() } else { format!("{device:?}") };
    hasher.update(format!("{reads}\n{device}\n{:?}\n", decoder.config()));
    // An adapter that adds nothing yet is no part of what is said, whatever its first matrix is.
    let mut first_of_adapter = Vec::new();
    visit_all(decoder, &mut |path, values| {
        let digest = Sha256::digest(bytemuck::cast_slice::<f32, u8>(values));
        if path.ends_with("lora.a") {
            first_of_adapter = digest.to_vec();
        } else if !path.ends_with("lora.b") || values.iter().any(|v| *v != 0.0) {
            hasher.update(std::mem::take(&mut first_of_adapter));
            hasher.update(path);
            hasher.update(digest);
        }
    });
    crate::files::hex(&hasher.finalize()[..HASH])
}

/// A hash of a sequence's tokens and of where its response begins.
fn hash(sequence: &Sequence) -> [u8; HASH] {
    let mut hasher = Sha256::new();
    hasher.update((sequence.prompt.len() as u64).to_le_bytes());
    hasher.update(bytemuck::cast_slice::<u32, u8>(&sequence.prompt));
    hasher.update(bytemuck::cast_slice::<u32, u8>(&sequence.response));
    let mut short = [0; HASH];
    short.copy_from_slice(&hasher.finalize()[..HASH]);
    short
}

/// The numbers of a file; none where there is no file.
fn read(path: &Path) -> Result<HashMap<[u8; HASH], f32>, String> {
    let bytes = match crate::input::read(path, LIMIT) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(e) => return Err(e.to_string()),
    };
    let damaged = || "the file is damaged".to_owned();
    let (body, digest) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
    let records = body.strip_prefix(HEADER).ok_or_else(damaged)?;
    if Sha256::digest(body)[..] != digest[..] {
        return Err(damaged());
    }
    let (records, rest) = records.as_chunks::<RECORD>();
    if !rest.is_empty() {
        return Err(damaged());
    }
    let record = |record: &[u8; RECORD]| {
        let (hash, value) = record.split_first_chunk::<HASH>()?;
        Some((*hash, f32::from_le_bytes(value.try_into().ok()?)))
    };
    Ok(records.iter().filter_map(record).collect())
}

/// Whether a file of passes can be read, and what is wrong with it otherwise.
///
/// # Errors
///
/// The file cannot be read or is damaged.
#[doc(hidden)]
pub fn check_cache(path: &Path) -> Result<(), String> {
    read(path).map(drop)
}

/// Remove the oldest files until the others take `limit` bytes at most, and what interrupted
/// processes left.
fn prune(folder: &Path, limit: u64) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, found) = (entry.path(), entry.metadata()?);
        let ends = |end: &str| path.extension().is_some_and(|extension| extension == end);
        if ends("passes") {
            files.push((found.modified()?, found.len(), path));
        } else if ends("partial") && found.modified()?.elapsed().is_ok_and(|age| age > STALE) {
            // Left by a process that was killed.
            std::fs::remove_file(path)?;
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files {
        if total <= limit {
            break;
        }
        std::fs::remove_file(path)?;
        total -= bytes;
    }
    Ok(())
}
