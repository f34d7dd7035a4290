//! The cache on disk: what it holds, and where things belong.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use serde_json::Value;

use super::name::is_commit;
use super::{HubError, HubName, HubSettings, Kind, Resolved};
use crate::input::SETTINGS;
use crate::legible::quoted;

/// Weights in the order of preference: one file, or the index of several.
pub(super) const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];
/// Whether weights are pickled: those that Python has left in the cache are found, none are
/// fetched, since nobody here opens them.
pub(super) fn is_pickled(file: &str) -> bool {
    file.ends_with(".bin") || file.ends_with(".bin.index.json")
}

/// What an adapter consists of.
pub(super) const ADAPTER: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

/// The folder of one model in the cache.
pub(super) struct Place {
    cache: PathBuf,
    repo: Repo,
    layout: CacheRepo,
}

impl Place {
    pub(super) fn new(name: &HubName, settings: &HubSettings) -> Self {
        let repo = Repo::with_revision(
            name.org_and_name().to_owned(),
            RepoType::Model,
            name.revision_or_main().to_owned(),
        );
        let layout = Cache::new(settings.cache.clone()).repo(repo.clone());
        Self { cache: settings.cache.clone(), repo, layout }
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.layout.pointer_path(commit)
    }

    pub(super) fn blob(&self, hash: &str) -> PathBuf {
        self.layout.blob_path(hash)
    }

    /// The lock that Python's huggingface_hub takes while it writes a blob.
    pub(super) fn lock(&self, hash: &str) -> PathBuf {
        self.cache.join(".locks").join(self.repo.folder_name()).join(format!("{hash}.lock"))
    }

    /// The commit that the revision stood for when it was last fetched.
    fn commit(&self) -> Option<String> {
        let revision = self.repo.revision();
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let folder = self.cache.join(self.repo.folder_name());
        let commit = crate::input::read_text(&folder.join("refs").join(revision), 1024).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Note which commit the revision stands for.
    pub(super) fn remember(&self, commit: &str) -> Result<(), HubError> {
        if self.repo.revision() == commit {
            return Ok(());
        }
        self.layout.create_ref(commit).map_err(HubError::io(&self.cache))
    }
}

/// The model in the cache, if all of it is there.
pub fn cached(name: &HubName, settings: &HubSettings) -> Option<Resolved> {
    find(name, settings).ok()
}

/// The model in the cache.
///
/// # Errors
///
/// It is not there, or not all of it: the error says what is missing and how to get it.
pub fn find(name: &HubName, settings: &HubSettings) -> Result<Resolved, HubError> {
    let not_cached = |found: String| HubError::NotCached {
        name: name.clone(),
        found,
        cache: settings.cache.clone(),
        how: "press Download, or pass --download",
    };
    let place = Place::new(name, settings);
    let revision = place.commit().ok_or_else(|| not_cached("it is not".to_owned()))?;
    let folder = place.snapshot(&revision);
    if !folder.is_dir() {
        return Err(not_cached(format!("commit {revision} is not")));
    }
    let kind = kind_of(&folder).map_err(|missing| not_cached(format!("there is {missing}")))?;
    Ok(Resolved { folder, revision, name: name.clone(), kind })
}

/// What a snapshot holds, or what it lacks for that.
fn kind_of(snapshot: &Path) -> Result<Kind, String> {
    // A link whose blob is gone counts as absent, since `is_file` follows it.
    let has = |file: &str| snapshot.join(file).is_file();
    let kind = requirements(&has)?;
    for index in WEIGHTS.iter().filter(|file| file.ends_with(".index.json")) {
        // Python may have left an index beside a single file; only the first choice counts.
        if WEIGHTS.iter().find(|file| has(file)) != Some(index) {
            continue;
        }
        let bytes = crate::input::read(&snapshot.join(index), SETTINGS)
            .map_err(|e| format!("{index}: {e}"))?;
        let absent = shards(&bytes)?.into_iter().find(|shard| !has(shard));
        if let Some(shard) = absent {
            return Err(format!("no {shard}"));
        }
    }
    Ok(kind)
}

/// What a set of files amounts to, or what it lacks, in words after “there is”.
pub(super) fn requirements(has: &dyn Fn(&str) -> bool) -> Result<Kind, String> {
    let weights = WEIGHTS.iter().any(|file| has(file));
    if !weights && ADAPTER.iter().all(|file| has(file)) {
        return Ok(Kind::Adapter);
    }
    if !has("config.json") {
        return Err("no config.json".to_owned());
    }
    if !weights {
        return Err("no model.safetensors, whole or in parts,".to_owned());
    }
    let tokenizer = has("tokenizer.json") || (has("vocab.json") && has("merges.txt"));
    if !tokenizer {
        return Err("no tokenizer.json, nor vocab.json with merges.txt,".to_owned());
    }
    Ok(Kind::Model)
}

/// The files that an index of weights names.
///
/// The index comes from the network and its names become paths, so that anything but
/// a plain file name is refused.
pub(super) fn shards(index: &[u8]) -> Result<BTreeSet<String>, String> {
    let json: Value = serde_json::from_slice(index).map_err(|e| format!("a broken index ({e})"))?;
    let map = json.get("weight_map").and_then(Value::as_object);
    let map = map.filter(|map| !map.is_empty()).ok_or("an index without a weight_map")?;
    let mut shards = BTreeSet::new();
    for file in map.values() {
        match file.as_str().filter(|file| is_plain(file)) {
            Some(file) => shards.insert(file.to_owned()),
            None => return Err(format!("an index that names the file {}", quoted(file))),
        };
    }
    Ok(shards)
}

/// Whether a string is the name of a file in the folder itself.
pub(super) fn is_plain(file: &str) -> bool {
    !file.starts_with('.')
        && !file.is_empty()
        && file.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}
