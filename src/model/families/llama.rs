//! Llama (SmolLM2), Mistral, Qwen2 and Qwen3: RMS norm, rotary positions, gated
//! feed-forward, grouped heads, and windows in some.

use serde_json::Value;

use super::family::Family;
use crate::legible::quoted;
use crate::model::config::{
    DecoderConfig, Fields, ModelError, NormKind, Position, RotaryScaling, Window,
};

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

pub(super) const BASE: Family = Family {
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

/// Mistral, as Llama; a window, where there is one, is every layer's.
pub(super) static MISTRAL: Family = Family {
    model_types: &["mistral"],
    architectures: ["MistralForCausalLM", "MistralForSequenceClassification"],
    config: |fields| {
        let config = config(fields, Biases { qkv: false, output: false })?;
        let window = match fields.json.get("sliding_window") {
            Some(Value::Null) => None,
            _ => Some(Window {
                tokens: fields.size_or("sliding_window", 4096)?,
                layers: vec![true; config.layers],
                position: config.position,
            }),
        };
        Ok(DecoderConfig { window, ..config })
    },
    ..BASE
};

/// Qwen2 and 2.5: as Llama, with biases on query, key and value only.
pub(super) static QWEN2: Family = Family {
    model_types: &["qwen2"],
    architectures: ["Qwen2ForCausalLM", "Qwen2ForSequenceClassification"],
    config: |fields| {
        let config = config(fields, Biases { qkv: true, output: false })?;
        Ok(DecoderConfig { window: upper_window(fields, &config)?, ..config })
    },
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
        let window = upper_window(fields, &config)?;
        Ok(DecoderConfig { head_norm: true, head_dim, window, ..config })
    },
    ..BASE
};

#[derive(Clone, Copy)]
pub(super) struct Biases {
    pub(super) qkv: bool,
    pub(super) output: bool,
}

impl Biases {
    pub(super) fn both(fields: &Fields<'_>) -> Result<Self, ModelError> {
        let bias = fields.flag_or("attention_bias", false)?;
        Ok(Self { qkv: bias, output: bias })
    }
}

/// The window of Qwen's upper layers, where it is switched on.
fn upper_window(fields: &Fields<'_>, config: &DecoderConfig) -> Result<Option<Window>, ModelError> {
    if !fields.flag_or("use_sliding_window", false)?
        || fields.json.get("sliding_window").is_some_and(Value::is_null)
    {
        return Ok(None);
    }
    let first = match fields.json.get("max_window_layers").and_then(Value::as_u64) {
        Some(0) => 0,
        _ => fields.size_or("max_window_layers", 28)?,
    };
    let layers = windowed_layers(fields, config.layers, |i| i >= first)?;
    let tokens = fields.size_or("sliding_window", 4096)?;
    let window = Window { tokens, layers, position: config.position };
    Ok(window.layers.contains(&true).then_some(window))
}

/// Which layers see the last tokens only; `otherwise` says it where `layer_types` is absent.
pub(super) fn windowed_layers(
    fields: &Fields<'_>,
    count: usize,
    otherwise: impl Fn(usize) -> bool,
) -> Result<Vec<bool>, ModelError> {
    let types = match fields.json.get("layer_types") {
        None | Some(Value::Null) => return Ok((0..count).map(otherwise).collect()),
        Some(types) => types,
    };
    let kinds = types.as_array().filter(|kinds| kinds.len() == count).and_then(|kinds| {
        let windowed = |kind: &Value| match kind.as_str() {
            Some("full_attention") => Some(false),
            Some("sliding_attention") => Some(true),
            _ => None,
        };
        kinds.iter().map(windowed).collect()
    });
    kinds.ok_or_else(|| {
        fields.error(
            format!("“layer_types” is {}", quoted(types)),
            &format!("full_attention or sliding_attention for each of the {count} layers"),
        )
    })
}

pub(super) fn config(fields: &Fields<'_>, biases: Biases) -> Result<DecoderConfig, ModelError> {
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
        norm_after: false,
        embedding_scale: None,
        position: rotary(fields, 10_000.0)?,
        window: None,
        attention_scale: None,
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
    let theta = fields.number_or("rope_theta", default_theta)?;
    rotary_of(fields, nested.unwrap_or(&Value::Null), theta)
}

/// Rotary positions by one object of settings, which may lack its theta.
pub(super) fn rotary_of(
    fields: &Fields<'_>,
    json: &Value,
    theta: f64,
) -> Result<Position, ModelError> {
    let inner = Fields { path: fields.path, json };
    let theta = inner.number_or("rope_theta", theta)?;
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
            return Err(
                fields.error(format!("rope type “{}”", quoted(other)), "default, linear or llama3")
            );
        }
    };
    Ok(Position::Rotary { theta, scaling })
}
