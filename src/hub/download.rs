//! A whole model from the hub into the cache.

use std::path::{Path, PathBuf};

use super::cache::{ADAPTER, Place, WEIGHTS, find, is_pickled, requirements, shards};
use super::fetch::{Target, fetch, incomplete, is_there};
use super::remote::{Details, Listing, Remote};
use super::{HubError, HubName, HubSettings, Kind, Resolved};

/// The files that are taken beside the weights, where there are any.
const SMALL: [&str; 9] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "chat_template.jinja",
];
/// How many names of files a message shows.
const SHOWN: usize = 8;

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file under way.
    pub file: &'a str,
    /// Its bytes that are on disk.
    pub done_bytes: u64,
    /// Its size.
    pub total_bytes: u64,
    /// Its place in the order, from 0.
    pub file_index: usize,
    /// How many files there are.
    pub files: usize,
    /// Bytes of all files that are on disk.
    pub all_done_bytes: u64,
    /// Size of all files.
    pub all_total_bytes: u64,
}

/// Fetch what a model consists of into the cache, as far as it is not there.
///
/// `progress` is called about ten times a second while a file is under way, with or
/// without news; `false` from it cancels. It is not called while the hub is first asked
/// what the model consists of, which gives up by itself when nothing is heard. What has
/// come by then is kept, and the next call goes on from there. Where the network is
/// forbidden, a complete model in the cache is returned as it is.
///
/// # Errors
///
/// The hub cannot be reached, does not know the model or refuses access; the repository
/// is no usable model; the disk is full; what arrives is not what was announced.
pub fn download(
    name: &HubName,
    settings: &HubSettings,
    progress: &mut dyn FnMut(Progress<'_>) -> bool,
) -> Result<Resolved, HubError> {
    if settings.offline {
        return find(name, settings).map_err(|_| HubError::Offline { name: name.clone() });
    }
    let remote = Remote::new(name, settings)?;
    let listing = remote.listing()?;
    if let Some(file) = only_pickled(&listing) {
        return Err(HubError::Pickled { name: name.clone(), file });
    }
    let kind = requirements(&|file| listing.entry(file).is_some())
        .map_err(|missing| incomplete_error(name, missing, &listing))?;
    let place = Place::new(name, settings);
    let task = Task { name, place, remote, listing, progress };
    task.run(settings, kind)
}

/// The pickled weights of a model or an adapter that has no others.
fn only_pickled(listing: &Listing) -> Option<String> {
    let has = |file: &&str| listing.entry(file).is_some();
    let [config, weights] = ADAPTER;
    let adapter = has(&config) && !has(&weights);
    let sound = WEIGHTS.iter().any(|file| !is_pickled(file) && has(file));
    let pickled = WEIGHTS.into_iter().filter(|file| is_pickled(file) && !sound);
    let of_adapter = ["adapter_model.bin"].into_iter().filter(|_| adapter && !sound);
    pickled.chain(of_adapter).find(|file| has(file)).map(str::to_owned)
}

/// A download under way.
struct Task<'a> {
    name: &'a HubName,
    place: Place,
    remote: Remote<'a>,
    listing: Listing,
    progress: &'a mut dyn FnMut(Progress<'_>) -> bool,
}

/// A file that belongs to the model.
struct Wanted {
    file: String,
    details: Details,
}

impl Task<'_> {
    fn run(mut self, settings: &HubSettings, kind: Kind) -> Result<Resolved, HubError> {
        let wanted = self.plan()?;
        self.check_disk(&wanted, &settings.cache)?;
        // Sizes are the hub's word, and no sum of them may overflow.
        let total = wanted.iter().map(|one| one.details.size).fold(0, u64::saturating_add);
        let mut before = 0u64;
        for (index, one) in wanted.iter().enumerate() {
            let size = one.details.size;
            let at = |done| Progress {
                file: &one.file,
                done_bytes: done,
                total_bytes: size,
                file_index: index,
                files: wanted.len(),
                all_done_bytes: before.saturating_add(done),
                all_total_bytes: total,
            };
            self.bring(one, &at)?;
            before = before.saturating_add(size);
        }
        // Last, so that an interrupted update leaves the branch at the version it has whole.
        self.place.remember(&self.listing.commit)?;
        let revision = self.listing.commit;
        let folder = self.place.snapshot(&revision);
        Ok(Resolved { folder, revision, name: self.name.clone(), kind })
    }

    /// The files to be fetched, small ones first: a model that lacks its weights is not
    /// mistaken for a complete one.
    fn plan(&mut self) -> Result<Vec<Wanted>, HubError> {
        let mut wanted = Vec::new();
        for file in SMALL.iter().chain(&ADAPTER) {
            if self.listing.entry(file).is_some() {
                wanted.push(self.wanted(file)?);
            }
        }
        let weights = WEIGHTS.iter().find(|file| self.listing.entry(file).is_some());
        if let Some(file) = weights {
            let first = self.wanted(file)?;
            let parts = if file.ends_with(".index.json") { self.parts(&first)? } else { vec![] };
            wanted.push(first);
            wanted.extend(parts);
        }
        Ok(wanted)
    }

    fn wanted(&self, file: &str) -> Result<Wanted, HubError> {
        let Some(entry) = self.listing.entry(file) else {
            return Err(incomplete_error(self.name, format!("no {file}"), &self.listing));
        };
        let details = self.remote.describe(&self.listing.commit, entry)?;
        Ok(Wanted { file: file.to_owned(), details })
    }

    /// The files that an index names; it is fetched for that, ahead of the others.
    fn parts(&mut self, index: &Wanted) -> Result<Vec<Wanted>, HubError> {
        let size = index.details.size;
        let at = |done| Progress {
            file: &index.file,
            done_bytes: done,
            total_bytes: size,
            file_index: 0,
            files: 1,
            all_done_bytes: done,
            all_total_bytes: size,
        };
        let path = self.bring(index, &at)?;
        let bytes =
            crate::input::read(&path, crate::input::SETTINGS).map_err(HubError::io(&path))?;
        let names = shards(&bytes).map_err(|found| {
            self.remote.strange(found, "an index that names files of the model's own folder")
        })?;
        names.iter().map(|file| self.wanted(file)).collect()
    }

    /// Put a file into the snapshot, fetching it if need be.
    fn bring<'p>(
        &mut self,
        one: &'p Wanted,
        at: &dyn Fn(u64) -> Progress<'p>,
    ) -> Result<PathBuf, HubError> {
        let path = self.place.snapshot(&self.listing.commit).join(&one.file);
        let size = one.details.size;
        let cancelled = || HubError::Cancelled { name: self.name.clone() };
        if !is_there(&path, size) {
            let target = Target {
                commit: &self.listing.commit,
                file: &one.file,
                details: &one.details,
                blob: self.place.blob(&one.details.hash),
                lock: self.place.lock(&one.details.hash),
            };
            let report = &mut |done| (self.progress)(at(done));
            let _lock = fetch(&self.remote, &target, &cancelled, report)?;
            link(&target.blob, &path, size)?;
        }
        if (self.progress)(at(size)) { Ok(path) } else { Err(cancelled()) }
    }

    /// Whether what is still to come fits on the disk.
    fn check_disk(&self, wanted: &[Wanted], cache: &Path) -> Result<(), HubError> {
        let snapshot = self.place.snapshot(&self.listing.commit);
        let to_come = |one: &Wanted| {
            let (size, blob) = (one.details.size, self.place.blob(&one.details.hash));
            if is_there(&snapshot.join(&one.file), size) || is_there(&blob, size) {
                return 0;
            }
            size.saturating_sub(incomplete(&blob).metadata().map_or(0, |part| part.len()))
        };
        let needed = wanted.iter().map(to_come).fold(0, u64::saturating_add);
        match free_bytes(cache) {
            Some(found) if found < needed => {
                Err(HubError::Disk { folder: cache.to_owned(), needed, found })
            }
            _ => Ok(()),
        }
    }
}

fn incomplete_error(name: &HubName, missing: String, listing: &Listing) -> HubError {
    let names: Vec<&str> = listing.files.iter().map(|entry| entry.file.as_str()).collect();
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    let found = match names.len().saturating_sub(SHOWN) {
        _ if names.is_empty() => "there are none".to_owned(),
        0 => shown,
        more => format!("{shown} and {more} more"),
    };
    HubError::Incomplete { name: name.clone(), missing, found }
}

/// Give a blob its name in a snapshot, unless another program has just done so.
fn link(blob: &Path, path: &Path, size: u64) -> Result<(), HubError> {
    if is_there(path, size) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(HubError::io(folder))?;
    }
    // A link whose blob was damaged or deleted, which would be in the way.
    if path.symlink_metadata().is_ok() {
        std::fs::remove_file(path).map_err(HubError::io(path))?;
    }
    place(blob, path).map_err(HubError::io(path))
}

/// A relative link, as Python makes it, so that the cache can be moved.
#[cfg(unix)]
fn place(blob: &Path, path: &Path) -> std::io::Result<()> {
    let hash = blob.file_name().unwrap_or_default();
    std::os::unix::fs::symlink(Path::new("../../blobs").join(hash), path)
}

/// The file itself, as Python does where links need special rights.
#[cfg(not(unix))]
fn place(blob: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::rename(blob, path).or_else(|_| std::fs::copy(blob, path).map(|_| ()))
}

/// Free space where a folder is or will be, as far as the system tells.
#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;

    let there = folder.ancestors().find(|path| path.exists())?;
    let path = std::ffi::CString::new(there.as_os_str().as_bytes()).ok()?;
    // SAFETY: all bytes zero is a valid value of this structure of numbers.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a zero byte, and the structure is writable.
    let status = unsafe { libc::statvfs(path.as_ptr(), &mut found) };
    // The widths of these fields differ between systems.
    #[allow(clippy::unnecessary_cast)]
    let free = (found.f_bavail as u64).saturating_mul(found.f_frsize as u64);
    (status == 0).then_some(free)
}

/// Free space: not asked for here, where a full disk shows as an error of writing.
#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}
