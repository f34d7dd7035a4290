//! The parameters of a decoder, told from its configuration alone.

use super::{DecoderConfig, NormKind, Position};

/// How a parameter is used, which decides how it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// Read row by row: embeddings, positions, the language-model head.
    Table,
    /// The matrix of a linear layer, which an adapter can join.
    Linear,
    /// Of a norm, or a bias.
    Vector,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its path here, such as `layers.3.attention.query.weight`.
    pub path: String,
    /// Rows and columns; a vector has one row.
    pub shape: [usize; 2],
    /// How it is used.
    pub kind: ParameterKind,
}

impl Parameter {
    /// How many numbers it holds.
    pub fn count(&self) -> u64 {
        self.shape.iter().map(|&n| n as u64).product()
    }
}

/// Whether a matrix is read row by row, and so stored here as it is in files.
pub(super) fn is_table(path: &str) -> bool {
    matches!(path, "embedding.weight" | "positions.weight" | "head.weight")
}

/// All parameters of a decoder; `scored` adds a scalar head.
pub fn parameters(c: &DecoderConfig, scored: bool) -> Vec<Parameter> {
    let mut list = List { found: Vec::new(), bias_in_norms: c.norm == NormKind::Layer };
    list.table("embedding", c.vocabulary, c.embedding);
    if let Position::Learned { offset } = c.position {
        list.table("positions", c.positions + offset, c.hidden);
    }
    for i in 0..c.layers {
        list.layer(&format!("layers.{i}"), c);
    }
    if c.norm_first {
        list.norm("norm", c.hidden);
    }
    if c.embedding != c.hidden {
        list.linear("project_in", c.embedding, c.hidden, false);
        list.linear("project_out", c.hidden, c.embedding, false);
    }
    if !c.tied {
        list.table("head", c.vocabulary, c.embedding);
    }
    if scored {
        list.linear("score", c.embedding, 1, false);
    }
    list.found
}

struct List {
    found: Vec<Parameter>,
    bias_in_norms: bool,
}

impl List {
    fn push(&mut self, path: String, shape: [usize; 2], kind: ParameterKind) {
        self.found.push(Parameter { path, shape, kind });
    }

    fn table(&mut self, path: &str, rows: usize, width: usize) {
        self.push(format!("{path}.weight"), [rows, width], ParameterKind::Table);
    }

    fn linear(&mut self, path: &str, input: usize, output: usize, bias: bool) {
        self.push(format!("{path}.weight"), [input, output], ParameterKind::Linear);
        if bias {
            self.push(format!("{path}.bias"), [1, output], ParameterKind::Vector);
        }
    }

    fn norm(&mut self, path: &str, width: usize) {
        self.push(format!("{path}.weight"), [1, width], ParameterKind::Vector);
        if self.bias_in_norms {
            self.push(format!("{path}.bias"), [1, width], ParameterKind::Vector);
        }
    }

    fn layer(&mut self, path: &str, c: &DecoderConfig) {
        let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let at = |part: &str| format!("{path}.{part}");
        self.norm(&at("attention_norm"), c.hidden);
        if c.fused_qkv {
            self.linear(&at("attention.fused"), c.hidden, q + 2 * kv, c.qkv_bias);
        } else {
            self.linear(&at("attention.query"), c.hidden, q, c.qkv_bias);
            self.linear(&at("attention.key"), c.hidden, kv, c.qkv_bias);
            self.linear(&at("attention.value"), c.hidden, kv, c.qkv_bias);
        }
        self.linear(&at("attention.output"), q, c.hidden, c.output_bias);
        if c.head_norm {
            self.norm(&at("attention.query_norm"), c.head_dim);
            self.norm(&at("attention.key_norm"), c.head_dim);
        }
        if c.norm_after {
            self.norm(&at("attention_norm_after"), c.hidden);
        }
        self.norm(&at("ffn_norm"), c.hidden);
        if c.gated {
            self.linear(&at("ffn.gate"), c.hidden, c.ffn, c.ffn_bias);
        }
        self.linear(&at("ffn.up"), c.hidden, c.ffn, c.ffn_bias);
        self.linear(&at("ffn.down"), c.ffn, c.hidden, c.ffn_bias);
        if c.norm_after {
            self.norm(&at("ffn_norm_after"), c.hidden);
        }
    }
}
