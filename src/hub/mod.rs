//! Models of the Hugging Face hub: found in the local cache, fetched on request.
//!
//! The cache is the one of Python's huggingface_hub, in the same layout, so that both
//! programs use each other's files:
//!
//! ```text
//! models--org--name/blobs/<hash>                    the bytes of a file, once
//! models--org--name/blobs/<hash>.incomplete         as far as it has come
//! models--org--name/snapshots/<commit>/<file>       a link to its blob
//! models--org--name/refs/<branch or tag>            the commit it stood for
//! ```
//!
//! Nothing is fetched unless [`download`] is called. A branch is resolved to a commit
//! once, and every file is then asked for by that commit, so that a branch that moves
//! meanwhile cannot mix two versions; [`Resolved::pinned`] is what a recipe stores.

mod cache;
mod download;
mod error;
mod fetch;
mod list;
mod name;
mod remote;
mod settings;

pub use cache::{cached, find};
pub use download::{Progress, download};
pub use error::HubError;
pub use list::{CachedModel, list};
pub use name::HubName;
pub use settings::HubSettings;

use std::path::PathBuf;

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model: configuration, weights and tokenizer.
    Model,
    /// Only an adapter, which names its base model in `adapter_config.json`.
    Adapter,
}

/// A model in the cache, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The snapshot: a folder with the model's files under their own names.
    pub folder: PathBuf,
    /// The commit, in full.
    pub revision: String,
    /// The name it was asked for by.
    pub name: HubName,
    /// What the snapshot holds.
    pub kind: Kind,
}

impl Resolved {
    /// `org/name@commit`, which means the same files for ever.
    pub fn pinned(&self) -> HubName {
        self.name.at(&self.revision)
    }
}
