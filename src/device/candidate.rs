//! A device of this machine: its kind, its name, how it is found again.

use burn::tensor::wgpu::wgpu;
use serde::Serialize;

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
    pub(super) selector: Selector,
}

/// How the runtime finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selector {
    Cpu,
    /// The n-th adapter of this type under this API.
    Adapter(wgpu::Backend, wgpu::DeviceType, usize),
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
