//! What a device allows of one buffer and of one kernel.

use burn::tensor::Device;
use burn::tensor::wgpu::WgpuSetup;
use serde::Serialize;

use super::{Candidate, DeviceError, STARTED, Selector, note_started, wgpu};

/// What a graphics adapter allows and can do, by its driver's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Bytes that a kernel can see of one buffer, so the largest tensor that it can compute with.
    pub binding_bytes: u64,
    /// Bytes of the largest buffer.
    pub buffer_bytes: u64,
    /// Invocations in a work-group.
    pub invocations: u32,
    /// Bytes of memory that a work-group shares.
    pub workgroup_bytes: u32,
    /// Work-groups in each dimension.
    pub workgroups: u32,
    /// Least and most invocations in a subgroup; absent where shaders cannot use subgroups.
    pub subgroup: Option<[u32; 2]>,
    /// Whether shaders compute in 16-bit floats.
    pub f16: bool,
    /// Whether shaders multiply matrices together.
    pub cooperative_matrices: bool,
    /// Whether the device times its own work.
    pub timestamps: bool,
}

impl Limits {
    fn of(adapter: &wgpu::Adapter) -> Self {
        let (limits, features, info) = (adapter.limits(), adapter.features(), adapter.get_info());
        let subgroup = [info.subgroup_min_size, info.subgroup_max_size];
        Self {
            binding_bytes: limits.max_storage_buffer_binding_size,
            buffer_bytes: limits.max_buffer_size,
            invocations: limits.max_compute_invocations_per_workgroup,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            workgroups: limits.max_compute_workgroups_per_dimension,
            subgroup: features.contains(wgpu::Features::SUBGROUP).then_some(subgroup),
            f16: features.contains(wgpu::Features::SHADER_F16),
            cooperative_matrices: features
                .contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        }
    }
}

impl Candidate {
    /// What its driver allows; `None` for the CPU.
    pub fn limits(&self) -> Option<Limits> {
        adapter_of(self.selector).map(|(_, adapter)| Limits::of(&adapter))
    }
}

/// The adapter that a selector names, on an instance of its own.
pub(super) fn adapter_of(selector: Selector) -> Option<(wgpu::Instance, wgpu::Adapter)> {
    let Selector::Adapter(api, kind, index) = selector else { return None };
    let instance = super::instance(api);
    let adapters = pollster::block_on(instance.enumerate_adapters(api.into())).into_iter();
    let adapter = adapters.filter(|a| a.get_info().device_type == kind).nth(index)?;
    Some((instance, adapter))
}

/// The largest tensor, in bytes, that kernels of a started device can see; `None` where there is
/// no such limit.
pub(crate) fn largest_tensor(device: &Device) -> Option<u64> {
    let device = device.clone().without_autodiff();
    let started = STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    started.iter().find(|known| known.device == device).map(|known| known.binding_bytes)
}

/// As [`open`](super::open), with no more than what WebGPU guarantees everywhere: 128 MiB that a
/// kernel sees of a buffer, 256 invocations and 16 KiB in a work-group, so that a newer device stands
/// in for an older one. It is a device beside one that was started before; where none was,
/// [`open`](super::open) returns this one.
///
/// # Errors
///
/// What the driver says.
pub fn open_with_least_limits(candidate: &Candidate) -> Result<Device, DeviceError> {
    let setup = own_setup(candidate, |own| wgpu::Limits {
        // Kernels bind more buffers than the eight that are guaranteed, as all devices allow.
        max_storage_buffers_per_shader_stage: own.max_storage_buffers_per_shader_stage,
        ..wgpu::Limits::default()
    })?;
    register(candidate, setup)
}

/// A device beside those that the runtime starts by itself, with limits made of the adapter's own.
pub(super) fn own_setup(
    candidate: &Candidate,
    limits: impl FnOnce(wgpu::Limits) -> wgpu::Limits,
) -> Result<WgpuSetup, DeviceError> {
    let failed = |reason: String| DeviceError::Start { name: candidate.name.clone(), reason };
    let (instance, adapter) = adapter_of(candidate.selector)
        .ok_or_else(|| failed("its interface does not find it".to_owned()))?;
    let backend = adapter.get_info().backend;
    let descriptor = wgpu::DeviceDescriptor {
        // The runtime asks the adapter, not the device, what shaders can do.
        required_features: adapter.features().difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
        // SAFETY: as the runtime itself does; the features are used by its shaders alone.
        experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
        required_limits: limits(adapter.limits()),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..wgpu::DeviceDescriptor::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
        .map_err(|error| failed(error.to_string()))?;
    Ok(WgpuSetup { instance, adapter, device, queue, backend })
}

/// Give such a device to the runtime.
pub(super) fn register(candidate: &Candidate, setup: WgpuSetup) -> Result<Device, DeviceError> {
    let raw = setup.device.clone();
    let device = Device::wgpu_options().setup(setup).init().map_err(|error| {
        DeviceError::Start { name: candidate.name.clone(), reason: error.to_string() }
    })?;
    Ok(note_started(candidate, device, &raw))
}
