//! OPT: layer norm before (or, in 350m, after) each block, learned positions with
//! an offset of 2, an embedding that may be narrower than the layers.

use super::family::Family;
use crate::model::config::{DecoderConfig, NormKind, Position};

/// OPT.
pub(super) static OPT: Family = Family {
    model_types: &["opt"],
    prefixes: &["model.decoder.", "decoder."],
    score_prefixes: &["model.decoder.", "decoder."],
    architectures: ["OPTForCausalLM", "OPTForSequenceClassification"],
    names: &[
        ("embedding", "embed_tokens"),
        ("positions", "embed_positions"),
        ("project_in", "project_in"),
        ("layers.{}.attention_norm", "layers.{}.self_attn_layer_norm"),
        ("layers.{}.attention.query", "layers.{}.self_attn.q_proj"),
        ("layers.{}.attention.key", "layers.{}.self_attn.k_proj"),
        ("layers.{}.attention.value", "layers.{}.self_attn.v_proj"),
        ("layers.{}.attention.output", "layers.{}.self_attn.out_proj"),
        ("layers.{}.ffn_norm", "layers.{}.final_layer_norm"),
        ("layers.{}.ffn.up", "layers.{}.fc1"),
        ("layers.{}.ffn.down", "layers.{}.fc2"),
        ("norm", "final_layer_norm"),
        ("project_out", "project_out"),
    ],
    adapted: &["q_proj", "v_proj"],
    stored_in_out: false,
    config: |fields| {
        let hidden = fields.size("hidden_size")?;
        let heads = fields.size("num_attention_heads")?;
        let bias = fields.flag_or("enable_bias", true)?;
        DecoderConfig {
            vocabulary: fields.size("vocab_size")?,
            hidden,
            embedding: fields.size_or("word_embed_proj_dim", hidden)?,
            layers: fields.size("num_hidden_layers")?,
            heads,
            kv_heads: heads,
            head_dim: hidden / heads,
            ffn: fields.size("ffn_dim")?,
            positions: fields.size("max_position_embeddings")?,
            norm: NormKind::Layer,
            norm_eps: 1e-5,
            norm_first: fields.flag_or("do_layer_norm_before", true)?,
            norm_after: false,
            embedding_scale: None,
            position: Position::Learned { offset: 2 },
            window: None,
            attention_scale: None,
            activation: fields.activation("activation_function", "relu")?,
            gated: false,
            fused_qkv: false,
            head_norm: false,
            qkv_bias: bias,
            output_bias: bias,
            ffn_bias: bias,
            tied: fields.flag_or("tie_word_embeddings", true)?,
        }
        .checked(fields)
    },
};
