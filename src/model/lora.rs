//! Low-rank adapters (LoRA, arXiv 2106.09685; rsLoRA, arXiv 2312.03732).

use burn::module::{Module, Param};
use burn::tensor::{Distribution, Tensor};

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
    /// `[M, in]` → `[M, out]`; drops inputs while training, by the device's generator.
    pub fn forward(&self, x: Tensor<2>, training: bool) -> Tensor<2> {
        let x = if training && self.dropout > 0.0 { drop_inputs(x, self.dropout) } else { x };
        x.matmul(self.a.val()).matmul(self.b.val()).mul_scalar(self.scale)
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

/// Zero each input with probability `share`, and scale the rest so that the mean stays.
fn drop_inputs(x: Tensor<2>, share: f64) -> Tensor<2> {
    let kept = Tensor::<2>::random(
        x.dims(),
        Distribution::Bernoulli(1.0 - share),
        &x.device().without_autodiff(),
    );
    x * kept.div_scalar(1.0 - share)
}
