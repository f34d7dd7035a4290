//! Which device computes, and why.

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, DeviceKind};
use serde::Serialize;

mod fault;
mod limits;
mod memory;
mod read;

pub use fault::Fault;
pub(crate) use fault::{fault_of, restart};
pub(crate) use limits::largest_tensor;
pub use limits::{Limits, open_with_least_limits};
pub(crate) use memory::free_memory;
pub use memory::{Memory, peak_memory};
pub(crate) use read::read;

/// What kind of hardware stands behind a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A graphics card.
    DiscreteGpu,
    /// Graphics inside the processor.
    IntegratedGpu,
    /// A graphics card behind a virtual machine, or one that does not say what it is.
    OtherGpu,
    /// The processor, through this program's CPU backend.
    Cpu,
    /// The processor, pretending to be a graphics card (llvmpipe, SwiftShader, WARP).
    SoftwareGpu,
}

impl Class {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::DiscreteGpu => "discrete GPU",
            Self::IntegratedGpu => "integrated GPU",
            Self::OtherGpu => "GPU",
            Self::Cpu => "CPU",
            Self::SoftwareGpu => "software GPU",
        }
    }
}

/// One device of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// How a recipe names it: `cpu`, `gpu:0`, …
    pub id: String,
    /// The hardware's name.
    pub name: String,
    /// Its kind.
    pub class: Class,
    /// `Vulkan`, `Metal`, `DirectX 12`, or `flex` for the CPU backend.
    pub api: String,
    /// Driver and its version; empty for the CPU.
    pub driver: String,
    #[serde(skip)]
    selector: Selector,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selector {
    Cpu,
    /// The n-th adapter of this type under this API.
    Adapter(wgpu::Backend, wgpu::DeviceType, usize),
}

/// A device and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The device.
    pub device: Candidate,
    /// Why this one, in a sentence.
    pub why: String,
}

/// Why no device could be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The request is not a device.
    #[error(
        "device “{found}” is unknown; expected auto, cpu, gpu or gpu:N (see `confide devices`)"
    )]
    Unknown {
        /// What was asked for.
        found: String,
    },
    /// The machine has no such device.
    #[error(
        "device “{wanted}” was asked for, but this machine has {found}; use device = \"auto\" or \"cpu\", or install a Vulkan driver"
    )]
    Absent {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// The device did not start.
    #[error(
        "{name} could not be started: {reason}; try device = \"cpu\", or update the graphics driver"
    )]
    Start {
        /// The device.
        name: String,
        /// The driver's words.
        reason: String,
    },
    /// SPIR-V crashes inside Mesa's software drivers.
    #[error(
        "{name} is a software adapter, which a build with native shaders does not support; use device = \"cpu\", or a build without the feature `native-shaders`"
    )]
    SoftwareAdapter {
        /// The device.
        name: String,
    },
}

impl Candidate {
    /// Name, kind and interface, for a person.
    pub fn describe(&self) -> String {
        match self.class {
            Class::Cpu => format!("{} (CPU)", self.name),
            class => format!("{} ({}, {})", self.name, class.words(), self.api),
        }
    }
}

/// Every device of this machine, the preferred one first.
pub fn list() -> Vec<Candidate> {
    let mut found = adapters();
    found.sort_by_key(|candidate| candidate.class);
    for (index, candidate) in found.iter_mut().enumerate() {
        candidate.id = format!("gpu:{index}");
    }
    found.push(processor());
    found.sort_by_key(|candidate| candidate.class);
    found
}

fn processor() -> Candidate {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Candidate {
        id: "cpu".to_owned(),
        name: format!("{} threads, {}", threads, std::env::consts::ARCH),
        class: Class::Cpu,
        api: "flex".to_owned(),
        driver: String::new(),
        selector: Selector::Cpu,
    }
}

/// Hardware and software adapters, each once: a card that several interfaces
/// reach is taken by the first of them.
fn adapters() -> Vec<Candidate> {
    let apis = [wgpu::Backend::Vulkan, wgpu::Backend::Metal, wgpu::Backend::Dx12];
    let mut found: Vec<Candidate> = Vec::new();
    for api in apis {
        let infos: Vec<_> = enumerate(api).iter().map(wgpu::Adapter::get_info).collect();
        for (i, info) in infos.iter().enumerate() {
            let earlier = infos[..i].iter().filter(|other| other.device_type == info.device_type);
            let candidate = candidate(info, earlier.count());
            if !found.iter().any(|known| known.name == candidate.name && known.api != candidate.api)
            {
                found.push(candidate);
            }
        }
    }
    found
}

/// All adapters that an interface reaches.
fn enumerate(api: wgpu::Backend) -> Vec<wgpu::Adapter> {
    pollster::block_on(instance(api).enumerate_adapters(api.into()))
}

fn instance(api: wgpu::Backend) -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: api.into(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
}

fn candidate(info: &wgpu::AdapterInfo, index: usize) -> Candidate {
    let class = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => Class::DiscreteGpu,
        wgpu::DeviceType::IntegratedGpu => Class::IntegratedGpu,
        wgpu::DeviceType::Cpu => Class::SoftwareGpu,
        wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Other => Class::OtherGpu,
    };
    let api = match info.backend {
        wgpu::Backend::Dx12 => "DirectX 12".to_owned(),
        other => format!("{other:?}"),
    };
    Candidate {
        id: String::new(),
        name: info.name.clone(),
        class,
        api,
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        selector: Selector::Adapter(info.backend, info.device_type, index),
    }
}

/// Resolve a request against this machine; the graphics driver is left alone for `cpu`.
///
/// # Errors
///
/// As [`choose`].
pub fn find(request: &str) -> Result<Choice, DeviceError> {
    if request == "cpu" {
        return choose(request, &[processor()]);
    }
    choose(request, &list())
}

/// Resolve `auto`, `cpu`, `gpu` or `gpu:N` against the devices of [`list`].
///
/// # Errors
///
/// An unknown word, or a device that the machine lacks.
pub fn choose(request: &str, candidates: &[Candidate]) -> Result<Choice, DeviceError> {
    let absent = || DeviceError::Absent {
        wanted: request.to_owned(),
        found: candidates
            .iter()
            .map(|c| format!("{} = {}", c.id, c.describe()))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let (device, why) = match request {
        "auto" => {
            let first = candidates.first().ok_or_else(absent)?;
            let why = match first.class {
                Class::Cpu if candidates.len() > 1 => {
                    "the only graphics adapter is software, which is slower than the CPU backend"
                }
                Class::Cpu => "no graphics adapter was found",
                Class::DiscreteGpu => "a discrete GPU comes first",
                Class::IntegratedGpu => "no discrete GPU was found",
                Class::OtherGpu | Class::SoftwareGpu => "the only GPU that was found",
            };
            (first, why)
        }
        "cpu" => (
            candidates.iter().find(|c| c.class == Class::Cpu).ok_or_else(absent)?,
            "asked for by name",
        ),
        "gpu" => (
            candidates.iter().find(|c| c.class != Class::Cpu).ok_or_else(absent)?,
            "the first GPU, asked for by name",
        ),
        other if is_numbered_gpu(other) => {
            (candidates.iter().find(|c| c.id == other).ok_or_else(absent)?, "asked for by name")
        }
        other => return Err(DeviceError::Unknown { found: other.to_owned() }),
    };
    Ok(Choice { device: device.clone(), why: why.to_owned() })
}

fn is_numbered_gpu(request: &str) -> bool {
    request.strip_prefix("gpu:").is_some_and(|n| n.parse::<usize>().is_ok())
}

/// Start the device, without autodiff; a second call returns the running one.
///
/// # Errors
///
/// What the driver says; a software adapter in a build with native shaders.
pub fn open(candidate: &Candidate) -> Result<Device, DeviceError> {
    let Selector::Adapter(backend, ..) = candidate.selector else {
        return Ok(Device::flex());
    };
    if cfg!(feature = "native-shaders") && candidate.class == Class::SoftwareGpu {
        return Err(DeviceError::SoftwareAdapter { name: candidate.name.clone() });
    }
    // Nobody starts what another thread is starting.
    let _one = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let started = STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(known) = started.iter().find(|known| known.selector == candidate.selector) {
        return Ok(known.device.clone());
    }
    drop(started);
    let api = match backend {
        wgpu::Backend::Vulkan => WgpuBackend::Vulkan,
        wgpu::Backend::Metal => WgpuBackend::Metal,
        wgpu::Backend::Dx12 => WgpuBackend::Dx12,
        _ => WgpuBackend::Auto,
    };
    start(candidate, api)
}

/// Start an adapter under one of the names that the runtime has for its interface.
fn start(candidate: &Candidate, api: WgpuBackend) -> Result<Device, DeviceError> {
    let failed = |reason: String| DeviceError::Start { name: candidate.name.clone(), reason };
    let Selector::Adapter(backend, kind, index) = candidate.selector else {
        return Ok(Device::flex());
    };
    let kind = match kind {
        wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(index),
        wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(index),
        wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu(index),
        wgpu::DeviceType::Cpu => DeviceKind::Cpu,
        wgpu::DeviceType::Other => DeviceKind::DefaultDevice,
    };
    let options = Device::wgpu_options().device_kind(kind).graphics_api(api);
    let (device, setup) = options.init_with_setup().map_err(|e| failed(e.to_string()))?;
    let found = setup.adapter.get_info();
    if (found.name.as_str(), found.backend) != (candidate.name.as_str(), backend) {
        return Err(failed(format!("{} ({:?}) started in its place", found.name, found.backend)));
    }
    Ok(note_started(candidate, device, &setup.device))
}

/// Remember a device, and listen to what befalls it.
fn note_started(candidate: &Candidate, device: Device, raw: &wgpu::Device) -> Device {
    let mut started = STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    started.push(Started {
        selector: candidate.selector,
        device: device.clone(),
        binding_bytes: raw.limits().max_storage_buffer_binding_size,
        told: fault::Told::by(raw),
    });
    device
}

/// A device that was started.
struct Started {
    selector: Selector,
    device: Device,
    binding_bytes: u64,
    told: fault::Told,
}

/// A runtime can be configured once per process, so what was started is kept.
static STARTING: std::sync::Mutex<()> = std::sync::Mutex::new(());
static STARTED: std::sync::Mutex<Vec<Started>> = std::sync::Mutex::new(Vec::new());

/// Whether tensors of a device live in the process's own memory.
pub(crate) fn is_cpu(device: &Device) -> bool {
    device.clone().without_autodiff() == Device::flex()
}
