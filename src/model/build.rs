//! Decoders made of parameters that come from anywhere.

use burn::module::Param;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use super::config::{DecoderConfig, ModelError, NormKind, Position};
use super::layer::{FeedForward, Layer};
use super::{Attention, Decoder, Embedding, Linear, Norm, Precision};

/// Where parameters come from: (path, shape) → row-major values.
pub type Get<'a> = dyn Fn(&str, &[usize]) -> Result<Vec<f32>, ModelError> + 'a;

/// A trainable decoder in f32 whose parameters come from `get(path, shape)`: random ones, say.
///
/// # Errors
///
/// Whatever `get` returns.
pub fn build(config: DecoderConfig, device: &Device, get: &Get<'_>) -> Result<Decoder, ModelError> {
    build_as(config, device, Precision::F32, get)
}

/// As [`build`], the matrices stored as `precision` says; each is made and packed before the next
/// is read.
pub(crate) fn build_as(
    config: DecoderConfig,
    device: &Device,
    precision: Precision,
    get: &Get<'_>,
) -> Result<Decoder, ModelError> {
    precision.check(device)?;
    let most = crate::device::largest_tensor(device);
    Builder { get, device, precision, most }.decoder(config)
}

/// Values beyond the largest f16 would silently become infinite.
fn fits_f16(path: &str, values: &[f32]) -> Result<(), ModelError> {
    let most = half::f16::MAX.to_f32();
    match values.iter().find(|value| value.abs() > most) {
        Some(&found) => Err(ModelError::Overflow { tensor: path.to_owned(), found, most }),
        None => Ok(()),
    }
}

struct Builder<'a> {
    get: &'a Get<'a>,
    device: &'a Device,
    precision: Precision,
    /// Bytes of the largest tensor that the device's kernels can see.
    most: Option<u64>,
}

impl Builder<'_> {
    /// A parameter as stored. It stays as long as its model, so it gets memory of exactly its
    /// size: a device's pools are then shaped by what comes and goes.
    fn parameter<const D: usize>(
        &self,
        path: &str,
        shape: [usize; D],
        pack: impl Fn(Tensor<D>) -> Tensor<D> + Send,
    ) -> Result<Param<Tensor<D>>, ModelError> {
        let device = self.device;
        let bytes = 4 * shape.iter().product::<usize>() as u64;
        if let Some(most) = self.most.filter(|most| bytes > *most) {
            return Err(ModelError::Piece { tensor: path.to_owned(), bytes, most });
        }
        let values = (self.get)(path, &shape)?;
        if D == 2 && self.precision.table(device) == FloatDType::F16 {
            fits_f16(path, &values)?;
        }
        let data = TensorData::new(values, shape);
        let tensor = if self.precision == Precision::F32 {
            let put = |data| Tensor::from_data(data, device);
            device.memory_persistent_allocations(data, put)
        } else {
            // What is packed only passes through.
            device.memory_persistent_allocations(Tensor::from_data(data, device), pack)
        };
        Ok(Param::from_tensor(tensor))
    }

    fn vector(&self, path: &str, width: usize) -> Result<Param<Tensor<1>>, ModelError> {
        self.parameter(path, [width], |vector| vector)
    }

    fn linear(
        &self,
        path: &str,
        input: usize,
        output: usize,
        bias: bool,
    ) -> Result<Linear, ModelError> {
        let bias = bias.then(|| self.vector(&format!("{path}.bias"), output)).transpose()?;
        let precision = self.precision;
        let pack = move |weight| precision.pack_linear(weight);
        let weight = self.parameter(&format!("{path}.weight"), [input, output], pack)?;
        Ok(Linear::new(weight, bias))
    }

    fn table(&self, path: &str, rows: usize, width: usize) -> Result<Param<Tensor<2>>, ModelError> {
        let precision = self.precision;
        let pack = move |table| precision.pack_table(table);
        self.parameter(&format!("{path}.weight"), [rows, width], pack)
    }

    fn norm(&self, path: &str, width: usize, c: &DecoderConfig) -> Result<Norm, ModelError> {
        let bias = (c.norm == NormKind::Layer).then(|| self.vector(&format!("{path}.bias"), width));
        Ok(Norm {
            weight: self.vector(&format!("{path}.weight"), width)?,
            bias: bias.transpose()?,
            kind: c.norm,
            eps: c.norm_eps,
        })
    }

    fn attention(&self, i: usize, c: &DecoderConfig) -> Result<Attention, ModelError> {
        let path = format!("layers.{i}.attention");
        let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let projection = |part: &str, width: usize, wanted: bool| {
            wanted
                .then(|| self.linear(&format!("{path}.{part}"), c.hidden, width, c.qkv_bias))
                .transpose()
        };
        let head_norm = |part: &str| {
            c.head_norm.then(|| self.norm(&format!("{path}.{part}"), c.head_dim, c)).transpose()
        };
        Ok(Attention {
            query: projection("query", q, !c.fused_qkv)?,
            key: projection("key", kv, !c.fused_qkv)?,
            value: projection("value", kv, !c.fused_qkv)?,
            fused: projection("fused", q + 2 * kv, c.fused_qkv)?,
            output: self.linear(&format!("{path}.output"), q, c.hidden, c.output_bias)?,
            query_norm: head_norm("query_norm")?,
            key_norm: head_norm("key_norm")?,
            heads: c.heads,
            kv_heads: c.kv_heads,
            head_dim: c.head_dim,
            scale: c.attention_scale,
            windowed: c.has_window(i),
        })
    }

    fn layer(&self, i: usize, c: &DecoderConfig) -> Result<Layer, ModelError> {
        let at = |part: &str| format!("layers.{i}.{part}");
        let norm_after =
            |part: &str| c.norm_after.then(|| self.norm(&at(part), c.hidden, c)).transpose();
        let into_ffn = |part: &str| self.linear(&at(part), c.hidden, c.ffn, c.ffn_bias);
        Ok(Layer {
            attention_norm: self.norm(&at("attention_norm"), c.hidden, c)?,
            attention: self.attention(i, c)?,
            attention_norm_after: norm_after("attention_norm_after")?,
            ffn_norm: self.norm(&at("ffn_norm"), c.hidden, c)?,
            ffn: FeedForward {
                gate: c.gated.then(|| into_ffn("ffn.gate")).transpose()?,
                up: into_ffn("ffn.up")?,
                down: self.linear(&at("ffn.down"), c.ffn, c.hidden, c.ffn_bias)?,
                activation: c.activation,
            },
            ffn_norm_after: norm_after("ffn_norm_after")?,
            norm_first: c.norm_first,
        })
    }

    fn decoder(&self, c: DecoderConfig) -> Result<Decoder, ModelError> {
        let projected = c.embedding != c.hidden;
        let projection = |path: &str, input: usize, output: usize| {
            projected.then(|| self.linear(path, input, output, false)).transpose()
        };
        let positions = match c.position {
            Position::Learned { offset } => {
                Some(self.table("positions", c.positions + offset, c.hidden)?)
            }
            Position::Rotary { .. } => None,
        };
        let embedding = self.table("embedding", c.vocabulary, c.embedding)?;
        let layers = (0..c.layers).map(|i| self.layer(i, &c)).collect::<Result<_, _>>()?;
        let head = (!c.tied).then(|| self.table("head", c.vocabulary, c.embedding)).transpose()?;
        Ok(Decoder {
            embedding: Embedding { weight: embedding },
            positions: positions.map(|weight| Embedding { weight }),
            project_in: projection("project_in", c.embedding, c.hidden)?,
            layers,
            norm: c.norm_first.then(|| self.norm("norm", c.hidden, &c)).transpose()?,
            project_out: projection("project_out", c.hidden, c.embedding)?,
            head: head.map(|weight| Embedding { weight }),
            score: None,
            config: c,
        })
    }
}
