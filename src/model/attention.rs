//! Causal self-attention with grouped key/value heads and an optional cache.

use burn::module::Module;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Tensor, module};

use super::decoder::Context;
use super::{Linear, Norm};

/// Keys and values of the tokens so far, one entry per layer.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// `[B, kv_heads, capacity, head_dim]` keys and values.
    pub(crate) layers: Vec<(Tensor<4>, Tensor<4>)>,
    /// Tokens stored.
    pub(crate) length: usize,
}

/// Multi-head self-attention.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[D, heads · head_dim]`; none where the three projections are fused.
    pub query: Option<Linear>,
    /// `[D, kv_heads · head_dim]`.
    pub key: Option<Linear>,
    /// `[D, kv_heads · head_dim]`.
    pub value: Option<Linear>,
    /// Query, key and value side by side, `[D, (heads + 2·kv_heads) · head_dim]` (GPT-2).
    pub fused: Option<Linear>,
    /// `[heads · head_dim, D]`.
    pub output: Linear,
    /// Over each query head (Qwen3).
    pub query_norm: Option<Norm>,
    /// Over each key head.
    pub key_norm: Option<Norm>,
    #[module(skip)]
    pub(crate) heads: usize,
    #[module(skip)]
    pub(crate) kv_heads: usize,
    #[module(skip)]
    pub(crate) head_dim: usize,
    /// What scores are multiplied by, if not head_dim^−½.
    #[module(skip)]
    pub(crate) scale: Option<f64>,
    /// Queries see the last tokens only.
    #[module(skip)]
    pub(crate) windowed: bool,
}

impl Attention {
    /// `[B, T, D]` → `[B, T, D]`; with a cache, T new tokens see all stored ones.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        context: &Context,
        cache: Option<(&mut Cache, usize)>,
    ) -> Tensor<3> {
        let [b, t, _] = x.dims();
        let [query, key, value] = self.project(x, context.training());
        let heads = |y: Tensor<3>, n: usize| y.reshape([b, t, n, self.head_dim]);
        let normed = |y: Tensor<4>, norm: &Option<Norm>| match norm {
            Some(norm) => norm.forward(y),
            None => y,
        };
        let mut query = normed(heads(query, self.heads), &self.query_norm).swap_dims(1, 2);
        let mut key = normed(heads(key, self.kv_heads), &self.key_norm).swap_dims(1, 2);
        let mut value = heads(value, self.kv_heads).swap_dims(1, 2);
        let sight = context.sight(self.windowed);
        if let Some(angles) = &sight.angles {
            query = angles.rotate(query);
            key = angles.rotate(key);
        }
        if let Some((cache, layer)) = cache {
            (key, value) = cache.extend(layer, key, value);
        }
        let hidden = sight.hidden.clone();
        let options = AttentionModuleOptions {
            is_causal: hidden.is_none(),
            scale: self.scale,
            ..AttentionModuleOptions::default()
        };
        // The same sequence of operations with and without autodiff: a policy that equals its
        // reference must give exactly the reference's log-probabilities.
        let mixed = module::attention_fallback(
            query,
            self.repeat(key),
            self.repeat(value),
            hidden,
            None,
            options,
        );
        let mixed = mixed.swap_dims(1, 2).reshape([b, t, self.heads * self.head_dim]);
        self.output.forward(mixed, context.training())
    }

    /// Queries, keys and values, heads side by side.
    fn project(&self, x: Tensor<3>, training: bool) -> [Tensor<3>; 3] {
        if let Some(fused) = &self.fused {
            let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
            let all = fused.forward(x, training);
            return [(0, q), (q, kv), (q + kv, kv)]
                .map(|(start, width)| all.clone().narrow(2, start, width));
        }
        [&self.query, &self.key, &self.value].map(|part| match part {
            Some(linear) => linear.forward(x.clone(), training),
            None => unreachable!("projections are fused or there are three"),
        })
    }

    /// Each key/value head serves `heads / kv_heads` query heads in a row.
    fn repeat(&self, x: Tensor<4>) -> Tensor<4> {
        let groups = self.heads / self.kv_heads;
        if groups == 1 {
            return x;
        }
        let [b, _, s, d] = x.dims();
        x.unsqueeze_dim::<5>(2)
            .expand([b, self.kv_heads, groups, s, d])
            .reshape([b, self.heads, s, d])
    }
}

impl Cache {
    /// Room for `capacity` tokens in each layer; of fixed size, so that shapes repeat.
    pub(crate) fn new(layers: usize, shape: [usize; 4], device: &burn::tensor::Device) -> Self {
        let empty = || Tensor::<4>::zeros(shape, device);
        Self { layers: (0..layers).map(|_| (empty(), empty())).collect(), length: 0 }
    }

    /// Store new keys and values behind the old ones; returns all of them.
    fn extend(&mut self, layer: usize, key: Tensor<4>, value: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [b, h, t, d] = key.dims();
        let range = [0..b, 0..h, self.length..self.length + t, 0..d];
        let (keys, values) = &mut self.layers[layer];
        keys.inplace(|all| all.slice_assign(range.clone(), key));
        values.inplace(|all| all.slice_assign(range, value));
        (keys.clone(), values.clone())
    }
}
