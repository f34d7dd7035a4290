//! Gemma 3, text only: norms around each block whose weights are counted from one, scaled
//! embeddings, and layers in turn that see a window of tokens or all of them.

use serde_json::Value;

use super::family::Family;
use super::llama::{BASE, Biases, config, rotary_of, windowed_layers};
use crate::legible::quoted;
use crate::model::config::{DecoderConfig, Fields, ModelError, NormKind, Position, Window};

/// Gemma 3's language model.
pub(super) static GEMMA3: Family = Family {
    model_types: &["gemma3_text"],
    architectures: ["Gemma3ForCausalLM", "Gemma3TextForSequenceClassification"],
    names: &[
        ("embedding", "embed_tokens"),
        ("layers.{}.attention_norm", "layers.{}.input_layernorm"),
        ("layers.{}.attention.query", "layers.{}.self_attn.q_proj"),
        ("layers.{}.attention.key", "layers.{}.self_attn.k_proj"),
        ("layers.{}.attention.value", "layers.{}.self_attn.v_proj"),
        ("layers.{}.attention.output", "layers.{}.self_attn.o_proj"),
        ("layers.{}.attention.query_norm", "layers.{}.self_attn.q_norm"),
        ("layers.{}.attention.key_norm", "layers.{}.self_attn.k_norm"),
        ("layers.{}.attention_norm_after", "layers.{}.post_attention_layernorm"),
        ("layers.{}.ffn_norm", "layers.{}.pre_feedforward_layernorm"),
        ("layers.{}.ffn.gate", "layers.{}.mlp.gate_proj"),
        ("layers.{}.ffn.up", "layers.{}.mlp.up_proj"),
        ("layers.{}.ffn.down", "layers.{}.mlp.down_proj"),
        ("layers.{}.ffn_norm_after", "layers.{}.post_feedforward_layernorm"),
        ("norm", "norm"),
    ],
    config: |fields| {
        plain_scores(fields)?;
        // What a file may leave out are the family's own defaults, whatever the hidden width.
        let head_dim = fields.size_or("head_dim", 256)?;
        let scalar = fields.number_or("query_pre_attn_scalar", 256.0)?;
        let base = config(fields, Biases::both(fields)?)?;
        DecoderConfig {
            head_dim,
            positions: fields.size_or("max_position_embeddings", 131_072)?,
            norm: NormKind::RmsPlusOne,
            norm_after: true,
            embedding_scale: Some((base.hidden as f64).sqrt()),
            position: rotary(fields, "full_attention", "rope_theta", 1e6)?,
            window: window(fields, base.layers)?,
            attention_scale: Some(scalar.powf(-0.5)),
            activation: fields.activation("hidden_activation", "gelu_pytorch_tanh")?,
            head_norm: true,
            tied: fields.flag_or("tie_word_embeddings", true)?,
            ..base
        }
        .checked(fields)
    },
    ..BASE
};

/// Settings of the wider family that change scores here have no part in this decoder.
fn plain_scores(fields: &Fields<'_>) -> Result<(), ModelError> {
    for name in ["attn_logit_softcapping", "final_logit_softcapping"] {
        if let Some(cap) = fields.json.get(name).filter(|cap| !cap.is_null()) {
            return Err(fields.error(format!("“{name}” is {}", quoted(cap)), "null, as in Gemma 3"));
        }
    }
    if fields.flag_or("use_bidirectional_attention", false)? {
        let found = "“use_bidirectional_attention” is true".to_owned();
        return Err(fields.error(found, "false: a decoder sees what comes before"));
    }
    Ok(())
}

/// The layers with a window: all but every sixth, where the file does not list them.
fn window(fields: &Fields<'_>, layers: usize) -> Result<Option<Window>, ModelError> {
    let every = fields.size_or("sliding_window_pattern", 6)?;
    let layers = windowed_layers(fields, layers, |i| (i + 1) % every != 0)?;
    let tokens = fields.size_or("sliding_window", 4096)?;
    let position = rotary(fields, "sliding_attention", "rope_local_base_freq", 1e4)?;
    Ok(Some(Window { tokens, layers, position }))
}

/// Rotary positions of one kind of layer: an object for each in `rope_parameters`, or a theta
/// for each and, for those that see everything, `rope_scaling` in older files.
fn rotary(
    fields: &Fields<'_>,
    kind: &str,
    older_theta: &str,
    default_theta: f64,
) -> Result<Position, ModelError> {
    let newer = fields.json.get("rope_parameters").and_then(|all| all.get(kind));
    let older = fields.json.get("rope_scaling").filter(|_| kind == "full_attention");
    let theta = fields.number_or(older_theta, default_theta)?;
    rotary_of(fields, newer.or(older).unwrap_or(&Value::Null), theta)
}
