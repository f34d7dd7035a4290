//! Low-rank adapters (LoRA, arXiv 2106.09685; rsLoRA, arXiv 2312.03732).

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::kernels::{Dropped, dropped_matmul};

/// s·(x·A)·B, added to a frozen x·W; the dense s·A·B is never made, nor its gradient.
#[derive(Module, Debug)]
pub struct Lora {
    /// `[in, r]`.
    pub a: Param<Tensor<2>>,
    /// `[r, out]`.
    pub b: Param<Tensor<2>>,
    /// α/r, or α/√r.
    #[module(skip)]
    pub(crate) scale: f64,
    /// Share of inputs that are dropped while training.
    #[module(skip)]
    pub(crate) dropout: f64,
}

impl Lora {
    /// `[M, in]` → `[M, out]`; drops inputs where `dropout` says which, while training.
    pub fn forward(&self, x: Tensor<2>, dropout: Option<Dropout>) -> Tensor<2> {
        let a = self.a.val();
        let inner = match dropout {
            Some(Dropout(key)) if self.dropout > 0.0 => {
                dropped_matmul(x, a, Dropped::new(key, self.dropout))
            }
            _ => x.matmul(a),
        };
        inner.matmul(self.b.val()).mul_scalar(self.scale)
    }

    /// r.
    pub fn rank(&self) -> usize {
        self.a.val().dims()[1]
    }

    /// What the adapter adds to the weight, `[in, out]`.
    pub fn delta(&self) -> Tensor<2> {
        self.a.val().matmul(self.b.val()).mul_scalar(self.scale)
    }
}

/// Where adapters drop inputs, and which: a function of a seed and of the layer, the module and the
/// input's place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropout(u64);

impl Dropout {
    /// Of a pass with this seed.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// Of one part, a layer or a module in it.
    pub(crate) fn of(self, part: u64) -> Self {
        Self(mix(self.0 ^ part.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }
}

/// Spreads every bit over all (the finaliser of `SplitMix64`).
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
