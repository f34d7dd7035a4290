//! The small parts of a decoder. Weights of linear layers are `[in, out]`.

use burn::module::{Module, Param};
use burn::tensor::{DType, Int, Tensor, module};

use super::NormKind;
use super::lora::{Dropout, Lora};
use super::precision::widen;
use crate::kernels::{frozen_matmul, layer_norm, rms_norm};

/// x·W + b, and what an adapter adds.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[in, out]`; in f32, or narrower where it is not trained.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// A low-rank addition to the weight.
    pub lora: Option<Lora>,
}

impl Linear {
    /// Without an adapter.
    pub fn new(weight: Param<Tensor<2>>, bias: Option<Param<Tensor<1>>>) -> Self {
        Self { weight, bias, lora: None }
    }

    /// `[B, T, in]` → `[B, T, out]`; `dropout` lets the adapter drop inputs.
    pub fn forward(&self, x: Tensor<3>, dropout: Option<Dropout>) -> Tensor<3> {
        let [b, t, input] = x.dims();
        let flat = x.reshape([b * t, input]);
        let y = self.forward_rows(flat, dropout);
        let width = y.dims()[1];
        y.reshape([b, t, width])
    }

    /// `[M, in]` → `[M, out]`.
    pub(crate) fn forward_rows(&self, x: Tensor<2>, dropout: Option<Dropout>) -> Tensor<2> {
        let added = self.lora.as_ref().map(|lora| lora.forward(x.clone(), dropout));
        let weight = self.weight.val();
        let bias = self.bias.as_ref().map(Param::val);
        let y = match weight.dtype() {
            DType::F32 => module::linear(x, weight, bias),
            _ => {
                let y = frozen_matmul(x, weight);
                match bias {
                    Some(bias) => y + bias.unsqueeze(),
                    None => y,
                }
            }
        };
        match added {
            Some(added) => y + added,
            None => y,
        }
    }

    /// Rows and columns of the weight.
    pub(crate) fn dims(&self) -> [usize; 2] {
        self.weight.val().dims()
    }
}

/// A table of rows.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[rows, width]`; in f32, or narrower where it is not trained.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// Ids `[B, T]` → rows `[B, T, width]` in f32.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        widen(module::embedding(self.weight.val(), ids))
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
    /// `[…, width]` → the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let weight = self.weight.val();
        match (self.kind, &self.bias) {
            (NormKind::Layer, Some(bias)) => layer_norm(x, weight, bias.val(), self.eps),
            (NormKind::Layer, None) => {
                let bias = weight.zeros_like();
                layer_norm(x, weight, bias, self.eps)
            }
            (NormKind::Rms, _) => rms_norm(x, weight, self.eps),
            (NormKind::RmsPlusOne, _) => rms_norm(x, weight.add_scalar(1.0), self.eps),
        }
    }
}
