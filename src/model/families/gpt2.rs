//! GPT-2: layer norm, learned positions, fused query/key/value, `[in, out]` weights.

use super::family::Family;
use crate::model::config::{DecoderConfig, NormKind, Position};

/// GPT-2.
pub(super) static GPT2: Family = Family {
    model_types: &["gpt2"],
    prefixes: &["transformer.", ""],
    score_prefixes: &["transformer.", ""],
    architectures: ["GPT2LMHeadModel", "GPT2ForSequenceClassification"],
    names: &[
        ("embedding", "wte"),
        ("positions", "wpe"),
        ("layers.{}.attention_norm", "h.{}.ln_1"),
        ("layers.{}.attention.fused", "h.{}.attn.c_attn"),
        ("layers.{}.attention.output", "h.{}.attn.c_proj"),
        ("layers.{}.ffn_norm", "h.{}.ln_2"),
        ("layers.{}.ffn.up", "h.{}.mlp.c_fc"),
        ("layers.{}.ffn.down", "h.{}.mlp.c_proj"),
        ("norm", "ln_f"),
    ],
    adapted: &["c_attn"],
    stored_in_out: true,
    config: |fields| {
        let hidden = fields.size("n_embd")?;
        let heads = fields.size("n_head")?;
        DecoderConfig {
            vocabulary: fields.size("vocab_size")?,
            hidden,
            embedding: hidden,
            layers: fields.size("n_layer")?,
            heads,
            kv_heads: heads,
            head_dim: hidden / heads,
            ffn: fields.size_or("n_inner", 4 * hidden)?,
            positions: fields.size("n_positions")?,
            norm: NormKind::Layer,
            norm_eps: fields.number_or("layer_norm_epsilon", 1e-5)?,
            norm_first: true,
            norm_after: false,
            embedding_scale: None,
            position: Position::Learned { offset: 0 },
            window: None,
            attention_scale: None,
            activation: fields.activation("activation_function", "gelu_new")?,
            gated: false,
            fused_qkv: true,
            head_norm: false,
            qkv_bias: true,
            output_bias: true,
            ffn_bias: true,
            tied: fields.flag_or("tie_word_embeddings", true)?,
        }
        .checked(fields)
    },
};
