//! The decoder: embedding, layers, head.

use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Int, Tensor, activation};

use super::attention::{Attention, Cache};
use super::rotary::{self, Angles};
use super::{Activation, DecoderConfig, Embedding, Linear, Norm, Position};

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
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let inner = match &self.gate {
            Some(gate) => self.activate(gate.forward(x.clone())) * self.up.forward(x),
            None => self.activate(self.up.forward(x)),
        };
        self.down.forward(inner)
    }

    fn activate(&self, x: Tensor<3>) -> Tensor<3> {
        match self.activation {
            Activation::Silu => activation::silu(x),
            Activation::Relu => activation::relu(x),
            Activation::Gelu => activation::gelu(x),
            Activation::GeluTanh => activation::gelu_approximate(x),
        }
    }
}

/// One layer.
#[derive(Module, Debug)]
pub struct Layer {
    /// Before attention, or after its residual sum.
    pub attention_norm: Norm,
    /// Self-attention.
    pub attention: Attention,
    /// Before the feed-forward block, or after its residual sum.
    pub ffn_norm: Norm,
    /// Feed-forward block.
    pub ffn: FeedForward,
    #[module(skip)]
    pub(crate) norm_first: bool,
}

/// All layers of a decoder.
pub type LayerStack = Vec<Layer>;

impl Layer {
    fn forward(
        &self,
        x: Tensor<3>,
        angles: Option<&Angles>,
        hidden: Option<&Tensor<4, Bool>>,
        cache: Option<(&mut Cache, usize)>,
    ) -> Tensor<3> {
        if self.norm_first {
            let mixed = self.attention.forward(
                self.attention_norm.forward(x.clone()),
                angles,
                hidden,
                cache,
            );
            let x = x + mixed;
            x.clone() + self.ffn.forward(self.ffn_norm.forward(x))
        } else {
            let mixed = self.attention.forward(x.clone(), angles, hidden, cache);
            let x = self.attention_norm.forward(x + mixed);
            self.ffn_norm.forward(x.clone() + self.ffn.forward(x))
        }
    }
}

/// Tokens of a batch on the device.
#[derive(Clone, Debug)]
pub struct DecoderInput {
    /// Ids, `[B, T]`.
    pub tokens: Tensor<2, Int>,
    /// Position of each token in its sequence, `[B, T]`.
    pub positions: Tensor<2, Int>,
    /// Which keys each query must not see, `[B, T, S]` (`true` hides); `None` where every
    /// row is one sequence padded on the right, so that causality alone suffices.
    pub hidden_keys: Option<Tensor<3, Bool>>,
}

/// A decoder-only transformer with a language-model head and, in an annotator, a scalar head.
#[derive(Module, Debug)]
pub struct Decoder {
    /// `[V, E]`.
    pub embedding: Embedding,
    /// Learned positions, `[positions + offset, D]`.
    pub positions: Option<Embedding>,
    /// `[E, D]`, only where E ≠ D.
    pub project_in: Option<Linear>,
    /// The layers.
    pub layers: LayerStack,
    /// Final normalisation; none in post-norm decoders.
    pub norm: Option<Norm>,
    /// `[D, E]`, only where E ≠ D.
    pub project_out: Option<Linear>,
    /// `[E, V]`; none where it shares the embedding.
    pub head: Option<Linear>,
    /// Scalar head `[E, 1]` of an annotator.
    pub score: Option<Linear>,
    #[module(skip)]
    pub(crate) config: DecoderConfig,
}

impl Decoder {
    /// The decoder's shape.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The device of the weights, with their autodiff setting.
    pub fn device(&self) -> Device {
        self.embedding.weight.val().device()
    }

    /// Hidden states after the final norm, `[B, T, E]`.
    ///
    /// With a cache, `input` holds the new tokens and `hidden_keys` spans the whole cache.
    pub fn hidden(&self, input: DecoderInput, mut cache: Option<&mut Cache>) -> Tensor<3> {
        let mut x = self.embedding.forward(input.tokens);
        if let Some(project) = &self.project_in {
            x = project.forward(x);
        }
        let mut angles = None;
        match self.config.position {
            Position::Rotary { theta, scaling } => {
                let frequencies = rotary::frequencies(self.config.head_dim, theta, scaling);
                angles = Some(Angles::new(input.positions, &frequencies));
            }
            Position::Learned { offset } => {
                if let Some(table) = &self.positions {
                    x = x + table.forward(input.positions.add_scalar(offset as i64));
                }
            }
        }
        let hidden = input.hidden_keys.map(|mask| self.for_heads(mask));
        for (i, layer) in self.layers.iter().enumerate() {
            let cache = cache.as_deref_mut().map(|cache| (cache, i));
            x = layer.forward(x, angles.as_ref(), hidden.as_ref(), cache);
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(x);
        }
        if let Some(project) = &self.project_out {
            x = project.forward(x);
        }
        x
    }

    /// Next-token logits of chosen hidden states: `[M, E]` → `[M, V]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.head {
            Some(head) => head.forward(hidden),
            None => hidden.matmul(self.embedding.weight.val().transpose()),
        }
    }

    /// Scalar scores of chosen hidden states: `[S, E]` → `[S]`; zeros without a scalar head.
    pub fn scores(&self, hidden: Tensor<2>) -> Tensor<1> {
        match &self.score {
            Some(score) => score.forward(hidden).squeeze_dim(1),
            None => hidden.sum_dim(1).mul_scalar(0.0).squeeze_dim(1),
        }
    }

    /// A fresh cache for B sequences of at most `capacity` tokens.
    pub fn cache(&self, batch: usize, capacity: usize) -> Cache {
        let c = &self.config;
        Cache::new(c.layers, [batch, c.kv_heads, capacity, c.head_dim], &self.device())
    }

    /// This decoder with a scalar head, `[E, 1]`.
    pub fn with_score(mut self, weight: Tensor<2>) -> Self {
        self.score = Some(Linear { weight: Param::from_tensor(weight), bias: None });
        self
    }

    fn for_heads(&self, mask: Tensor<3, Bool>) -> Tensor<4, Bool> {
        let [b, t, s] = mask.dims();
        mask.unsqueeze_dim::<4>(1).expand([b, self.config.heads, t, s])
    }
}
