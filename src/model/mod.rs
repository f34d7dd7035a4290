//! One decoder, configured from `config.json`: its parts, its checkpoints, its samples.

mod adapt;
mod adapter;
mod attention;
mod build;
mod checkpoint;
mod config;
mod context;
mod contrast;
mod decoder;
mod difficulty;
mod distil;
mod families;
mod files;
mod footprint;
mod generate;
mod layer;
mod layers;
mod load;
mod log_probs;
mod lora;
mod numbers;
mod parameters;
mod peft;
mod precision;
mod readout;
mod reward;
mod rotary;
mod save;
mod settings;
mod survey;
mod tensors;
mod weights;

pub use adapt::add_adapter;
pub use adapter::{Adapter, LoraSettings, Targets};
pub use attention::{Attention, Cache};
pub use build::{Get, build};
pub use checkpoint::Checkpoint;
pub use config::{
    Activation, DecoderConfig, ModelError, NormKind, Position, RotaryScaling, SpecialTokens, Window,
};
pub use contrast::Contrast;
pub use decoder::{Decoder, DecoderInput};
pub use difficulty::token_ranks;
pub use distil::Teacher;
pub use families::{FAMILIES, Family, family_of};
pub(crate) use files::Given;
pub use files::{Bytes, ModelFiles};
pub use footprint::{BatchShape, Footprint, MemoryEstimate, PassKind};
pub use generate::{Generated, Sampling, generate};
pub use layer::LayerStack;
pub use layers::{Embedding, Linear, Norm};
pub use load::{load, load_as};
pub use log_probs::{
    Reading, Tails, input, next_token_log_odds, read_sequences, sequence_log_probs,
    sequence_scores, token_log_probs,
};
pub use lora::{Dropout, Lora};
pub use numbers::floats;
pub use parameters::{Parameter, ParameterKind, parameters};
pub use peft::{base_of, read_adapter, save_adapter};
pub use precision::Precision;
#[doc(hidden)]
pub use readout::readout_in_chunks;
pub use reward::{is_reward_model, score_pad};
pub use save::save;
pub use settings::read_config;
pub use survey::{Survey, survey};
pub use tensors::{
    SavedTensor, Storage, blend, collect_tensors, collect_trained, load_named, save_tensors,
    take_tensors,
};

pub(crate) use context::Context;
pub(crate) use log_probs::{ResponseLogProbs, ResponseTargets, ends, rows_at};
pub(crate) use numbers::ints;
pub(crate) use readout::Head;
pub(crate) use save::{GENERATION_FILE, generation_config};
pub(crate) use tensors::{Handle, first_not_finite, save_handles, trained_handles, visit_all};
