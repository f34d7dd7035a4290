//! Rotary positions (arXiv 2104.09864), halves split as in Hugging Face checkpoints.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::RotaryScaling;
use crate::kernels::rotate;

/// cos and sin of the rotation angles of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Angles {
    /// `[B, T, 1, head_dim / 2]`.
    cos: Tensor<4>,
    /// `[B, T, 1, head_dim / 2]`.
    sin: Tensor<4>,
}

/// Angular frequencies of each pair of a head, `[head_dim / 2]`.
pub(crate) fn frequencies(head_dim: usize, theta: f64, scaling: RotaryScaling) -> Vec<f64> {
    (0..head_dim / 2)
        .map(|i| {
            let f = theta.powf(-2.0 * i as f64 / head_dim as f64);
            match scaling {
                RotaryScaling::None => f,
                RotaryScaling::Linear { factor } => f / factor,
                RotaryScaling::Llama3 { factor, low, high, original } => {
                    let wavelength = std::f64::consts::TAU / f;
                    let smooth = ((original / wavelength - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - smooth) * f / factor + smooth * f
                }
            }
        })
        .collect()
}

impl Angles {
    /// Angles at `positions` `[B, T]`.
    pub(crate) fn new(positions: Tensor<2, Int>, frequencies: &[f64]) -> Self {
        let device: Device = positions.device();
        let [b, t] = positions.dims();
        let half = frequencies.len();
        let row: Vec<f32> = frequencies.iter().map(|&f| f as f32).collect();
        let frequencies = Tensor::<4>::from_data(TensorData::new(row, [1, 1, 1, half]), &device);
        let angle = positions.float().reshape([b, t, 1, 1]) * frequencies;
        Self { cos: angle.clone().cos(), sin: angle.sin() }
    }

    /// Rotate `[B, T, heads, head_dim]`.
    pub(crate) fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        rotate(x, &self.cos, &self.sin)
    }
}
