//! One decoder, configured from `config.json`: its parts, its checkpoints, its samples.

mod attention;
mod checkpoint;
mod config;
mod decoder;
mod families;
mod files;
mod generate;
mod layers;
mod log_probs;
mod rotary;

pub use attention::{Attention, Cache};
pub use checkpoint::{
    Checkpoint, Get, SavedTensor, Storage, build, collect_tensors, load, load_named, read_config,
    save, save_tensors, take_tensors,
};
pub use config::{
    Activation, DecoderConfig, ModelError, NormKind, Position, RotaryScaling, SpecialTokens,
};
pub use decoder::{Decoder, DecoderInput, LayerStack};
pub use families::{FAMILIES, Family, Part, family_of};
pub use files::{Bytes, ModelFiles};
pub use generate::{Generated, Sampling, generate};
pub use layers::{Embedding, Linear, Norm};
pub use log_probs::{floats, input, sequence_log_probs, sequence_scores, token_log_probs};
