//! How the weights that are not trained are stored.

use burn::tensor::quantization::{QuantScheme, QuantStore, QuantValue, ScaleDtype};
use burn::tensor::{DType, Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use super::ModelError;
use crate::device::is_cpu;

/// Storage of frozen weights; what is trained, and every norm, stays in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// Floats with the range of f32 and 8 bits of precision.
    Bf16,
    /// Linear weights in 8 bits with a scale for every 32; tables in 16.
    Int8,
    /// Linear weights in 4 bits with a scale for every 32; tables in 16.
    Int4,
}

/// Values of a row that share a scale.
const BLOCK: usize = 32;

impl Precision {
    /// As a recipe writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }

    /// Whether a device can hold weights so.
    ///
    /// # Errors
    ///
    /// The device lacks the type.
    pub fn check(self, device: &Device) -> Result<(), ModelError> {
        if self.is_held_by(device) {
            return Ok(());
        }
        let held = Self::ALL.into_iter().filter(|other| other.is_held_by(device));
        Err(ModelError::Precision {
            found: self.name(),
            supported: held.map(Self::name).collect::<Vec<_>>().join(", "),
        })
    }

    fn is_held_by(self, device: &Device) -> bool {
        match self {
            Self::F16 => device.supports_dtype(FloatDType::F16),
            Self::Bf16 => device.supports_dtype(FloatDType::BF16),
            Self::F32 | Self::Int8 | Self::Int4 => true,
        }
    }

    /// All of them.
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Bf16, Self::Int8, Self::Int4];

    /// The type of tables (embeddings, an untied head), which are read row by row.
    pub fn table(self, device: &Device) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::F16 => FloatDType::F16,
            Self::Bf16 => FloatDType::BF16,
            Self::Int8 | Self::Int4 => [FloatDType::BF16, FloatDType::F16]
                .into_iter()
                .find(|dtype| device.supports_dtype(*dtype))
                .unwrap_or(FloatDType::F32),
        }
    }

    /// A table as stored.
    pub(crate) fn pack_table<const D: usize>(self, table: Tensor<D>) -> Tensor<D> {
        match self.table(&table.device()) {
            FloatDType::F32 => table,
            dtype => table.cast(dtype),
        }
    }

    /// A linear weight `[in, out]` as stored.
    pub(crate) fn pack_linear(self, weight: Tensor<2>) -> Tensor<2> {
        match self {
            Self::F32 => weight,
            Self::F16 => weight.cast(FloatDType::F16),
            Self::Bf16 => weight.cast(FloatDType::BF16),
            // Rows that are no whole number of blocks are stored as tables are.
            Self::Int8 | Self::Int4 if !weight.dims()[1].is_multiple_of(BLOCK) => {
                self.pack_table(weight)
            }
            Self::Int8 => weight.quantize_dynamic(&scheme(QuantValue::Q8S)),
            Self::Int4 => weight.quantize_dynamic(&scheme(QuantValue::Q4S)),
        }
    }

    /// Bytes that a linear weight `[input, output]` takes on a device.
    pub fn linear_bytes(self, input: usize, output: usize, device: &Device) -> u64 {
        let count = (input * output) as u64;
        let blocks = output.is_multiple_of(BLOCK);
        let scales = count / BLOCK as u64 * 4;
        match self {
            // The CPU backend keeps 4-bit values in a byte each.
            Self::Int4 if blocks && !is_cpu(device) => count / 2 + scales,
            Self::Int8 | Self::Int4 if blocks => count + scales,
            _ => self.table_bytes(count, device),
        }
    }

    /// Bytes that a table of so many numbers takes on a device.
    pub fn table_bytes(self, count: u64, device: &Device) -> u64 {
        if self.table(device) == FloatDType::F32 { 4 * count } else { 2 * count }
    }
}

/// Symmetric values in blocks of [`BLOCK`] along a row.
fn scheme(value: QuantValue) -> QuantScheme {
    QuantScheme::default()
        .with_value(value)
        .with_store(QuantStore::PackedU32(0))
        .per_block([BLOCK as u8], ScaleDtype::F32)
}

/// A stored tensor in f32.
pub(crate) fn widen<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.dtype() {
        DType::F32 => tensor,
        DType::QFloat(_) => widen(tensor.dequantize()),
        _ => tensor.cast(FloatDType::F32),
    }
}
