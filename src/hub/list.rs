//! What the local cache holds.

use std::path::Path;

use super::{HubName, HubSettings, Kind, cached};

/// A model in the cache, complete, that needs no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedModel {
    /// `org/name`.
    pub name: String,
    /// A whole model, or an adapter.
    pub kind: Kind,
    /// Bytes of its files.
    pub bytes: u64,
}

/// The complete models of the cache, the smallest first; of each the revision that `main` stood for.
pub fn list(settings: &HubSettings) -> Vec<CachedModel> {
    let Ok(folders) = std::fs::read_dir(&settings.cache) else { return Vec::new() };
    let mut found: Vec<CachedModel> = folders
        .filter_map(|entry| {
            let folder = entry.ok()?.file_name().into_string().ok()?;
            let name = folder.strip_prefix("models--")?.replacen("--", "/", 1);
            let resolved = cached(&HubName::parse(&name)?, settings)?;
            Some(CachedModel { name, kind: resolved.kind, bytes: bytes_in(&resolved.folder) })
        })
        .collect();
    found.sort_by(|a, b| (a.bytes, &a.name).cmp(&(b.bytes, &b.name)));
    found
}

/// A snapshot is flat but for folders that hold no weights of ours.
fn bytes_in(snapshot: &Path) -> u64 {
    let Ok(files) = std::fs::read_dir(snapshot) else { return 0 };
    // Links lead to blobs, so metadata are asked of what they lead to.
    let sizes = files.filter_map(|file| std::fs::metadata(file.ok()?.path()).ok());
    sizes.filter(std::fs::Metadata::is_file).map(|file| file.len()).sum()
}
