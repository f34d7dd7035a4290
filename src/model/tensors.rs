//! Parameters on the host, by path: collecting, putting back, reading and writing.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufWriter, Write};
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo, TensorView};

use super::ModelError;
use super::precision::widen;

/// One tensor on the host, in f32.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedTensor {
    /// Sizes.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// Storage type of written weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// 32-bit floats.
    F32,
    /// 16-bit IEEE floats.
    F16,
}

/// Which parameters of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// All.
    All,
    /// Those that are trained.
    Trained,
}

/// All parameters of a module by path, in f32.
pub fn collect_tensors<M: Module>(module: &M) -> BTreeMap<String, SavedTensor> {
    collect(module, Which::All)
}

/// The trained parameters of a module by path.
pub fn collect_trained<M: Module>(module: &M) -> BTreeMap<String, SavedTensor> {
    collect(module, Which::Trained)
}

fn collect<M: Module>(module: &M, which: Which) -> BTreeMap<String, SavedTensor> {
    let mut found = BTreeMap::new();
    visit_parameters(module, which, &mut |path, handle| {
        found.insert(path, handle.read());
    });
    found
}

/// A parameter on its device; reading it copies it to the host.
#[derive(Clone)]
pub(crate) struct Handle {
    /// Sizes.
    pub(crate) shape: Vec<usize>,
    /// The values, flattened; in blocks of two dimensions where they are packed.
    value: HandleValue,
}

#[derive(Clone)]
enum HandleValue {
    Vector(Tensor<1>),
    Matrix(Tensor<2>),
}

impl Handle {
    pub(crate) fn vector(value: Tensor<1>) -> Self {
        Self { shape: value.dims().to_vec(), value: HandleValue::Vector(value) }
    }

    pub(crate) fn matrix(value: Tensor<2>) -> Self {
        Self { shape: value.dims().to_vec(), value: HandleValue::Matrix(value) }
    }

    /// In f32, on the host.
    pub(crate) fn read(&self) -> SavedTensor {
        let values = match &self.value {
            HandleValue::Vector(vector) => host(vector.clone()),
            HandleValue::Matrix(matrix) => host(matrix.clone()),
        };
        SavedTensor { shape: self.shape.clone(), values }
    }
}

/// Panics with the device's words where it does not answer: whoever works with a device catches what
/// its operations panic with.
fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    crate::device::read(widen(tensor))
        .unwrap_or_else(|words| std::panic::resume_unwind(Box::new(words)))
}

/// Tell the path and a handle of every parameter.
pub(crate) fn visit_parameters<M: Module>(
    module: &M,
    which: Which,
    tell: &mut dyn FnMut(String, Handle),
) {
    let mut visitor = Visit { path: Vec::new(), which, tell };
    match which {
        Which::All => module.visit(&mut visitor),
        // Only under autodiff does a parameter say whether it is trained.
        Which::Trained => module.clone().train().visit(&mut visitor),
    }
}

/// Tell path and values of every parameter, one after the other, in f32.
pub(crate) fn visit_all<M: Module>(module: &M, tell: &mut dyn FnMut(&str, &[f32])) {
    visit_parameters(module, Which::All, &mut |path, handle| tell(&path, &handle.read().values));
}

struct Visit<'a> {
    path: Vec<String>,
    which: Which,
    tell: &'a mut dyn FnMut(String, Handle),
}

impl ModuleVisitor for Visit<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        if self.which == Which::Trained && !value.is_require_grad() {
            return;
        }
        let shape = value.dims().to_vec();
        let value = value.inner();
        let value = match D {
            // To reshape a packed matrix, even to its own shape, would pack it once more.
            2 => HandleValue::Matrix(Tensor::from_dispatch(value.into_dispatch())),
            _ => HandleValue::Vector(value.flatten(0, D - 1)),
        };
        (self.tell)(self.path.join("."), Handle { shape, value });
    }
}

/// The path of the first trained parameter that holds a number that is not finite.
pub(crate) fn first_not_finite<M: Module>(module: &M) -> Option<String> {
    let mut found = None;
    visit_parameters(module, Which::Trained, &mut |path, handle| {
        if found.is_none() && !all_finite(&handle.read().values) {
            found = Some(path);
        }
    });
    found
}

/// Whether there is neither NaN nor infinity.
fn all_finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// Values as they are, unless one of them is no finite number.
pub(super) fn finite(path: &Path, name: &str, values: Vec<f32>) -> Result<Vec<f32>, ModelError> {
    if all_finite(&values) {
        return Ok(values);
    }
    let count = values.iter().filter(|value| !value.is_finite()).count();
    Err(ModelError::NotFinite { path: path.to_owned(), name: name.to_owned(), count })
}

/// Handles of the trained parameters of a module by path.
pub(crate) fn trained_handles<M: Module>(module: &M) -> BTreeMap<String, Handle> {
    let mut found = BTreeMap::new();
    visit_parameters(module, Which::Trained, &mut |path, handle| {
        found.insert(path, handle);
    });
    found
}

/// Put tensors into a module by path; those that `tensors` lacks stay.
pub fn take_tensors<M: Module>(module: M, tensors: BTreeMap<String, SavedTensor>) -> M {
    module.map(&mut Take { path: Vec::new(), tensors })
}

/// The trained parameters of a module led towards those of another: a share of the other's, the rest its own.
pub fn blend<M: Module>(module: M, other: &M, share: f64) -> M {
    let others = trained_handles(other);
    module.map(&mut Blend { path: Vec::new(), others, share })
}

struct Blend {
    path: Vec<String>,
    others: BTreeMap<String, Handle>,
    share: f64,
}

impl ModuleMapper for Blend {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(other) = self.others.remove(&self.path.join(".")) else { return param };
        let share = self.share;
        param.map(|old| {
            let other: Tensor<D> = match other.value {
                HandleValue::Vector(vector) => vector.reshape(old.dims()),
                HandleValue::Matrix(matrix) => matrix.reshape(old.dims()),
            };
            old.mul_scalar(1.0 - share) + other.mul_scalar(share)
        })
    }
}

struct Take {
    path: Vec<String>,
    tensors: BTreeMap<String, SavedTensor>,
}

impl ModuleMapper for Take {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.tensors.remove(&self.path.join(".")) {
            Some(saved) => param.map(|old| to_tensor::<D>(saved, &old.device())),
            None => param,
        }
    }
}

pub(crate) fn to_tensor<const D: usize>(saved: SavedTensor, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(saved.values, saved.shape), device)
}

/// Set which parameters of a module are trained, by path.
pub(crate) fn set_trained<M: Module>(module: M, trained: &dyn Fn(&str) -> bool) -> M {
    module.map(&mut SetTrained { path: Vec::new(), trained })
}

struct SetTrained<'a> {
    path: Vec<String>,
    trained: &'a dyn Fn(&str) -> bool,
}

impl ModuleMapper for SetTrained<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let trained = (self.trained)(&self.path.join("."));
        param.set_require_grad(trained)
    }
}

/// A tensor that is made when it is written.
pub(crate) struct Lazy<'a> {
    /// Sizes as written.
    pub(crate) shape: Vec<usize>,
    /// Makes the values.
    pub(crate) make: Box<dyn Fn() -> Vec<f32> + 'a>,
    storage: Storage,
}

impl<'a> Lazy<'a> {
    pub(crate) fn new(
        shape: Vec<usize>,
        storage: Storage,
        make: impl Fn() -> Vec<f32> + 'a,
    ) -> Self {
        Self { shape, make: Box::new(make), storage }
    }
}

impl Lazy<'_> {
    /// What the header says of it, and where it ends, if it begins so many bytes into the data.
    fn info(&self, start: usize) -> (TensorInfo, usize) {
        let (dtype, width) = match self.storage {
            Storage::F32 => (Dtype::F32, 4),
            Storage::F16 => (Dtype::F16, 2),
        };
        let end = start + width * self.shape.iter().product::<usize>();
        (TensorInfo { dtype, shape: self.shape.clone(), data_offsets: (start, end) }, end)
    }
}

fn encode(values: &[f32], storage: Storage) -> Vec<u8> {
    match storage {
        Storage::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Storage::F16 => values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect(),
    }
}

/// Write tensors one by one: the largest decides how much memory it takes. The crate's own writer
/// leaves files of random names behind when it is killed.
///
/// # Errors
///
/// The file cannot be written; with `finite`, a number is not.
pub(crate) fn write_lazily(
    path: &Path,
    tensors: &BTreeMap<String, Lazy<'_>>,
    finite: bool,
) -> Result<(), ModelError> {
    let mut overflowed = None;
    let written = crate::files::write_with(path, |file| {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&header(tensors)?)?;
        for (name, lazy) in tensors {
            let values = (lazy.make)();
            if values.len() != lazy.shape.iter().product::<usize>() {
                let found = format!("the device gave {} values of “{name}”", values.len());
                return Err(std::io::Error::other(found));
            }
            if finite && !all_finite(&values) {
                overflowed = Some(name.clone());
                return Err(std::io::Error::other("a number is not finite"));
            }
            file.write_all(&encode(&values, lazy.storage))?;
        }
        file.flush()
    });
    let path = path.to_owned();
    match (written, overflowed) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(name)) => Err(ModelError::Overflowed { path, name }),
        (Err(source), None) => Err(ModelError::Io { path, source }),
    }
}

/// The beginning of a safetensors file: the length of its header, and the header in JSON, which
/// ends on a multiple of 8 bytes.
fn header(tensors: &BTreeMap<String, Lazy<'_>>) -> std::io::Result<Vec<u8>> {
    let mut start = 0;
    let mut infos = Vec::with_capacity(tensors.len());
    for (name, lazy) in tensors {
        let (info, end) = lazy.info(start);
        infos.push((name.clone(), info));
        start = end;
    }
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), infos).map_err(std::io::Error::other)?;
    let mut json = serde_json::to_vec(&metadata)?;
    json.resize(json.len().next_multiple_of(8), b' ');
    Ok([&(json.len() as u64).to_le_bytes()[..], &json].concat())
}

/// Write named tensors as safetensors: first to a temporary name, then renamed.
///
/// # Errors
///
/// The file cannot be written.
pub fn save_tensors(
    path: &Path,
    tensors: &BTreeMap<String, SavedTensor>,
    storage: Storage,
) -> Result<(), ModelError> {
    let lazy = tensors
        .iter()
        .map(|(name, t)| (name.clone(), Lazy::new(t.shape.clone(), storage, || t.values.clone())))
        .collect();
    write_lazily(path, &lazy, false)
}

/// Write tensors from their device as safetensors, one by one, as [`save_tensors`] does.
///
/// # Errors
///
/// The file cannot be written; a tensor holds a number that is not finite.
pub(crate) fn save_handles(
    path: &Path,
    tensors: &BTreeMap<String, Handle>,
) -> Result<(), ModelError> {
    let lazy = |handle: &Handle| {
        let handle = handle.clone();
        Lazy::new(handle.shape.clone(), Storage::F32, move || handle.read().values)
    };
    let lazily = tensors.iter().map(|(name, t)| (name.clone(), lazy(t))).collect();
    // What overflowed is found while it is on the host anyway.
    write_lazily(path, &lazily, true)
}

/// Read named tensors; a missing file is an error.
///
/// # Errors
///
/// The file cannot be read or is damaged.
pub fn load_named(path: &Path) -> Result<BTreeMap<String, SavedTensor>, ModelError> {
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let map = super::files::map_file(path)?
        .ok_or_else(|| ModelError::Io { path: path.to_owned(), source: missing() })?;
    let damaged = |found: String| ModelError::Weights { path: path.to_owned(), found };
    let tensors = SafeTensors::deserialize(&map).map_err(|e| damaged(e.to_string()))?;
    tensors
        .iter()
        .map(|(name, view)| {
            let values = floats_of(&view).ok_or_else(|| {
                damaged(format!("tensor “{name}” is stored as {:?}", view.dtype()))
            })?;
            Ok((name.to_owned(), SavedTensor { shape: view.shape().to_vec(), values }))
        })
        .collect()
}

/// The values of a tensor as f32; `None` for types that are no floats.
pub(super) fn floats_of(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = view.data();
    let halves = data.as_chunks::<2>().0.iter();
    match view.dtype() {
        Dtype::F32 => {
            Some(data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
        }
        Dtype::F16 => Some(halves.map(|b| half::f16::from_le_bytes(*b).to_f32()).collect()),
        Dtype::BF16 => Some(halves.map(|b| half::bf16::from_le_bytes(*b).to_f32()).collect()),
        _ => None,
    }
}
