//! The decoder: embedding, layers, norm, heads.

use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Int, Tensor};

use super::attention::Cache;
use super::context::{Context, Seen, Sight};
use super::layer::LayerStack;
use super::rotary::{self, Angles};
use super::{DecoderConfig, Dropout, Embedding, Linear, Norm, Position};

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
    /// What each token of packed rows sees, `[B · T, 6]`, as [`Batch::spans`] tells it: in place
    /// of `hidden_keys`.
    ///
    /// [`Batch::spans`]: crate::batch::Batch::spans
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
