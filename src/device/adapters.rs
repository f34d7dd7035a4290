//! The devices of this machine: its processor, and the adapters that graphics interfaces reach.

use burn::tensor::wgpu::wgpu;

use super::candidate::{Candidate, Class, Selector};

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

/// The processor, which needs no driver.
pub(super) fn processor() -> Candidate {
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

/// The adapter that a selector names, on an instance of its own.
pub(super) fn adapter_of(selector: Selector) -> Option<(wgpu::Instance, wgpu::Adapter)> {
    let Selector::Adapter(api, kind, index) = selector else { return None };
    let instance = instance(api);
    let adapters = pollster::block_on(instance.enumerate_adapters(api.into())).into_iter();
    let adapter = adapters.filter(|a| a.get_info().device_type == kind).nth(index)?;
    Some((instance, adapter))
}
