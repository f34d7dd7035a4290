//! What a device allows of one buffer and of one kernel, by its driver's word.

use burn::tensor::wgpu::wgpu;
use serde::Serialize;

use super::adapters::adapter_of;
use super::candidate::Candidate;

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
