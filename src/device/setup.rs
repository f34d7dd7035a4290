//! A device with limits that are asked for, beside those that the runtime starts by itself.

use burn::tensor::Device;
use burn::tensor::wgpu::{WgpuSetup, wgpu};

use super::adapters::adapter_of;
use super::candidate::Candidate;
use super::error::DeviceError;
use super::started;

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
    Ok(started::note(candidate, device, &raw))
}
