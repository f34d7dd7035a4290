//! The model families: how each names its settings and its tensors.
//!
//! A new family is one file here and one line in [`FAMILIES`].

mod family;
mod gemma3;
mod gpt2;
mod llama;
mod opt;

pub use self::family::Family;

/// All families.
pub const FAMILIES: &[&Family] = &[
    &llama::LLAMA,
    &llama::MISTRAL,
    &llama::QWEN2,
    &llama::QWEN3,
    &gemma3::GEMMA3,
    &gpt2::GPT2,
    &opt::OPT,
];

/// The family of a `model_type`.
pub fn family_of(model_type: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.model_types.contains(&model_type)).copied()
}
