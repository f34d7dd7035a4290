//! Llama (SmolLM2), Mistral, Qwen2 and Qwen3: RMS norm, rotary positions, gated
//! feed-forward, grouped heads.

use serde_json::Value;

use super::Family;
use crate::model::config::{DecoderConfig, Fields, ModelError, NormKind, Position, RotaryScaling};

const NAMES: &[(&str, &str)] = &[
    ("embedding", "embed_tokens"),
    ("layers.{}.attention_norm", "layers.{}.input_layernorm"),
    ("layers.{}.attention.query", "layers.{}.self_attn.q_proj"),
    ("layers.{}.attention.key", "layers.{}.self_attn.k_proj"),
    ("layers.{}.attention.value", "layers.{}.self_attn.v_proj"),
    ("layers.{}.attention.output", "layers.{}.self_attn.o_proj"),
    ("layers.{}.attention.query_norm", "layers.{}.self_attn.q_norm"),
    ("layers.{}.attention.key_norm", "layers.{}.self_attn.k_norm"),
    ("layers.{}.ffn_norm", "layers.{}.post_attention_layernorm"),
    ("layers.{}.ffn.gate", "layers.{}.mlp.gate_proj"),
    ("layers.{}.ffn.up", "layers.{}.mlp.up_proj"),
    ("layers.{}.ffn.down", "layers.{}.mlp.down_proj"),
    ("norm", "norm"),
];

const BASE: Family = Family {
    model_types: &[],
    prefixes: &["model.", ""],
    score_prefixes: &["model.", ""],
    architectures: ["", ""],
    names: NAMES,
    adapted: &["q_proj", "v_proj"],
    stored_in_out: false,
    config: |fields| config(fields, Biases { qkv: false, output: false }),
};

/// Llama 2/3, SmolLM2.
pub(super) static LLAMA: Family = Family {
    model_types: &["llama"],
    architectures: ["LlamaForCausalLM", "LlamaForSequenceClassification"],
    config: |fields| config(fields, Biases::both(fields)?),
    ..BASE
};

/// Mistral, as Llama; with full attention only.
pub(super) static MISTRAL: Family = Family {
    model_types: &["mistral"],
    architectures: ["MistralForCausalLM", "MistralForSequenceClassification"],
    config: |fields| {
        full_attention(fields, "sliding_window")?;
        config(fields, Biases { qkv: false, output: false })
    },
    ..BASE
};

/// Qwen2 and 2.5: as Llama, with biases on query, key and value only.
pub(super) static QWEN2: Family = Family {
    model_types: &["qwen2"],
    architectures: ["Qwen2ForCausalLM", "Qwen2ForSequenceClassification"],
    config: |fields| config(fields, Biases { qkv: true, output: false }),
    ..BASE
};

/// Qwen3: as Llama, with a norm over each query and key head before rotation.
pub(super) static QWEN3: Family = Family {
    model_types: &["qwen3"],
    architectures: ["Qwen3ForCausalLM", "Qwen3ForSequenceClassification"],
    config: |fields| {
        // The family's own default, whatever the hidden width.
        let head_dim = fields.size_or("head_dim", 128)?;
        let config = config(fields, Biases::both(fields)?)?;
        Ok(DecoderConfig { head_norm: true, head_dim, ..config })
    },
    ..BASE
};

#[derive(Clone, Copy)]
struct Biases {
    qkv: bool,
    output: bool,
}

impl Biases {
    fn both(fields: &Fields<'_>) -> Result<Self, ModelError> {
        let bias = fields.flag_or("attention_bias", false)?;
        Ok(Self { qkv: bias, output: bias })
    }
}

/// A window that is shorter than the positions would hide keys.
fn full_attention(fields: &Fields<'_>, name: &str) -> Result<(), ModelError> {
    let positions = fields.size_or("max_position_embeddings", 2048)?;
    let window = fields.size_or(name, positions)?;
    if window < positions {
        return Err(fields.error(
            format!("“{name}” is {window}, below the {positions} positions"),
            "full attention: null, or at least as many tokens as there are positions (lower max_position_embeddings to the window if your texts are shorter)",
        ));
    }
    Ok(())
}

fn config(fields: &Fields<'_>, biases: Biases) -> Result<DecoderConfig, ModelError> {
    if fields.flag_or("use_sliding_window", false)? {
        full_attention(fields, "sliding_window")?;
    }
    let hidden = fields.size("hidden_size")?;
    let heads = fields.size("num_attention_heads")?;
    let ffn_bias = fields.flag_or("mlp_bias", false)?;
    DecoderConfig {
        vocabulary: fields.size("vocab_size")?,
        hidden,
        embedding: hidden,
        layers: fields.size("num_hidden_layers")?,
        heads,
        kv_heads: fields.size_or("num_key_value_heads", heads)?,
        head_dim: fields.size_or("head_dim", hidden / heads)?,
        ffn: fields.size("intermediate_size")?,
        positions: fields.size_or("max_position_embeddings", 2048)?,
        norm: NormKind::Rms,
        norm_eps: fields.number_or("rms_norm_eps", 1e-6)?,
        norm_first: true,
        position: rotary(fields, 10_000.0)?,
        activation: fields.activation("hidden_act", "silu")?,
        gated: true,
        fused_qkv: false,
        head_norm: false,
        qkv_bias: biases.qkv,
        output_bias: biases.output,
        ffn_bias,
        tied: fields.flag_or("tie_word_embeddings", false)?,
    }
    .checked(fields)
}

/// `rope_theta` and `rope_scaling`, or both inside `rope_parameters` in newer files.
fn rotary(fields: &Fields<'_>, default_theta: f64) -> Result<Position, ModelError> {
    let json = fields.json;
    let nested = json.get("rope_parameters").or_else(|| json.get("rope_scaling"));
    let empty = Value::Null;
    let inner = Fields { path: fields.path, json: nested.unwrap_or(&empty) };
    let outer_theta = fields.number_or("rope_theta", default_theta)?;
    let theta = inner.number_or("rope_theta", outer_theta)?;
    let kind = inner.json.get("rope_type").or_else(|| inner.json.get("type"));
    let scaling = match kind.and_then(Value::as_str).unwrap_or("default") {
        "default" => RotaryScaling::None,
        "linear" => RotaryScaling::Linear { factor: inner.number_or("factor", 1.0)? },
        "llama3" => RotaryScaling::Llama3 {
            factor: inner.number_or("factor", 8.0)?,
            low: inner.number_or("low_freq_factor", 1.0)?,
            high: inner.number_or("high_freq_factor", 4.0)?,
            original: inner.number_or("original_max_position_embeddings", 8192.0)?,
        },
        other => {
            return Err(fields.error(format!("rope type “{other}”"), "default, linear or llama3"));
        }
    };
    Ok(Position::Rotary { theta, scaling })
}
