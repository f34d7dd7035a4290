//! Causal self-attention with grouped key/value heads and an optional cache.

use burn::module::Module;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor, module};

use super::context::{Context, Seen};
use super::{Dropout, Linear, Norm};
use crate::kernels::{SegmentAttention, segment_attention};

/// Numbers of the modules of a layer, of which each drops for itself; those of the feed-forward block
/// follow.
const QUERY: u64 = 0;
const KEY: u64 = 1;
const VALUE: u64 = 2;
const OUTPUT: u64 = 3;

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
        let dropout = context.dropout();
        let [query, key, value] = self.project(x, dropout);
        let sight = context.sight(self.windowed);
        let place = |y: Tensor<3>, n: usize, norm: &Option<Norm>| {
            let mut y = y.reshape([b, t, n, self.head_dim]);
            if let Some(norm) = norm {
                y = norm.forward(y);
            }
            match &sight.angles {
                Some(angles) => angles.rotate(y),
                None => y,
            }
        };
        let query = place(query, self.heads, &self.query_norm);
        let key = place(key, self.kv_heads, &self.key_norm);
        let mixed = match &sight.seen {
            Seen::Spans { spans, window } => {
                let flat = |x: Tensor<4>, n: usize| x.reshape([b * t, n * self.head_dim]);
                let value = value.reshape([b * t, self.kv_heads * self.head_dim]);
                let qkv = [flat(query, self.heads), flat(key, self.kv_heads), value];
                segment_attention(qkv, spans.clone(), self.shape(*window))
            }
            Seen::Rows { hidden } => {
                let value = value.reshape([b, t, self.kv_heads, self.head_dim]);
                let qkv = [query, key, value].map(|x| x.swap_dims(1, 2));
                self.mix_rows(qkv, hidden.clone(), cache)
            }
        };
        let mixed = mixed.reshape([b, t, self.heads * self.head_dim]);
        self.output.forward(mixed, dropout.map(|d| d.of(OUTPUT)))
    }

    fn shape(&self, window: Option<usize>) -> SegmentAttention {
        let scale = self.scale.unwrap_or_else(|| (self.head_dim as f64).powf(-0.5));
        SegmentAttention {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            scale: scale as f32,
            window,
            every_block: false,
        }
    }

    /// Attention within the rows of `[B, heads, T, head_dim]`: `[B · T, heads · head_dim]`.
    fn mix_rows(
        &self,
        [query, mut key, mut value]: [Tensor<4>; 3],
        hidden: Option<Tensor<4, Bool>>,
        cache: Option<(&mut Cache, usize)>,
    ) -> Tensor<2> {
        let [b, _, t, _] = query.dims();
        if let Some((cache, layer)) = cache {
            (key, value) = cache.extend(layer, key, value);
        }
        let options = AttentionModuleOptions {
            is_causal: hidden.is_none(),
            scale: self.scale,
            ..AttentionModuleOptions::default()
        };
        let (key, value) = (self.repeat(key), self.repeat(value));
        let mixed = module::attention_fallback(query, key, value, hidden, None, options);
        mixed.swap_dims(1, 2).reshape([b * t, self.heads * self.head_dim])
    }

    /// Queries, keys and values, heads side by side.
    fn project(&self, x: Tensor<3>, dropout: Option<Dropout>) -> [Tensor<3>; 3] {
        if let Some(fused) = &self.fused {
            let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
            let all = fused.forward(x, dropout.map(|d| d.of(QUERY)));
            return [(0, q), (q, kv), (q + kv, kv)]
                .map(|(start, width)| all.clone().narrow(2, start, width));
        }
        let parts = [(&self.query, QUERY), (&self.key, KEY), (&self.value, VALUE)];
        parts.map(|(part, number)| match part {
            Some(linear) => linear.forward(x.clone(), dropout.map(|d| d.of(number))),
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
