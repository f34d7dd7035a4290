//! What can go wrong between a name and its files.

use std::path::{Path, PathBuf};

use super::HubName;

/// Why a model of the hub is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The cache does not hold it, and nobody asked for it to be fetched.
    #[error("{name}: {found} in the cache {cache}; {how}")]
    NotCached {
        /// The model.
        name: HubName,
        /// What the cache holds of it.
        found: String,
        /// The cache.
        cache: PathBuf,
        /// How to get it.
        how: &'static str,
    },
    /// The environment forbids the network.
    #[error(
        "{name} is not complete in the cache, and HF_HUB_OFFLINE=1 forbids fetching it; unset HF_HUB_OFFLINE (and TRANSFORMERS_OFFLINE), or give a folder instead"
    )]
    Offline {
        /// The model.
        name: HubName,
    },
    /// The hub does not know the model, the revision or the file.
    #[error(
        "{name}: {endpoint} knows no such {what}; check the spelling (a private model looks the same to those without access: set HF_TOKEN)"
    )]
    NotFound {
        /// The model.
        name: HubName,
        /// The hub.
        endpoint: String,
        /// What it does not know: model, revision or file.
        what: String,
    },
    /// The hub refuses access.
    #[error(
        "{name}: {endpoint} refuses access ({status}: {found}); expected a token with access, and {token}: accept the licence at {endpoint}/{} and set HF_TOKEN (if there is no such page, check the spelling)",
        name.org_and_name()
    )]
    Denied {
        /// The model.
        name: HubName,
        /// The hub.
        endpoint: String,
        /// The status.
        status: u16,
        /// The hub's words.
        found: String,
        /// Whether a token was sent, in words.
        token: &'static str,
    },
    /// The hub cannot be reached, or the connection broke too often.
    #[error(
        "{what}: {reason}; check the connection (HTTPS_PROXY, HF_ENDPOINT; SSL_CERT_FILE for a proxy with its own certificates) and try again: what has arrived is kept, and the next download goes on from there"
    )]
    Network {
        /// What was asked for.
        what: String,
        /// The reason.
        reason: String,
    },
    /// The disk is too full.
    #[error(
        "{folder}: {} are needed, {} are free; free some space, or set HF_HUB_CACHE to a folder on another disk",
        human(*needed), human(*found)
    )]
    Disk {
        /// The cache.
        folder: PathBuf,
        /// Bytes still to be fetched.
        needed: u64,
        /// Bytes free.
        found: u64,
    },
    /// The caller stopped the download.
    #[error(
        "the download of {name} was cancelled; what has arrived is kept, and the next download goes on from there"
    )]
    Cancelled {
        /// The model.
        name: HubName,
    },
    /// The repository lacks files without which a model cannot be used.
    #[error(
        "{name}: {missing} among its files ({found}); expected config.json, weights as safetensors, and tokenizer.json or vocab.json with merges.txt; try a repository with the model in transformers' layout"
    )]
    Incomplete {
        /// The model.
        name: HubName,
        /// What is missing.
        missing: String,
        /// Some of what there is.
        found: String,
    },
    /// The weights are pickled.
    #[error(
        "{name}: its weights are pickled ({file}), and pickled files are neither fetched nor opened; expected safetensors: take a revision that has them (many repositories have one as refs/pr/1: {}@refs/pr/1), or another repository with the same model",
        name.org_and_name()
    )]
    Pickled {
        /// The model.
        name: HubName,
        /// The file.
        file: String,
    },
    /// A file arrived, but is not what the hub announced.
    #[error(
        "{file}: {found}; expected {expected}; nothing of it is kept: try again, and if it happens again, look for a proxy or a mirror (HF_ENDPOINT) that alters files"
    )]
    Damaged {
        /// The file.
        file: String,
        /// What arrived.
        found: String,
        /// What was announced.
        expected: String,
    },
    /// Another program writes the same file, unhindered by the lock.
    #[error(
        "{path}: another program writes it at the same time ({found} bytes; expected {expected}), and this file system ignores locks; wait until the other one has finished, or set HF_HUB_CACHE to a local disk"
    )]
    Busy {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The length that this program has written.
        expected: u64,
    },
    /// The hub's answer makes no sense, or would write outside the cache.
    #[error("{name}: the hub answers with {found}; expected {expected}; is HF_ENDPOINT a hub?")]
    Strange {
        /// The model.
        name: HubName,
        /// What was found.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A file or folder of the cache cannot be read or written.
    #[error("{path}: {source}; check its permissions, or set HF_HUB_CACHE to a folder of yours")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

impl HubError {
    /// An error of the file system, with its path.
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}

/// A number of bytes as people say it.
fn human(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    UNITS.iter().find(|(_, unit)| bytes >= *unit).map_or_else(
        || format!("{bytes} bytes"),
        |(name, unit)| format!("{:.1} {name}", bytes as f64 / *unit as f64),
    )
}
