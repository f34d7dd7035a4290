//! Names of models on the hub, as a model field holds them.

use std::fmt;
use std::path::Path;

/// The longest part of a name that the hub accepts.
const LONGEST_PART: usize = 96;
/// The longest revision that is accepted; git itself stops near here.
const LONGEST_REVISION: usize = 200;

/// A model on the hub: `org/name`, or a bare `name`, perhaps with `@revision`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HubName {
    org_and_name: String,
    revision: Option<String>,
}

impl HubName {
    /// The name that a field spells, by the hub's rules alone.
    ///
    /// Whether a folder of that name exists is not asked: see [`HubName::of_field`].
    pub fn parse(field: &str) -> Option<Self> {
        let field = field.trim();
        let (repo, revision) = match field.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision)),
            None => (field, None),
        };
        let parts: Vec<&str> = repo.split('/').collect();
        let sound = parts.len() <= 2
            && parts.iter().all(|part| is_part(part))
            && !repo.ends_with(".git")
            && revision.is_none_or(is_revision);
        sound.then(|| Self { org_and_name: repo.to_owned(), revision: revision.map(str::to_owned) })
    }

    /// The name that a model field means: none where a folder or file of that name exists.
    ///
    /// A folder wins, as in Python's transformers, so that a local copy can stand in
    /// for a model of the hub.
    pub fn of_field(field: &str) -> Option<Self> {
        if Path::new(field.trim()).exists() { None } else { Self::parse(field) }
    }

    /// `org/name` without the revision.
    pub fn org_and_name(&self) -> &str {
        &self.org_and_name
    }

    /// The revision asked for: a branch, a tag or a commit.
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// The revision asked for, or the branch that stands for none.
    pub(super) fn revision_or_main(&self) -> &str {
        self.revision().unwrap_or("main")
    }

    /// The same model at a commit.
    pub(super) fn at(&self, commit: &str) -> Self {
        Self { org_and_name: self.org_and_name.clone(), revision: Some(commit.to_owned()) }
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.org_and_name)?;
        self.revision.as_ref().map_or(Ok(()), |revision| write!(f, "@{revision}"))
    }
}

/// Whether a string is the full hash of a commit.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether the hub allows this as an organisation or as a model's name.
fn is_part(part: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let bytes = part.as_bytes();
    bytes.len() <= LONGEST_PART
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && !part.contains("--")
        && !part.contains("..")
}

/// Whether a revision can stand in an address and in a path under `refs` as it is.
///
/// Narrower than git: what git allows beyond this would need escaping in both places.
fn is_revision(revision: &str) -> bool {
    let sound = |part: &str| !part.is_empty() && !part.starts_with(['.', '-']);
    revision.len() <= LONGEST_REVISION
        && revision.split('/').all(sound)
        && !revision.contains("..")
        && revision
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'+'))
}
