//! What operations are told beside their tensors, wherever they compute.

/// The non-linearity of the feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x·σ(x).
    Silu,
    /// max(x, 0).
    Relu,
    /// GELU by the error function.
    Gelu,
    /// GELU by its tanh approximation.
    GeluTanh,
}

/// The shape of an attention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentAttention {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; each serves `heads / kv_heads` query heads in a row.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// Queries see the last so many positions only.
    pub window: Option<usize>,
    /// Look also at blocks that spans leave empty, as a GPU must whose compiler wants loops around
    /// barriers bounded by nothing that a kernel read; it costs time and changes no number.
    pub every_block: bool,
}

/// What one token sees: `[head.0, head.1)`, `[prompt.0, prompt.1)` and `[own, itself]`, whose positions
/// follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) head: [usize; 2],
    pub(super) prompt: [usize; 2],
    pub(super) own: usize,
    /// One past the last token that may see it.
    pub(super) group_end: usize,
}

/// What is dropped, and what becomes of the rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dropped {
    /// Of the hash that decides.
    pub(crate) key: [u32; 2],
    /// Hashes below it are dropped.
    pub(crate) threshold: u32,
    /// What the rest is multiplied by, so that the mean stays.
    pub(crate) scale: f32,
}

impl Dropped {
    /// A share of the inputs, from 0 to below 1.
    pub(crate) fn new(key: u64, share: f64) -> Self {
        Self {
            key: [key as u32, (key >> 32) as u32],
            threshold: (share * 2f64.powi(32)) as u32,
            scale: (1.0 / (1.0 - share)) as f32,
        }
    }
}

/// The constants of one step of AdamW.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamWStep {
    /// β and 1 − β of both moments; the difference would lose digits in f32.
    pub(crate) first: [f32; 2],
    pub(crate) second: [f32; 2],
    pub(crate) epsilon: f32,
    /// 1/(1 − β₁ᵗ) and 1/(1 − β₂ᵗ).
    pub(crate) first_scale: f32,
    pub(crate) second_scale: f32,
    /// The learning rate.
    pub(crate) rate: f32,
    /// 1 − rate·weight decay.
    pub(crate) decay: f32,
}

impl AdamWStep {
    /// Step `step`, counted from 1, with β 0.9/0.999 and ε 1e-8.
    pub(crate) fn at(step: u64, rate: f64, weight_decay: f64) -> Self {
        let [beta1, beta2] = [0.9f64, 0.999];
        let unbias = |beta: f64| (1.0 - beta.powf(step as f64)).recip() as f32;
        Self {
            first: [beta1, 1.0 - beta1].map(|x| x as f32),
            second: [beta2, 1.0 - beta2].map(|x| x as f32),
            epsilon: 1e-8,
            first_scale: unbias(beta1),
            second_scale: unbias(beta2),
            rate: rate as f32,
            decay: (1.0 - rate * weight_decay) as f32,
        }
    }
}
