//! What a family of checkpoints is: how it names its settings and its tensors.

use crate::model::config::{DecoderConfig, Fields, ModelError};

/// A family of checkpoints.
#[derive(Debug)]
pub struct Family {
    /// Values of `model_type` in `config.json`.
    pub model_types: &'static [&'static str],
    /// What may stand before the names of the backbone's tensors; the first is written.
    pub prefixes: &'static [&'static str],
    /// The same in sequence-classification checkpoints; the first is written.
    pub score_prefixes: &'static [&'static str],
    /// Class names: language model, sequence classifier.
    pub architectures: [&'static str; 2],
    /// Module path here (`{}` is the layer) → name there, without prefix and `.weight`/`.bias`.
    pub names: &'static [(&'static str, &'static str)],
    /// Last parts of the names that PEFT adapts where nothing is said.
    pub adapted: &'static [&'static str],
    /// Whether linear weights are stored `[in, out]` as here, or `[out, in]`.
    pub stored_in_out: bool,
    /// Reads the settings.
    pub(crate) config: fn(&Fields<'_>) -> Result<DecoderConfig, ModelError>,
}

impl Family {
    /// The name of a parameter, without prefix; `path` is a path here, such as
    /// `layers.3.attention.query.weight`.
    pub fn stored(&self, path: &str) -> Option<String> {
        let (module, kind) = path.rsplit_once('.')?;
        Some(format!("{}.{kind}", self.module(module)?))
    }

    /// The name of a module, without prefix.
    pub fn module(&self, path: &str) -> Option<String> {
        let (pattern, layer) = abstract_layer(path);
        let (_, theirs) = self.names.iter().find(|(ours, _)| *ours == pattern)?;
        Some(theirs.replace("{}", &layer))
    }
}

/// `layers.3.ffn.up` → (`layers.{}.ffn.up`, `3`).
fn abstract_layer(module: &str) -> (String, String) {
    match module.strip_prefix("layers.").and_then(|rest| rest.split_once('.')) {
        Some((layer, rest)) => (format!("layers.{{}}.{rest}"), layer.to_owned()),
        None => (module.to_owned(), String::new()),
    }
}
