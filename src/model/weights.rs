//! The tensors of a checkpoint folder: one safetensors file, or shards with an index.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;

use super::files::Bytes;
use super::tensors::floats_of;
use super::{ModelError, ModelFiles};
use crate::legible::quoted;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// What turns pickled weights into safetensors, run inside the folder.
const CONVERT: &str = "python -c \"import glob, torch; from safetensors.torch import save_file; t = {k: v.clone().contiguous() for f in glob.glob('pytorch_model*.bin') for k, v in torch.load(f, map_location='cpu', weights_only=True).items()}; save_file(t, 'model.safetensors', metadata={'format': 'pt'})\"";

/// All tensors of a folder; their values stay in the files until they are asked for.
pub(crate) struct Weights {
    /// What lists the tensors, for messages.
    path: PathBuf,
    shards: Vec<Shard>,
    places: BTreeMap<String, Place>,
}

struct Shard {
    path: PathBuf,
    bytes: Bytes,
}

struct Place {
    shard: usize,
    shape: Vec<usize>,
    dtype: Dtype,
    /// In the bytes of the shard.
    range: Range<usize>,
}

/// One tensor as it is stored.
pub(crate) struct TensorRef<'a> {
    /// Sizes as stored.
    pub(crate) shape: &'a [usize],
    /// The file that holds it.
    pub(crate) file: &'a Path,
    name: &'a str,
    dtype: Dtype,
    data: &'a [u8],
}

impl Weights {
    /// Map the files of a folder and read their headers.
    ///
    /// # Errors
    ///
    /// No weights, or pickled ones; a damaged file or index; a shard that is missing, or lacks a
    /// tensor that the index promises.
    pub(crate) fn open(files: &ModelFiles) -> Result<Self, ModelError> {
        if let Some(shard) = Shard::open(files, SINGLE)? {
            let path = shard.path.clone();
            let places = shard.places(0)?;
            return Ok(Self { path, shards: vec![shard], places });
        }
        match files.json(INDEX)? {
            Some(index) => Self::sharded(files, &index),
            None => Err(no_weights(files)?),
        }
    }

    fn sharded(files: &ModelFiles, index: &Value) -> Result<Self, ModelError> {
        let path = files.path(INDEX);
        let wanted = weight_map(&path, index)?;
        let mut names: Vec<&str> = wanted.values().copied().collect();
        names.sort_unstable();
        names.dedup();
        let mut shards = Vec::new();
        let mut places = BTreeMap::new();
        for name in names {
            let shard = Shard::open(files, name)?.ok_or_else(|| ModelError::Weights {
                path: path.clone(),
                found: format!("the file “{name}” that it lists is missing"),
            })?;
            let mut stored = shard.places(shards.len())?;
            for (tensor, _) in wanted.iter().filter(|(_, file)| **file == name) {
                let place = stored.remove(*tensor).ok_or_else(|| ModelError::MissingTensor {
                    path: shard.path.clone(),
                    name: (*tensor).to_owned(),
                    count: stored.len(),
                    example: stored.keys().next().cloned().unwrap_or_default(),
                })?;
                places.insert((*tensor).to_owned(), place);
            }
            // What the index does not list is there all the same.
            for (tensor, place) in stored {
                places.entry(tensor).or_insert(place);
            }
            shards.push(shard);
        }
        Ok(Self { path, shards, places })
    }

    /// What lists the tensors.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all tensors, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// Whether a tensor is stored in bytes or less.
    pub(crate) fn is_narrow(&self, name: &str) -> bool {
        self.places.get(name).is_some_and(|place| place.dtype.bitsize() <= 8)
    }

    /// Whether two tensors hold different numbers, or have different shapes.
    ///
    /// # Errors
    ///
    /// As [`Weights::get`] and [`TensorRef::to_f32`].
    pub(crate) fn differ(&self, one: &str, other: &str) -> Result<bool, ModelError> {
        let [a, b] = [self.get(one)?, self.get(other)?];
        let differ = if a.shape != b.shape {
            true
        } else if a.dtype == b.dtype {
            a.data != b.data
        } else {
            a.to_f32()? != b.to_f32()?
        };
        [one, other].into_iter().for_each(|name| self.release(name));
        Ok(differ)
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// A tensor by name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn get(&self, name: &str) -> Result<TensorRef<'_>, ModelError> {
        let (name, place) =
            self.places.get_key_value(name).ok_or_else(|| ModelError::MissingTensor {
                path: self.path.clone(),
                name: name.to_owned(),
                count: self.places.len(),
                example: self.places.keys().next().cloned().unwrap_or_default(),
            })?;
        let shard = &self.shards[place.shard];
        let data = shard.bytes.get(place.range.clone()).unwrap_or_default();
        Ok(TensorRef { shape: &place.shape, file: &shard.path, name, dtype: place.dtype, data })
    }

    /// Let the system drop the pages of a tensor that has been read, so that a mapped file does
    /// not count as memory of this process.
    pub(crate) fn release(&self, name: &str) {
        if let Some(place) = self.places.get(name) {
            self.shards[place.shard].release(&place.range);
        }
    }
}

impl Shard {
    fn open(files: &ModelFiles, name: &str) -> Result<Option<Self>, ModelError> {
        let path = files.path(name);
        let damaged =
            |found: &str| ModelError::Weights { path: path.clone(), found: found.to_owned() };
        if path.is_dir() {
            return Err(damaged("this is a folder"));
        }
        match files.bytes(name)? {
            Some(bytes) if bytes.is_empty() => Err(damaged("the file is empty")),
            bytes => Ok(bytes.map(|bytes| Self { path, bytes })),
        }
    }

    /// What the header says of each tensor.
    fn places(&self, shard: usize) -> Result<BTreeMap<String, Place>, ModelError> {
        let damaged = |found: String| ModelError::Weights { path: self.path.clone(), found };
        let (header, metadata) = SafeTensors::read_metadata(&self.bytes)
            .map_err(|e| damaged(format!("damaged or cut short ({e})")))?;
        // Behind the header's length and the header.
        let data = 8 + header;
        let place = |name: String, info: &safetensors::tensor::TensorInfo| {
            let (start, end) = info.data_offsets;
            let range = data + start..data + end;
            (name, Place { shard, shape: info.shape.clone(), dtype: info.dtype, range })
        };
        Ok(metadata.tensors().into_iter().map(|(name, info)| place(name, info)).collect())
    }

    #[cfg(unix)]
    fn release(&self, range: &Range<usize>) {
        // A multiple of every page size in use.
        const PAGE: usize = 64 << 10;
        let (start, end) = (range.start.next_multiple_of(PAGE), range.end / PAGE * PAGE);
        if let (Bytes::Mapped(map), true) = (&self.bytes, start < end) {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the mapping is of a file and never written to, so that dropped pages come
            // back from the file when they are read again. Failure costs memory only.
            let _ = unsafe { map.unchecked_advise_range(advice, start, end - start) };
        }
    }

    #[cfg(not(unix))]
    fn release(&self, _range: &Range<usize>) {}
}

impl TensorRef<'_> {
    /// The values, row-major.
    ///
    /// # Errors
    ///
    /// They are no floats of 16 or 32 bits.
    pub(crate) fn to_f32(&self) -> Result<Vec<f32>, ModelError> {
        let view = TensorView::new(self.dtype, self.shape.to_vec(), self.data);
        view.ok().and_then(|view| floats_of(&view)).ok_or_else(|| self.unsupported())
    }

    /// The values of the transposed matrix, row-major; no second copy is made of them.
    ///
    /// # Errors
    ///
    /// As [`TensorRef::to_f32`]; it is no matrix.
    pub(crate) fn to_transposed_f32(&self) -> Result<Vec<f32>, ModelError> {
        let &[rows, columns] = self.shape else { return Err(self.unsupported()) };
        let (narrow, wide) = (self.data.as_chunks::<2>().0, self.data.as_chunks::<4>().0);
        match self.dtype {
            Dtype::F32 => Ok(transpose(wide, rows, columns, |b| f32::from_le_bytes(*b))),
            Dtype::F16 => {
                Ok(transpose(narrow, rows, columns, |b| half::f16::from_le_bytes(*b).to_f32()))
            }
            Dtype::BF16 => {
                Ok(transpose(narrow, rows, columns, |b| half::bf16::from_le_bytes(*b).to_f32()))
            }
            _ => Err(self.unsupported()),
        }
    }

    fn unsupported(&self) -> ModelError {
        ModelError::Weights {
            path: self.file.to_owned(),
            found: format!(
                "tensor “{}” is stored as {:?} (save the model as float32, float16 or bfloat16)",
                self.name, self.dtype
            ),
        }
    }
}

/// `[rows, columns]` → `[columns, rows]`, in tiles that caches hold.
fn transpose<T>(stored: &[T], rows: usize, columns: usize, read: impl Fn(&T) -> f32) -> Vec<f32> {
    const TILE: usize = 64;
    let mut out = vec![0.0; stored.len()];
    for first_row in (0..rows).step_by(TILE) {
        for first_column in (0..columns).step_by(TILE) {
            for r in first_row..rows.min(first_row + TILE) {
                for c in first_column..columns.min(first_column + TILE) {
                    out[c * rows + r] = read(&stored[r * columns + c]);
                }
            }
        }
    }
    out
}

/// Tensor → file of an index; every file stands in the folder itself.
fn weight_map<'a>(path: &Path, index: &'a Value) -> Result<BTreeMap<&'a str, &'a str>, ModelError> {
    let error = |found: String, expected: &str| ModelError::Config {
        path: path.to_owned(),
        found,
        expected: expected.to_owned(),
    };
    let map = index.get("weight_map").and_then(Value::as_object).ok_or_else(|| {
        error("there is no “weight_map”".to_owned(), "an object of tensor names and file names")
    })?;
    map.iter()
        .map(|(tensor, file)| {
            let name = file.as_str().filter(|name| is_plain(name)).ok_or_else(|| {
                error(
                    format!("tensor “{}” is said to be in {}", quoted(tensor), quoted(file)),
                    "the name of a .safetensors file in the same folder",
                )
            })?;
            Ok((tensor.as_str(), name))
        })
        .collect()
}

fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let single = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    single && !name.contains(['/', '\\', ':']) && name.ends_with(".safetensors")
}

/// Why a folder has no weights that can be read.
fn no_weights(files: &ModelFiles) -> Result<ModelError, ModelError> {
    let names = files.list();
    let with = |ends: &[&str]| {
        names.iter().find(|name| ends.iter().any(|end| name.ends_with(end))).cloned()
    };
    let pickled = |name: &&String| {
        let parts = name.ends_with(".bin.index.json") || name.ends_with(".bin");
        parts && name.starts_with("pytorch_model")
    };
    let found = format!("there is no {SINGLE} and no {INDEX}");
    let found = if let Some(pickled) = names.iter().find(pickled) {
        format!(
            "there is only {pickled}, and pickled weights are not read: name a repository or a revision with safetensors, or convert them, inside the folder, with: {CONVERT}"
        )
    } else if let Some(part) = names.iter().find(|name| is_part(name)) {
        format!("{found}, but {part}: the index that lists the parts is missing; fetch it too")
    } else if let Some(gguf) = with(&[".gguf"]) {
        format!(
            "{found}; {gguf} is a file of llama.cpp, which is not read: name the model that it was made from"
        )
    } else if let Some(other) = with(&[".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack"]) {
        format!("{found}, but {other}, whose name says nothing of a whole model")
    } else {
        found
    };
    Ok(ModelError::NotAModel { folder: files.path(""), found })
}

/// `model-00001-of-00004.safetensors`.
fn is_part(name: &str) -> bool {
    name.starts_with("model-") && name.contains("-of-") && name.ends_with(".safetensors")
}
