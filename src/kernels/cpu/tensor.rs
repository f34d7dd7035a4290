//! Slices of tensors of the CPU backend, and tensors of vectors.

use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

/// The numbers of a tensor in row-major order.
pub(crate) struct Floats(FlexTensor);

impl Floats {
    /// Of an f32 tensor; copied only where it is a view with gaps.
    pub(crate) fn of(tensor: &FlexTensor) -> Self {
        Self(tensor.to_contiguous())
    }

    /// As a slice.
    pub(crate) fn get(&self) -> &[f32] {
        self.0.as_slice().unwrap_or(&[])
    }
}

/// The numbers of an integer tensor.
pub(crate) fn ints(tensor: &FlexTensor) -> Vec<usize> {
    let tensor = tensor.to_contiguous();
    let of_i32 = tensor.as_slice::<i32>().map(|s| s.iter().map(|v| *v as usize).collect());
    let of_i64 = || tensor.as_slice::<i64>().map(|s| s.iter().map(|v| *v as usize).collect());
    of_i32.or_else(of_i64).unwrap_or_default()
}

/// A tensor of these numbers.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}

/// A tensor whose storage is exactly its numbers in row-major order, so that it can be changed in
/// place where nobody else holds it.
pub(crate) fn owned(tensor: FlexTensor) -> FlexTensor {
    let whole = tensor.is_contiguous()
        && tensor.layout().start_offset() == 0
        && tensor.bytes().len() == 4 * tensor.layout().num_elements();
    if whole { tensor } else { tensor.to_contiguous() }
}
