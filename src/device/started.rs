//! The devices that were started, and what is known of each.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use burn::tensor::wgpu::wgpu;

use super::candidate::{Candidate, Selector};
use super::fault::{Fault, Told};

/// A device that was started.
struct Started {
    selector: Selector,
    device: Device,
    binding_bytes: u64,
    told: Told,
}

/// A runtime can be configured once per process, so what was started is kept.
static STARTED: Mutex<Vec<Started>> = Mutex::new(Vec::new());

fn started() -> MutexGuard<'static, Vec<Started>> {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remember a device, and listen to what befalls it.
pub(super) fn note(candidate: &Candidate, device: Device, raw: &wgpu::Device) -> Device {
    let mut started = started();
    started.push(Started {
        selector: candidate.selector,
        device: device.clone(),
        binding_bytes: raw.limits().max_storage_buffer_binding_size,
        told: Told::by(raw),
    });
    device
}

/// The device that was started of a candidate.
pub(super) fn running(candidate: &Candidate) -> Option<Device> {
    let started = started();
    let known = started.iter().find(|known| known.selector == candidate.selector)?;
    Some(known.device.clone())
}

/// The same, which is no longer remembered.
pub(super) fn forget(candidate: &Candidate) -> Option<Device> {
    let mut started = started();
    let at = started.iter().position(|known| known.selector == candidate.selector)?;
    Some(started.remove(at).device)
}

/// The largest tensor, in bytes, that kernels of a started device can see; `None` where there is
/// no such limit.
pub(crate) fn largest_tensor(device: &Device) -> Option<u64> {
    let device = device.clone().without_autodiff();
    started().iter().find(|known| known.device == device).map(|known| known.binding_bytes)
}

/// The fault that a device has told of, if any.
pub(super) fn told_of(device: &Device) -> Option<Fault> {
    let device = device.clone().without_autodiff();
    started().iter().find(|known| known.device == device)?.told.first()
}

/// What befell a device on which work ended with these words; `None` where it is sound, and the
/// work itself went wrong.
pub(crate) fn fault_of(device: &Device, words: &str) -> Option<Fault> {
    told_of(device).or_else(|| Fault::read(words))
}
