//! Llama (SmolLM2, Mistral with full attention) and Qwen2: RMS norm, rotary
//! positions, gated feed-forward, grouped heads.

use serde_json::Value;

use super::{Family, Part};
use crate::model::config::{DecoderConfig, Fields, ModelError, NormKind, Position, RotaryScaling};

const NAMES: &[(&str, &str, Part)] = &[
    ("embedding", "embed_tokens", Part::Whole),
    ("layers.{}.attention_norm", "layers.{}.input_layernorm", Part::Whole),
    ("layers.{}.attention.query", "layers.{}.self_attn.q_proj", Part::Whole),
    ("layers.{}.attention.key", "layers.{}.self_attn.k_proj", Part::Whole),
    ("layers.{}.attention.value", "layers.{}.self_attn.v_proj", Part::Whole),
    ("layers.{}.attention.output", "layers.{}.self_attn.o_proj", Part::Whole),
    ("layers.{}.ffn_norm", "layers.{}.post_attention_layernorm", Part::Whole),
    ("layers.{}.ffn.gate", "layers.{}.mlp.gate_proj", Part::Whole),
    ("layers.{}.ffn.up", "layers.{}.mlp.up_proj", Part::Whole),
    ("layers.{}.ffn.down", "layers.{}.mlp.down_proj", Part::Whole),
    ("norm", "norm", Part::Whole),
];

/// Llama 2/3, SmolLM2, Mistral.
pub(super) static LLAMA: Family = Family {
    model_types: &["llama", "mistral"],
    prefixes: &["model.", ""],
    score_prefixes: &["model.", ""],
    architectures: ["LlamaForCausalLM", "LlamaForSequenceClassification"],
    names: NAMES,
    stored_in_out: false,
    config: |fields| {
        let bias = fields.flag_or("attention_bias", false)?;
        config(fields, 1e-6, 10_000.0, [bias, bias])
    },
};

/// Qwen2 and 2.5: as Llama, with biases on query, key and value only.
pub(super) static QWEN2: Family = Family {
    model_types: &["qwen2"],
    prefixes: &["model.", ""],
    score_prefixes: &["model.", ""],
    architectures: ["Qwen2ForCausalLM", "Qwen2ForSequenceClassification"],
    names: NAMES,
    stored_in_out: false,
    config: |fields| config(fields, 1e-6, 10_000.0, [true, false]),
};

fn config(
    fields: &Fields<'_>,
    eps: f64,
    theta: f64,
    [qkv_bias, output_bias]: [bool; 2],
) -> Result<DecoderConfig, ModelError> {
    if fields.flag_or("use_sliding_window", false)? {
        return Err(fields.error("“use_sliding_window” is true".to_owned(), "full attention"));
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
        norm_eps: fields.number_or("rms_norm_eps", eps)?,
        norm_first: true,
        position: rotary(fields, theta)?,
        activation: fields.activation("hidden_act", "silu")?,
        gated: true,
        qkv_bias,
        output_bias,
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
