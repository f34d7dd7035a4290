//! How much memory a device has, by its driver's or the system's own word; never a guess.

use burn::tensor::Device;
use burn::tensor::wgpu::wgpu;
use serde::Serialize;

use super::candidate::{Candidate, Selector};

/// What a device tells of its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Bytes that a run may take.
    pub bytes: u64,
    /// Who says so, in a few words.
    pub source: &'static str,
}

impl Candidate {
    /// The memory that a run on this device may take; `None` where nobody tells.
    pub fn memory(&self) -> Option<Memory> {
        match self.selector {
            Selector::Cpu => system(),
            Selector::Adapter(wgpu::Backend::Vulkan, ..) => vulkan(self.selector),
            // Apple's integrated graphics share the system's memory.
            Selector::Adapter(wgpu::Backend::Metal, wgpu::DeviceType::IntegratedGpu, _) => system(),
            Selector::Adapter(..) => None,
        }
    }
}

/// Bytes of the system's memory that this process can have, where the system tells.
pub(crate) fn free_memory() -> Option<u64> {
    system().map(|memory| memory.bytes)
}

/// What the system can give without swapping, within this process's own limits.
fn system() -> Option<Memory> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let free = Memory { bytes: system.available_memory(), source: "free, says the system" };
    let limits =
        system.cgroup_limits().filter(|limits| limits.total_memory < system.total_memory());
    let limited = limits.map(|limits| Memory {
        bytes: limits.free_memory,
        source: "left under this container's limit",
    });
    limited
        .into_iter()
        .chain(data_limit())
        .chain((free.bytes > 0).then_some(free))
        .min_by_key(|memory| memory.bytes)
}

/// The limit on a process's own data (`ulimit -d`).
#[cfg(target_os = "linux")]
fn data_limit() -> Option<Memory> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live, writable rlimit.
    let told = unsafe { libc::getrlimit(libc::RLIMIT_DATA, &raw mut limit) } == 0;
    (told && limit.rlim_cur != libc::RLIM_INFINITY)
        .then_some(Memory { bytes: limit.rlim_cur, source: "this process's data limit" })
}

#[cfg(not(target_os = "linux"))]
fn data_limit() -> Option<Memory> {
    None
}

/// The largest heap that the driver calls local to the device, and what is free of it where the
/// driver counts that (`VK_EXT_memory_budget`).
#[cfg(not(target_vendor = "apple"))]
fn vulkan(selector: Selector) -> Option<Memory> {
    use ash::vk;
    let (_instance, adapter) = super::adapters::adapter_of(selector)?;
    let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
    // SAFETY: the handles are only asked for properties and outlive the question; the structure of
    // an extension is passed only where the device has it.
    let (properties, counts) = unsafe {
        let raw = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let (instance, device) = (raw.shared_instance().raw_instance(), raw.raw_physical_device());
        let extensions = instance.enumerate_device_extension_properties(device).unwrap_or_default();
        let counts = extensions
            .iter()
            .any(|found| found.extension_name_as_c_str() == Ok(ash::ext::memory_budget::NAME));
        let mut found = vk::PhysicalDeviceMemoryProperties2::default();
        if counts {
            found = found.push_next(&mut budget);
        }
        instance.get_physical_device_memory_properties2(device, &mut found);
        (found.memory_properties, counts)
    };
    let heaps = properties.memory_heaps_as_slice().iter().enumerate();
    let local = heaps.filter(|(_, heap)| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL));
    let (place, heap) = local.max_by_key(|(_, heap)| heap.size)?;
    if counts && budget.heap_budget[place] > 0 {
        let free = budget.heap_budget[place].saturating_sub(budget.heap_usage[place]);
        return Some(Memory {
            bytes: free.min(heap.size),
            source: "free, says the device's driver",
        });
    }
    Some(Memory { bytes: heap.size, source: "the device's memory, says its driver" })
}

#[cfg(target_vendor = "apple")]
fn vulkan(_: Selector) -> Option<Memory> {
    None
}

/// Whether tensors of a device live in the process's own memory.
pub(crate) fn is_cpu(device: &Device) -> bool {
    device.clone().without_autodiff() == Device::flex()
}

/// The most memory that work on a device has taken so far: of its pools, or of this process where
/// they are one; `None` where nobody tells.
pub fn peak_memory(device: &Device) -> Option<u64> {
    match device.memory_pool_usage() {
        // Pools keep what they reserved until they are cleaned.
        Some(usage) => Some(usage.bytes_reserved),
        None => process_peak(),
    }
}

/// Linux's `ru_maxrss` begins with the peak of the program that started this one.
#[cfg(target_os = "linux")]
fn process_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn process_peak() -> Option<u64> {
    /// `ru_maxrss` counts kibibytes, and bytes on Apple's systems.
    const UNIT: u64 = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    // SAFETY: all zeros are a valid rusage, and the pointer is to a live one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) == 0).then_some(usage)
    };
    usage.map(|usage| u64::try_from(usage.ru_maxrss).unwrap_or(0) * UNIT)
}

#[cfg(not(unix))]
fn process_peak() -> Option<u64> {
    None
}
