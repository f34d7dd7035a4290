//! GPT-2: layer norm, learned positions, fused query/key/value, `[in, out]` weights.

use super::{Family, Part};
use crate::model::config::{DecoderConfig, NormKind, Position};

/// GPT-2.
pub(super) static GPT2: Family = Family {
    model_types: &["gpt2"],
    prefixes: &["transformer.", ""],
    score_prefixes: &["transformer.", ""],
    architectures: ["GPT2LMHeadModel", "GPT2ForSequenceClassification"],
    names: &[
        ("embedding", "wte", Part::Whole),
        ("positions", "wpe", Part::Whole),
        ("layers.{}.attention_norm", "h.{}.ln_1", Part::Whole),
        ("layers.{}.attention.query", "h.{}.attn.c_attn", Part::Third(0)),
        ("layers.{}.attention.key", "h.{}.attn.c_attn", Part::Third(1)),
        ("layers.{}.attention.value", "h.{}.attn.c_attn", Part::Third(2)),
        ("layers.{}.attention.output", "h.{}.attn.c_proj", Part::Whole),
        ("layers.{}.ffn_norm", "h.{}.ln_2", Part::Whole),
        ("layers.{}.ffn.up", "h.{}.mlp.c_fc", Part::Whole),
        ("layers.{}.ffn.down", "h.{}.mlp.c_proj", Part::Whole),
        ("norm", "ln_f", Part::Whole),
    ],
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
            position: Position::Learned { offset: 0 },
            activation: fields.activation("activation_function", "gelu_new")?,
            gated: false,
            qkv_bias: true,
            output_bias: true,
            ffn_bias: true,
            tied: fields.flag_or("tie_word_embeddings", true)?,
        }
        .checked(fields)
    },
};
