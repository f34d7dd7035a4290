//! Numbers of the host as tensors.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Integers on a device.
pub(crate) fn ints<const D: usize>(
    values: &[u32],
    shape: [usize; D],
    device: &Device,
) -> Tensor<D, Int> {
    let values: Vec<i32> = values.iter().map(|&v| v as i32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Floats on a device.
pub fn floats(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}
