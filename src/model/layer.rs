//! One layer of a decoder: attention, then a feed-forward block.

use burn::module::Module;
use burn::tensor::Tensor;

use super::attention::{Attention, Cache};
use super::context::Context;
use super::{Activation, Dropout, Linear, Norm};
use crate::kernels::activate;

/// Feed-forward block.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[D, ffn]`, only in gated blocks.
    pub gate: Option<Linear>,
    /// `[D, ffn]`.
    pub up: Linear,
    /// `[ffn, D]`.
    pub down: Linear,
    #[module(skip)]
    pub(crate) activation: Activation,
}

impl FeedForward {
    fn forward(&self, x: Tensor<3>, dropout: Option<Dropout>) -> Tensor<3> {
        // After the modules of attention.
        const GATE: u64 = 4;
        const UP: u64 = 5;
        const DOWN: u64 = 6;
        let of = |module| dropout.map(|dropout| dropout.of(module));
        let [b, t, width] = x.dims();
        let x = x.reshape([b * t, width]);
        let up = self.up.forward_rows(x.clone(), of(UP));
        let inner = match &self.gate {
            Some(gate) => activate(self.activation, gate.forward_rows(x, of(GATE)), Some(up)),
            None => activate(self.activation, up, None),
        };
        self.down.forward_rows(inner, of(DOWN)).reshape([b, t, width])
    }
}

/// One layer.
#[derive(Module, Debug)]
pub struct Layer {
    /// Before attention, or after its residual sum.
    pub attention_norm: Norm,
    /// Self-attention.
    pub attention: Attention,
    /// Between attention and its residual sum, beside the norm before it (Gemma).
    pub attention_norm_after: Option<Norm>,
    /// Before the feed-forward block, or after its residual sum.
    pub ffn_norm: Norm,
    /// Feed-forward block.
    pub ffn: FeedForward,
    /// Between the feed-forward block and its residual sum.
    pub ffn_norm_after: Option<Norm>,
    #[module(skip)]
    pub(crate) norm_first: bool,
}

/// All layers of a decoder.
pub type LayerStack = Vec<Layer>;

impl Layer {
    /// `[B, T, D]` → `[B, T, D]`.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        context: &Context,
        cache: Option<(&mut Cache, usize)>,
    ) -> Tensor<3> {
        let after = |x: Tensor<3>, norm: &Option<Norm>| match norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        if self.norm_first {
            let mixed =
                self.attention.forward(self.attention_norm.forward(x.clone()), context, cache);
            let x = x + after(mixed, &self.attention_norm_after);
            let fed = self.ffn.forward(self.ffn_norm.forward(x.clone()), context.dropout());
            x + after(fed, &self.ffn_norm_after)
        } else {
            let mixed = self.attention.forward(x.clone(), context, cache);
            let x = self.attention_norm.forward(x + mixed);
            self.ffn_norm.forward(x.clone() + self.ffn.forward(x, context.dropout()))
        }
    }

    /// The linear layers in it, with their paths.
    pub(super) fn linears(&self) -> Vec<(&'static str, &Linear)> {
        let (a, f) = (&self.attention, &self.ffn);
        let optional = [
            ("attention.query", a.query.as_ref()),
            ("attention.key", a.key.as_ref()),
            ("attention.value", a.value.as_ref()),
            ("attention.fused", a.fused.as_ref()),
            ("attention.output", Some(&a.output)),
            ("ffn.gate", f.gate.as_ref()),
            ("ffn.up", Some(&f.up)),
            ("ffn.down", Some(&f.down)),
        ];
        optional.into_iter().filter_map(|(path, linear)| Some((path, linear?))).collect()
    }

    /// As [`Layer::linears`], to change them.
    pub(super) fn linears_mut(&mut self) -> Vec<(&'static str, &mut Linear)> {
        let (a, f) = (&mut self.attention, &mut self.ffn);
        let optional = [
            ("attention.query", a.query.as_mut()),
            ("attention.key", a.key.as_mut()),
            ("attention.value", a.value.as_mut()),
            ("attention.fused", a.fused.as_mut()),
            ("attention.output", Some(&mut a.output)),
            ("ffn.gate", f.gate.as_mut()),
            ("ffn.up", Some(&mut f.up)),
            ("ffn.down", Some(&mut f.down)),
        ];
        optional.into_iter().filter_map(|(path, linear)| Some((path, linear?))).collect()
    }
}
