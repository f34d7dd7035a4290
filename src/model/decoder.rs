//! The decoder: embedding, layers, head.

use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Int, Tensor};

use super::attention::{Attention, Cache};
use super::readout::Head;
use super::rotary::{self, Angles};
use super::{Activation, DecoderConfig, Dropout, Embedding, Linear, Norm, Position};
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
}

impl Layer {
    fn linears(&self) -> Vec<(&'static str, &Linear)> {
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

    fn linears_mut(&mut self) -> Vec<(&'static str, &mut Linear)> {
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

/// What every layer of a pass shares.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Of layers that see everything before.
    all: Sight,
    /// Of layers that see the last tokens only.
    window: Option<Sight>,
    /// What adapters drop; none outside training.
    dropout: Option<Dropout>,
}

/// What queries see, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// Of rotary positions.
    pub(crate) angles: Option<Angles>,
    pub(crate) seen: Seen,
}

/// Which keys queries see.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// Those of their own row but these, `[B, heads, T, S]` (`true` hides); without a mask,
    /// themselves and everything before them.
    Rows { hidden: Option<Tensor<4, Bool>> },
    /// Those in their spans, `[B · T, 4]`, and not farther away than a window.
    Spans { spans: Tensor<2, Int>, window: Option<usize> },
}

impl Context {
    pub(crate) fn sight(&self, windowed: bool) -> &Sight {
        self.window.as_ref().filter(|_| windowed).unwrap_or(&self.all)
    }

    pub(crate) fn dropout(&self) -> Option<Dropout> {
        self.dropout
    }

    /// For one layer, which drops the same inputs however often it is computed.
    pub(crate) fn of_layer(&self, layer: usize) -> Self {
        let dropout = self.dropout.map(|dropout| dropout.of(layer as u64));
        Self { dropout, ..self.clone() }
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
    /// What each token of packed rows sees, `[B · T, 4]`, as [`Batch::spans`] tells it: in place
    /// of `hidden_keys`.
    ///
    /// [`Batch::spans`]: crate::text::Batch::spans
    pub spans: Option<Tensor<2, Int>>,
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
    /// `[V, E]`; none where it is the embedding.
    pub head: Option<Embedding>,
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
    pub fn hidden(&self, input: &DecoderInput, mut cache: Option<&mut Cache>) -> Tensor<3> {
        let stored = cache.as_ref().map_or(0, |cache| cache.length);
        let context = self.context_after(stored, input, None);
        let mut x = self.embed(input);
        for (i, layer) in self.layers.iter().enumerate() {
            let cache = cache.as_deref_mut().map(|cache| (cache, i));
            x = layer.forward(x, &context, cache);
        }
        self.finish(x)
    }

    /// What the layers share; `dropout` says what adapters drop in training.
    pub(crate) fn context(&self, input: &DecoderInput, dropout: Option<Dropout>) -> Context {
        self.context_after(0, input, dropout)
    }

    /// As [`Decoder::context`], after so many columns of a cache.
    fn context_after(
        &self,
        stored: usize,
        input: &DecoderInput,
        dropout: Option<Dropout>,
    ) -> Context {
        let sight = |position: Position, window: Option<usize>| {
            let angles = self.angles(position, input);
            if let Some(spans) = input.spans.clone() {
                return Sight { angles, seen: Seen::Spans { spans, window } };
            }
            let hidden = match window {
                Some(tokens) => hidden_outside(tokens, stored, input),
                None => input.hidden_keys.clone(),
            };
            Sight { angles, seen: Seen::Rows { hidden: hidden.map(|mask| self.for_heads(mask)) } }
        };
        let all = sight(self.config.position, None);
        let window = self.config.window.as_ref().map(|w| sight(w.position, Some(w.tokens)));
        Context { all, window, dropout }
    }

    fn angles(&self, position: Position, input: &DecoderInput) -> Option<Angles> {
        let Position::Rotary { theta, scaling } = position else { return None };
        let frequencies = rotary::frequencies(self.config.head_dim, theta, scaling);
        Some(Angles::new(input.positions.clone(), &frequencies))
    }

    /// What enters the first layer, `[B, T, D]`.
    pub(crate) fn embed(&self, input: &DecoderInput) -> Tensor<3> {
        let mut x = self.embedding.forward(input.tokens.clone());
        if let Some(scale) = self.config.embedding_scale {
            x = x.mul_scalar(scale);
        }
        if let Some(project) = &self.project_in {
            x = project.forward(x, None);
        }
        if let (Position::Learned { offset }, Some(table)) = (self.config.position, &self.positions)
        {
            x = x + table.forward(input.positions.clone().add_scalar(offset as i64));
        }
        x
    }

    /// From the last layer's output to hidden states `[B, T, E]`.
    pub(crate) fn finish(&self, mut x: Tensor<3>) -> Tensor<3> {
        if let Some(norm) = &self.norm {
            x = norm.forward(x);
        }
        if let Some(project) = &self.project_out {
            x = project.forward(x, None);
        }
        x
    }

    /// Next-token logits of chosen hidden states: `[M, E]` → `[M, V]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        Head::of(self).all_logits(hidden)
    }

    /// Scalar scores of chosen hidden states: `[S, E]` → `[S]`; zeros without a scalar head.
    pub fn scores(&self, hidden: Tensor<2>) -> Tensor<1> {
        match &self.score {
            Some(score) => score.forward_rows(hidden, None).squeeze_dim(1),
            None => hidden.sum_dim(1).mul_scalar(0.0).squeeze_dim(1),
        }
    }

    /// A fresh cache for B sequences of at most `capacity` tokens.
    pub fn cache(&self, batch: usize, capacity: usize) -> Cache {
        let c = &self.config;
        Cache::new(c.layers, [batch, c.kv_heads, capacity, c.head_dim], &self.device())
    }

    /// This decoder with adapters that drop nothing, in training neither.
    pub fn without_dropout(mut self) -> Self {
        for (_, linear) in self.linears_mut() {
            if let Some(lora) = &mut linear.lora {
                lora.dropout = 0.0;
            }
        }
        self
    }

    /// This decoder with a scalar head, `[E, 1]`.
    pub fn with_score(mut self, weight: Tensor<2>) -> Self {
        self.score = Some(Linear::new(Param::from_tensor(weight), None));
        self
    }

    /// The linear layers that an adapter can join, with their paths.
    pub fn linears(&self) -> Vec<(String, &Linear)> {
        let mut found: Vec<(String, &Linear)> = Vec::new();
        let ends = [("project_in", &self.project_in), ("project_out", &self.project_out)];
        for (path, linear) in ends {
            found.extend(linear.as_ref().map(|linear| (path.to_owned(), linear)));
        }
        for (i, layer) in self.layers.iter().enumerate() {
            let parts = layer.linears().into_iter();
            found.extend(parts.map(|(path, linear)| (format!("layers.{i}.{path}"), linear)));
        }
        found
    }

    /// As [`Decoder::linears`], to change them.
    pub(crate) fn linears_mut(&mut self) -> Vec<(String, &mut Linear)> {
        let mut found: Vec<(String, &mut Linear)> = Vec::new();
        let ends = [("project_in", &mut self.project_in), ("project_out", &mut self.project_out)];
        for (path, linear) in ends {
            found.extend(linear.as_mut().map(|linear| (path.to_owned(), linear)));
        }
        for (i, layer) in self.layers.iter_mut().enumerate() {
            let parts = layer.linears_mut().into_iter();
            found.extend(parts.map(|(path, linear)| (format!("layers.{i}.{path}"), linear)));
        }
        found
    }

    fn for_heads(&self, mask: Tensor<3, Bool>) -> Tensor<4, Bool> {
        let [b, t, s] = mask.dims();
        mask.unsqueeze_dim::<4>(1).expand([b, self.config.heads, t, s])
    }
}

/// Which keys each query must not see where it sees its last `window` columns only; a row's
/// tokens stand side by side, so that columns are as far apart as positions.
fn hidden_outside(window: usize, stored: usize, input: &DecoderInput) -> Option<Tensor<3, Bool>> {
    let [_, t] = input.tokens.dims();
    let keys = input.hidden_keys.as_ref().map_or(t, |mask| mask.dims()[2]);
    if keys <= window {
        return input.hidden_keys.clone();
    }
    let device = input.tokens.device();
    let column = |range: std::ops::Range<usize>| {
        Tensor::<1, Int>::arange(range.start as i64..range.end as i64, &device)
    };
    let query = column(stored..stored + t).reshape([1, t, 1]).expand([1, t, keys]);
    let key = column(0..keys).reshape([1, 1, keys]).expand([1, t, keys]);
    let far = key.clone().lower_equal(query.clone().sub_scalar(window as i64));
    Some(match &input.hidden_keys {
        Some(mask) => mask.clone().bool_or(far.expand(mask.dims())),
        None => {
            let [b, _] = input.tokens.dims();
            far.bool_or(key.greater(query)).expand([b, t, keys])
        }
    })
}
