//! What tests compare with plain operations.

use burn::tensor::{Int, Tensor};

use super::attention::plain_attention;
use super::dropout::{dropped_matmul, plain_dropped_matmul};
use super::{Activation, AdamWStep, Dropped, SegmentAttention, adamw, segment_attention};

/// The shape of an attention whose scores are scaled by head_dim^−½.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Queries see the last so many positions only.
    pub window: Option<usize>,
}

impl Shape {
    fn attention(self, every_block: bool) -> SegmentAttention {
        let Self { heads, kv_heads, head_dim, window } = self;
        let scale = (head_dim as f32).powf(-0.5);
        SegmentAttention { heads, kv_heads, head_dim, scale, window, every_block }
    }
}

/// Attention within spans, by the fused operation or by plain ones.
pub fn attention(
    qkv: [Tensor<2>; 3],
    spans: Tensor<2, Int>,
    shape: Shape,
    fused: bool,
) -> Tensor<2> {
    let shape = shape.attention(false);
    if fused { segment_attention(qkv, spans, shape) } else { plain_attention(qkv, &spans, shape) }
}

/// As [`attention`], fused, as a GPU computes it that may skip no block.
pub fn attention_of_every_block(
    qkv: [Tensor<2>; 3],
    spans: Tensor<2, Int>,
    shape: Shape,
) -> Tensor<2> {
    segment_attention(qkv, spans, shape.attention(true))
}

/// f(x), or f(x)·up.
pub fn activate(kind: Activation, x: Tensor<2>, up: Option<Tensor<2>>) -> Tensor<2> {
    super::activate(kind, x, up)
}

/// x·W with a share of x dropped, by the fused operation, or by plain ones where `kept` gives what
/// is not dropped as ones among zeros.
pub fn dropped_product(
    x: Tensor<2>,
    weight: Tensor<2>,
    key: u64,
    share: f64,
    kept: Option<Tensor<2>>,
) -> Tensor<2> {
    let dropped = Dropped::new(key, share);
    match kept {
        Some(kept) => plain_dropped_matmul(x, weight, kept, dropped),
        None => dropped_matmul(x, weight, dropped),
    }
}

/// Values and moments after step `step`, counted from 1.
pub fn adamw_step(
    values: Tensor<1>,
    gradient: Tensor<1>,
    moments: [Tensor<1>; 2],
    step: u64,
    rate: f64,
    weight_decay: f64,
) -> (Tensor<1>, [Tensor<1>; 2]) {
    let settings = AdamWStep::at(step, rate, weight_decay);
    let [values, first, second] = adamw(values, gradient, moments, settings, None);
    (values, [first, second])
}
