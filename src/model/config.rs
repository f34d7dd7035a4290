//! What `config.json` says of a decoder, in one form for all families.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::legible::quoted;

pub use crate::kernels::Activation;

/// Why a model could not be read, built or written.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The folder is not a checkpoint.
    #[error(
        "{folder}: {found}; expected a Hugging Face model folder with config.json, model.safetensors and tokenizer.json"
    )]
    NotAModel {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// `config.json` is damaged or lacks a field.
    #[error("{path}: {found}; expected {expected}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The architecture is not supported.
    #[error("{path}: {found} is not supported; supported are {supported}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The `model_type` found, and what it is.
        found: String,
        /// Those that can be read.
        supported: String,
    },
    /// The weights file lacks a tensor.
    #[error(
        "{path}: tensor “{name}” is missing; the file holds {count} tensors, for instance “{example}” (is config.json from the same model?)"
    )]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// How many there are.
        count: usize,
        /// One of them.
        example: String,
    },
    /// A tensor has another shape than `config.json` says.
    #[error("{path}: tensor “{name}” has shape {found:?}; config.json makes it {expected:?}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape expected.
        expected: Vec<usize>,
    },
    /// The weights file is damaged or of an unsupported type.
    #[error(
        "{path}: {found}; expected a complete safetensors file with F32, F16 or BF16 tensors (download it again?)"
    )]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// The weights are stored in a few bits with scales beside them.
    #[error(
        "{path}: the checkpoint is quantised ({method}: “{tensor}”); expected weights as float32, float16 or bfloat16: name the model that it was made from{whose}, whose weights precision = \"int4\" or \"int8\" stores in as few bits here"
    )]
    Quantised {
        /// The file.
        path: PathBuf,
        /// How.
        method: String,
        /// A tensor that shows it.
        tensor: String,
        /// Where its name stands, of an adapter's base.
        whose: &'static str,
    },
    /// What was cloned without Git LFS.
    #[error(
        "{path}: this is a pointer of Git LFS in place of the file; fetch the file with git lfs pull, inside the folder"
    )]
    Pointer {
        /// The file.
        path: PathBuf,
    },
    /// A file holds weights that are no numbers.
    #[error(
        "{path}: tensor “{name}” holds {count} numbers that are NaN or infinite; expected finite ones (the model was saved after its training diverged, or in float16 what overflows there: take an earlier checkpoint, or save it in bfloat16 or float32)"
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// How many.
        count: usize,
    },
    /// Weights that were trained are no numbers.
    #[error(
        "{path} is not written: the trained “{name}” holds NaN or infinity; lower the learning rate, or set max_grad_norm"
    )]
    Overflowed {
        /// The folder.
        path: PathBuf,
        /// The parameter.
        name: String,
    },
    /// What a model computes is no number.
    #[error(
        "the model gives {what} {found}; expected a finite number (float16 overflows: try precision = \"f32\" or \"bf16\"; a model that diverged gives nothing else)"
    )]
    NoNumber {
        /// What was asked for.
        what: &'static str,
        /// What came.
        found: f32,
    },
    /// The device cannot hold weights of this type.
    #[error(
        "precision = \"{found}\": this device has no such type; it has {supported} (use one of them, or device = \"cpu\")"
    )]
    Precision {
        /// What was asked for.
        found: &'static str,
        /// What the device can hold.
        supported: String,
    },
    /// A weight is too large for 16-bit floats.
    #[error(
        "{tensor} holds {found:?}, and f16 ends at {most}; use precision = \"bf16\" or \"f32\" (or device = \"cpu\", where 8 and 4 bits keep tables in bf16)"
    )]
    Overflow {
        /// The parameter.
        tensor: String,
        /// The value.
        found: f32,
        /// The largest f16.
        most: f32,
    },
    /// A parameter is larger than what kernels of the device can see of a buffer.
    #[error(
        "{tensor} takes {bytes} bytes in one piece, and this device's kernels see {most} of one; use device = \"cpu\", another device (see `confide devices --json`), or a model with a smaller vocabulary"
    )]
    Piece {
        /// The parameter.
        tensor: String,
        /// What it takes in f32, in which it passes through.
        bytes: u64,
        /// What the device allows.
        most: u64,
    },
    /// An adapter does not fit its model.
    #[error("{path}: {found}; expected {expected}")]
    Adapter {
        /// The file or folder, or the setting.
        path: PathBuf,
        /// What was found.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A prompt cannot be continued.
    #[error(
        "a prompt of {length} tokens cannot be continued; expected 1 to {limit} tokens, fewer than the model's positions (shorten the prompt)"
    )]
    Prompt {
        /// Tokens of the longest prompt.
        length: usize,
        /// Positions of the model.
        limit: usize,
    },
    /// The device failed.
    #[error(
        "the device failed while computing: {0}; try a smaller batch_size or max_length, or device = \"cpu\""
    )]
    Device(String),
}

/// How activations are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// x / rms(x) · weight.
    Rms,
    /// x / rms(x) · (1 + weight).
    RmsPlusOne,
    /// (x − mean) / sd · weight + bias.
    Layer,
}

/// How far rotary frequencies are stretched beyond the trained length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RotaryScaling {
    /// As trained.
    None,
    /// All frequencies divided by a factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3's smooth step between kept and divided frequencies.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Below original/low wavelengths, divide fully.
        low: f64,
        /// Above original/high wavelengths, keep.
        high: f64,
        /// The trained length.
        original: f64,
    },
}

/// How positions enter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Position {
    /// Rotation of queries and keys, halves split.
    Rotary {
        /// Base of the frequencies.
        theta: f64,
        /// Stretching.
        scaling: RotaryScaling,
    },
    /// A learned table, read at position + offset.
    Learned {
        /// 2 in OPT, 0 in GPT-2.
        offset: usize,
    },
}

/// Layers whose queries see the last tokens only.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// How many tokens a query sees, its own among them.
    pub tokens: usize,
    /// Whether each layer is one of them.
    pub layers: Vec<bool>,
    /// Where positions enter them.
    pub position: Position,
}

/// A decoder's shape; sizes in elements.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// V.
    pub vocabulary: usize,
    /// D.
    pub hidden: usize,
    /// Width of embeddings and of the head's input; differs from `hidden` in OPT-350m.
    pub embedding: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width of the feed-forward block.
    pub ffn: usize,
    /// Longest sequence.
    pub positions: usize,
    /// Normalisation.
    pub norm: NormKind,
    /// ε of the normalisation.
    pub norm_eps: f64,
    /// Normalise before each block (and once at the end), or after each residual sum.
    pub norm_first: bool,
    /// Normalise each block's output too, before its residual sum.
    pub norm_after: bool,
    /// What embeddings are multiplied by.
    pub embedding_scale: Option<f64>,
    /// Where positions enter.
    pub position: Position,
    /// Layers that see the last tokens only; without it all layers see everything before.
    pub window: Option<Window>,
    /// What scores are multiplied by; without it head_dim^−½.
    pub attention_scale: Option<f64>,
    /// Non-linearity.
    pub activation: Activation,
    /// down(act(gate(x)) · up(x)) instead of down(act(up(x))).
    pub gated: bool,
    /// Query, key and value come out of one matrix.
    pub fused_qkv: bool,
    /// A norm over each query and key head.
    pub head_norm: bool,
    /// Biases on query, key and value.
    pub qkv_bias: bool,
    /// Bias on the attention's output.
    pub output_bias: bool,
    /// Biases in the feed-forward block.
    pub ffn_bias: bool,
    /// The head shares the embedding's weights.
    pub tied: bool,
}

/// Token ids that a model folder names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Ends a response; several in some models, the first is appended.
    pub eos: Vec<u32>,
    /// Fills rows.
    pub pad: Option<u32>,
    /// Begins a text.
    pub bos: Option<u32>,
}

/// Typed reading of one JSON object, with errors that name the field.
pub(crate) struct Fields<'a> {
    pub(crate) path: &'a Path,
    pub(crate) json: &'a Value,
}

impl Fields<'_> {
    pub(crate) fn error(&self, found: String, expected: &str) -> ModelError {
        ModelError::Config { path: self.path.to_owned(), found, expected: expected.to_owned() }
    }

    pub(crate) fn size(&self, name: &str) -> Result<usize, ModelError> {
        match self.json.get(name) {
            Some(value) => self.to_size(name, value),
            None => Err(self.error(format!("“{name}” is missing"), "a whole number")),
        }
    }

    pub(crate) fn size_or(&self, name: &str, default: usize) -> Result<usize, ModelError> {
        match self.json.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => self.to_size(name, value),
        }
    }

    fn to_size(&self, name: &str, value: &Value) -> Result<usize, ModelError> {
        value.as_u64().filter(|&n| n > 0 && n < 1 << 32).map(|n| n as usize).ok_or_else(|| {
            self.error(format!("“{name}” is {}", quoted(value)), "a positive whole number")
        })
    }

    pub(crate) fn number_or(&self, name: &str, default: f64) -> Result<f64, ModelError> {
        match self.json.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value
                .as_f64()
                .ok_or_else(|| self.error(format!("“{name}” is {}", quoted(value)), "a number")),
        }
    }

    pub(crate) fn flag_or(&self, name: &str, default: bool) -> Result<bool, ModelError> {
        match self.json.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| {
                self.error(format!("“{name}” is {}", quoted(value)), "true or false")
            }),
        }
    }

    pub(crate) fn activation(&self, name: &str, default: &str) -> Result<Activation, ModelError> {
        let word = self.json.get(name).and_then(Value::as_str).unwrap_or(default);
        match word {
            "silu" | "swish" => Ok(Activation::Silu),
            "relu" => Ok(Activation::Relu),
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
            other => Err(self.error(
                format!("“{name}” is “{}”", quoted(other)),
                "silu, relu, gelu, gelu_new or gelu_pytorch_tanh",
            )),
        }
    }
}

/// Sizes that no decoder has, some tens of times over: a settings file that asks for more is
/// damaged, and would only make a program count for ever.
const MOST_LAYERS: usize = 1 << 12;
const MOST_WIDE: usize = 1 << 20;
const MOST_TOKENS: usize = 1 << 24;

impl DecoderConfig {
    /// Whether a layer sees the last tokens only.
    pub(crate) fn has_window(&self, layer: usize) -> bool {
        let window = self.window.as_ref();
        window.and_then(|window| window.layers.get(layer)).copied().unwrap_or(false)
    }

    /// Whether the sizes fit together; families call this last.
    pub(crate) fn checked(self, fields: &Fields<'_>) -> Result<Self, ModelError> {
        let sizes = [
            ("layers", self.layers, MOST_LAYERS),
            ("numbers in a hidden state", self.hidden, MOST_WIDE),
            ("numbers in an embedding", self.embedding, MOST_WIDE),
            ("numbers in a head", self.head_dim, MOST_WIDE),
            ("heads", self.heads, MOST_WIDE),
            ("numbers in the feed-forward block", self.ffn, MOST_WIDE),
            ("tokens in the vocabulary", self.vocabulary, MOST_TOKENS),
        ];
        if let Some((what, size, most)) =
            sizes.into_iter().find(|(_, size, most)| !(1..=*most).contains(size))
        {
            return Err(fields.error(format!("{size} {what}"), &format!("1 to {most}")));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(fields.error(
                format!("{} heads and {} key/value heads", self.heads, self.kv_heads),
                "a number of heads that the key/value heads divide",
            ));
        }
        if matches!(self.position, Position::Rotary { .. }) && !self.head_dim.is_multiple_of(2) {
            return Err(fields.error(
                format!("head width {}", self.head_dim),
                "an even head width for rotary positions",
            ));
        }
        Ok(self)
    }
}
