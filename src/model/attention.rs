//! Causal self-attention with grouped key/value heads and an optional cache.

use burn::module::Module;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor, module};

use super::Linear;
use super::rotary::Angles;

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
    /// `[D, heads · head_dim]`.
    pub query: Linear,
    /// `[D, kv_heads · head_dim]`.
    pub key: Linear,
    /// `[D, kv_heads · head_dim]`.
    pub value: Linear,
    /// `[heads · head_dim, D]`.
    pub output: Linear,
    #[module(skip)]
    pub(crate) heads: usize,
    #[module(skip)]
    pub(crate) kv_heads: usize,
    #[module(skip)]
    pub(crate) head_dim: usize,
}

impl Attention {
    /// `[B, T, D]` → `[B, T, D]`; with a cache, T new tokens see all stored ones.
    ///
    /// `hidden` says which keys each query must not see, `[B, heads, T, S]`; without it a query
    /// sees itself and everything before it in its row.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        angles: Option<&Angles>,
        hidden: Option<&Tensor<4, Bool>>,
        cache: Option<(&mut Cache, usize)>,
    ) -> Tensor<3> {
        let [b, t, _] = x.dims();
        let heads = |y: Tensor<3>, n: usize| y.reshape([b, t, n, self.head_dim]).swap_dims(1, 2);
        let mut query = heads(self.query.forward(x.clone()), self.heads);
        let mut key = heads(self.key.forward(x.clone()), self.kv_heads);
        let mut value = heads(self.value.forward(x), self.kv_heads);
        if let Some(angles) = angles {
            query = angles.rotate(query);
            key = angles.rotate(key);
        }
        if let Some((cache, layer)) = cache {
            (key, value) = cache.extend(layer, key, value);
        }
        let options = AttentionModuleOptions {
            is_causal: hidden.is_none(),
            ..AttentionModuleOptions::default()
        };
        // The same sequence of operations with and without autodiff: a policy that equals its
        // reference must give exactly the reference's log-probabilities.
        let mixed = module::attention_fallback(
            query,
            self.repeat(key),
            self.repeat(value),
            hidden.cloned(),
            None,
            options,
        );
        let mixed = mixed.swap_dims(1, 2).reshape([b, t, self.heads * self.head_dim]);
        self.output.forward(mixed)
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
