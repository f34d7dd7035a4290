//! Starting a device, and starting it again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, DeviceKind};

use super::candidate::{Candidate, Class, Selector};
use super::error::DeviceError;
use super::setup::{own_setup, register};
use super::started;

/// Held while a device is started.
static STARTING: Mutex<()> = Mutex::new(());

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
    let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = started::running(candidate) {
        return Ok(known);
    }
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
    Ok(started::note(candidate, device, &setup.device))
}

/// Start a device again after a fault, in place of the one that was started before, whose tensors
/// are gone: [`open`] returns this one from now on.
///
/// # Errors
///
/// The driver does not give it again, or it was given again already and the build has native
/// shaders, whose runtime configures an adapter once under each of its names.
pub(crate) fn restart(candidate: &Candidate) -> Result<Device, DeviceError> {
    if let Some(old) = started::forget(candidate) {
        // What its pools hold would be missing. Nobody waits for it: a device that is lost may not answer.
        let _ = catch_unwind(AssertUnwindSafe(|| old.memory_cleanup()));
    }
    if cfg!(feature = "native-shaders") {
        return start(candidate, WgpuBackend::Auto);
    }
    let setup = own_setup(candidate, |own| own)?;
    register(candidate, setup)
}
