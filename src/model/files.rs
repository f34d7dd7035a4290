//! The files of a model: a folder on disk, or a model that is compiled in.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::ModelError;
use super::config::{Fields, SpecialTokens};
use crate::input::SETTINGS;

/// A model's files.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Folder(PathBuf),
    /// The folder of an adapter, and the model it belongs to.
    Adapted(PathBuf, Box<ModelFiles>),
    BuiltIn(&'static str, &'static [(&'static str, &'static [u8])]),
    Given(Arc<Given>),
}

/// Files whose bytes somebody else has read.
#[derive(Debug)]
pub(crate) struct Given {
    /// What the model is called.
    pub(crate) name: String,
    /// The folder in which a file would be that there is none of.
    pub(crate) folder: PathBuf,
    /// All files that there are beside the weights, whether they were given or not.
    pub(crate) listed: Vec<String>,
    /// Those given: name, path for messages, and where their bytes stand.
    pub(crate) files: Vec<(String, PathBuf, Range<usize>)>,
    /// Their bytes, one after the other.
    pub(crate) bytes: Arc<Vec<u8>>,
}

/// Bytes of one file.
#[derive(Debug)]
pub enum Bytes {
    /// Memory-mapped from disk.
    Mapped(Mmap),
    /// Compiled in.
    Static(&'static [u8]),
    /// A part of what another process has sent.
    Given(Arc<Vec<u8>>, Range<usize>),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Static(bytes) => bytes,
            Self::Given(bytes, range) => &bytes[range.clone()],
        }
    }
}

/// Bytes of a file that a fingerprint looks at whole; of longer ones it takes pieces.
const WHOLE: usize = 64 << 20;
const PIECE: usize = 1 << 16;
const PIECES: usize = 255;

impl ModelFiles {
    /// The files in a folder.
    ///
    /// # Errors
    ///
    /// The folder does not exist or holds no `config.json`.
    pub fn folder(folder: &Path) -> Result<Self, ModelError> {
        let missing = |found: &str| ModelError::NotAModel {
            folder: folder.to_owned(),
            found: found.to_owned(),
        };
        if !folder.is_dir() {
            return Err(missing("this folder does not exist"));
        }
        if !folder.join("config.json").is_file() {
            return Err(missing(&without_config(folder)));
        }
        Ok(Self { place: Place::Folder(folder.to_owned()) })
    }

    /// The files of an adapter over those of its base; the adapter's own come first.
    pub fn adapted(folder: &Path, base: Self) -> Self {
        Self { place: Place::Adapted(folder.to_owned(), Box::new(base)) }
    }

    /// The model itself, without an adapter.
    pub fn base(&self) -> &Self {
        match &self.place {
            Place::Adapted(_, base) => base.base(),
            _ => self,
        }
    }

    /// The folder of the adapter, if there is one.
    pub fn adapter(&self) -> Option<&Path> {
        match &self.place {
            Place::Adapted(folder, _) => Some(folder),
            _ => None,
        }
    }

    /// Files that are compiled in.
    pub fn built_in(name: &'static str, files: &'static [(&'static str, &'static [u8])]) -> Self {
        Self { place: Place::BuiltIn(name, files) }
    }

    /// Files that another process has read.
    pub(crate) fn given(given: Given) -> Self {
        Self { place: Place::Given(Arc::new(given)) }
    }

    /// Whether every file is compiled in, and so none of anybody else's making.
    pub fn is_built_in(&self) -> bool {
        matches!(self.place, Place::BuiltIn(..))
    }

    /// The model's folder, or the name that it is compiled in under.
    pub fn name(&self) -> String {
        match &self.place {
            Place::Folder(folder) | Place::Adapted(folder, _) => folder.display().to_string(),
            Place::BuiltIn(name, _) => (*name).to_owned(),
            Place::Given(given) => given.name.clone(),
        }
    }

    /// The path of a file, for messages.
    pub fn path(&self, file: &str) -> PathBuf {
        match &self.place {
            Place::Folder(folder) => folder.join(file),
            Place::BuiltIn(name, _) => Path::new(name).join(file),
            Place::Given(given) => match given.files.iter().find(|(name, ..)| name == file) {
                Some((_, path, _)) => path.clone(),
                None => given.folder.join(file),
            },
            Place::Adapted(folder, base) => {
                let own = folder.join(file);
                if own.is_file() { own } else { base.path(file) }
            }
        }
    }

    /// The bytes of a file, if there is one.
    ///
    /// # Errors
    ///
    /// The file exists but cannot be read.
    pub fn bytes(&self, file: &str) -> Result<Option<Bytes>, ModelError> {
        match &self.place {
            Place::BuiltIn(_, files) => Ok(files
                .iter()
                .find(|(name, _)| *name == file)
                .map(|(_, bytes)| Bytes::Static(bytes))),
            Place::Folder(folder) => map_file(&folder.join(file)).map(|map| map.map(Bytes::Mapped)),
            Place::Adapted(folder, base) => match map_file(&folder.join(file))? {
                Some(map) => Ok(Some(Bytes::Mapped(map))),
                None => base.bytes(file),
            },
            Place::Given(given) => {
                let range = |(_, _, range): &(_, _, Range<usize>)| range.clone();
                let found = given.files.iter().find(|(name, ..)| name == file).map(range);
                Ok(found.map(|range| Bytes::Given(given.bytes.clone(), range)))
            }
        }
    }

    /// The names of the files in the model's own folder, in order; none where it cannot be listed.
    pub(crate) fn list(&self) -> Vec<String> {
        let folder = match &self.place {
            Place::Folder(folder) | Place::Adapted(folder, _) => folder,
            Place::BuiltIn(_, files) => {
                return files.iter().map(|(n, _)| (*n).to_owned()).collect();
            }
            Place::Given(given) => return given.listed.clone(),
        };
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// A hash of what is in the files that readers read: of small ones whole, of large ones of
    /// their length, their beginning and pieces from everywhere in them.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub(crate) fn fingerprint(&self) -> Result<String, ModelError> {
        let mut hasher = Sha256::new();
        for name in self.list() {
            let read = [".json", ".jinja", ".txt", ".safetensors"];
            if !read.iter().any(|end| name.ends_with(end)) {
                continue;
            }
            let Some(bytes) = self.bytes(&name)? else { continue };
            hasher.update(name.as_bytes());
            hasher.update((bytes.len() as u64).to_le_bytes());
            if bytes.len() <= WHOLE {
                hasher.update(&*bytes);
            } else {
                let stride = (bytes.len() - PIECE) / PIECES;
                (0..=PIECES).for_each(|i| hasher.update(&bytes[i * stride..][..PIECE]));
            }
        }
        if let Place::Adapted(_, base) = &self.place {
            hasher.update(base.fingerprint()?);
        }
        Ok(crate::files::hex(&hasher.finalize()))
    }

    /// A JSON file, if there is one.
    ///
    /// # Errors
    ///
    /// The file exists but cannot be read or is not JSON.
    pub fn json(&self, file: &str) -> Result<Option<Value>, ModelError> {
        let Some(bytes) = self.bytes(file)? else { return Ok(None) };
        if bytes.len() as u64 > SETTINGS {
            return Err(ModelError::Config {
                path: self.path(file),
                found: format!("{} bytes", bytes.len()),
                expected: format!("JSON of {SETTINGS} bytes at most"),
            });
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|e| ModelError::Config {
            path: self.path(file),
            found: e.to_string(),
            expected: "JSON".to_owned(),
        })
    }

    /// `config.json`.
    ///
    /// # Errors
    ///
    /// It is missing, unreadable or not an object.
    pub fn config(&self) -> Result<Value, ModelError> {
        let path = self.path("config.json");
        match self.json("config.json")? {
            Some(value @ Value::Object(_)) => Ok(value),
            Some(_) => Err(ModelError::Config {
                path,
                found: "no object".to_owned(),
                expected: "a JSON object".to_owned(),
            }),
            None => Err(ModelError::NotAModel {
                folder: self.path(""),
                found: "there is no config.json".to_owned(),
            }),
        }
    }

    /// Special token ids of `generation_config.json`, else `config.json`.
    ///
    /// # Errors
    ///
    /// One of the files is damaged.
    pub fn special_tokens(&self) -> Result<SpecialTokens, ModelError> {
        let config = self.config()?;
        let generation = self.json("generation_config.json")?.unwrap_or(Value::Null);
        let find = |name: &str| {
            let present = |json: &Value| json.get(name).filter(|v| !v.is_null()).cloned();
            present(&generation).or_else(|| present(&config)).unwrap_or(Value::Null)
        };
        let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let eos = match find("eos_token_id") {
            Value::Array(ids) => ids.iter().filter_map(one).collect(),
            single => one(&single).into_iter().collect(),
        };
        Ok(SpecialTokens { eos, pad: one(&find("pad_token_id")), bos: one(&find("bos_token_id")) })
    }

    pub(crate) fn fields<'a>(&self, path: &'a Path, json: &'a Value) -> Fields<'a> {
        Fields { path, json }
    }
}

/// What a folder without `config.json` is, as far as that can be seen.
fn without_config(folder: &Path) -> String {
    let names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let has = |test: &dyn Fn(&str) -> bool| names.iter().any(|name| test(name));
    let found = "there is no config.json";
    if has(&|name| name == "snapshots") {
        let own = folder.file_name().unwrap_or_default().to_string_lossy();
        let name = own.strip_prefix("models--").unwrap_or("org--name").replace("--", "/");
        format!(
            "{found}, but “snapshots”: this is the hub's cache of a model, so name {name}, or a folder in snapshots"
        )
    } else if has(&|name| name.ends_with(".gguf")) {
        format!(
            "{found}, but a .gguf file of llama.cpp, which is not read: name the model that it was made from"
        )
    } else if has(&|name| name == "params.json" || name.ends_with(".pth")) {
        format!(
            "{found}, but weights as their author published them: name the same model in transformers' layout (many are called …-hf)"
        )
    } else {
        found.to_owned()
    }
}

/// Map a file, or `None` where there is none.
pub(crate) fn map_file(path: &Path) -> Result<Option<Mmap>, ModelError> {
    let io = |source| ModelError::Io { path: path.to_owned(), source };
    let file = match crate::input::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    // SAFETY: the mapping is only read; a file that another program shortens
    // meanwhile is outside what any reader can guard against.
    let map = unsafe { Mmap::map(&file) }.map_err(io)?;
    if map.starts_with(POINTER) {
        return Err(ModelError::Pointer { path: path.to_owned() });
    }
    Ok(Some(map))
}

/// How what Git LFS leaves in place of a file begins.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
