//! The small parts of a decoder. Weights of linear layers are `[in, out]`.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, module};

use super::NormKind;

/// x·W + b.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[in, out]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// `[…, in]` → `[…, out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        module::linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}

/// A table of rows.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[rows, width]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// Ids `[B, T]` → rows `[B, T, width]`.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        module::embedding(self.weight.val(), ids)
    }
}

/// RMS or layer normalisation over the last dimension.
#[derive(Module, Debug)]
pub struct Norm {
    /// `[width]`.
    pub weight: Param<Tensor<1>>,
    /// `[width]`; none in RMS normalisation.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    pub(crate) kind: NormKind,
    #[module(skip)]
    pub(crate) eps: f64,
}

impl Norm {
    /// `[B, T, width]` → the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self.kind {
            NormKind::Layer => module::layer_norm(
                x,
                self.weight.val(),
                self.bias.as_ref().map(Param::val),
                self.eps,
            ),
            NormKind::Rms => {
                let scale = x.clone().square().mean_dim(2).add_scalar(self.eps).sqrt();
                x / scale * self.weight.val().unsqueeze()
            }
        }
    }
}
