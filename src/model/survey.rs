//! What the files of a model amount to, told from their headers: its shape, the tensors that
//! nobody reads, and why it cannot be read at all.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::parameters::{ParameterKind, parameters};
use super::settings::read_config;
use super::weights::Weights;
use super::{DecoderConfig, Family, ModelError, ModelFiles};

/// Tensors that a message names.
const NAMED: usize = 4;

/// What a model is, before its weights are read.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Names and layout of its files.
    pub family: &'static Family,
    /// Its shape, as the weights have it.
    pub config: DecoderConfig,
    /// `config.json`, corrected where the weights say otherwise.
    pub json: Value,
    /// What is worth knowing of it, in sentences.
    pub warnings: Vec<String>,
    /// What stands before the names of the backbone's tensors.
    pub(super) prefix: &'static str,
    /// Whether it has a scalar head.
    pub(super) scored: bool,
}

/// Look at a model's files.
///
/// # Errors
///
/// A missing or damaged file, an unsupported or quantised model, a head without weights.
pub fn survey(files: &ModelFiles) -> Result<Survey, ModelError> {
    read_config(files)?;
    Survey::of(&Weights::open(files.base())?, files)
}

impl Survey {
    pub(super) fn of(weights: &Weights, files: &ModelFiles) -> Result<Self, ModelError> {
        let (family, mut config, mut json) = read_config(files)?;
        refuse_quantised(weights, files, &json)?;
        super::reward::check_labels(weights, files)?;
        let embedding = family.stored("embedding.weight").unwrap_or_default();
        let has_embedding = |prefix: &&&str| weights.contains(&format!("{prefix}{embedding}"));
        let prefix = family.prefixes.iter().find(has_embedding).unwrap_or(&family.prefixes[0]);
        let (head, scored) = (weights.contains(HEAD), weights.contains(super::reward::SCORE));
        let mut warnings = Vec::new();
        // A sequence classifier's file has no language-model head.
        config.tied |= !head && scored;
        if !config.tied && !head {
            return Err(ModelError::Config {
                path: files.base().path("config.json"),
                found:
                    "the head is not tied to the embedding, and the weights lack “lm_head.weight”"
                        .to_owned(),
                expected: "that tensor, or \"tie_word_embeddings\": true".to_owned(),
            });
        }
        if config.tied && head && weights.differ(HEAD, &format!("{prefix}{embedding}"))? {
            // As transformers 5 does: what was stored apart was trained apart.
            config.tied = false;
            json["tie_word_embeddings"] = json!(false);
            warnings.push(format!(
                "{}: “{HEAD}” differs from the embedding, although config.json ties them (tie_word_embeddings): the head of the file is used",
                weights.path().display()
            ));
        }
        let found = Self { family, config, json, warnings: Vec::new(), prefix, scored };
        found.check_shapes(weights)?;
        warnings.extend(found.unread(weights));
        Ok(Self { warnings, ..found })
    }

    /// The name of a parameter in the files.
    fn stored(&self, path: &str) -> String {
        match path {
            "head.weight" => HEAD.to_owned(),
            "score.weight" => path.to_owned(),
            _ => {
                let name = self.family.stored(path).unwrap_or_else(|| path.to_owned());
                format!("{}{name}", self.prefix)
            }
        }
    }

    /// Whether the file holds every parameter in the size that `config.json` gives it, before
    /// anything is made of those sizes.
    fn check_shapes(&self, weights: &Weights) -> Result<(), ModelError> {
        for parameter in parameters(&self.config, false) {
            let name = self.stored(&parameter.path);
            let tensor = weights.get(&name)?;
            let [rows, columns] = parameter.shape;
            let expected = match parameter.kind {
                ParameterKind::Vector => vec![columns],
                ParameterKind::Linear if !self.family.stored_in_out => vec![columns, rows],
                ParameterKind::Linear | ParameterKind::Table => vec![rows, columns],
            };
            if tensor.shape != expected {
                let (path, found) = (tensor.file.to_owned(), tensor.shape.to_vec());
                return Err(ModelError::Shape { path, name, found, expected });
            }
        }
        Ok(())
    }

    /// A sentence on the tensors that no parameter is read from.
    fn unread(&self, weights: &Weights) -> Option<String> {
        let read: HashSet<String> =
            parameters(&self.config, self.scored).iter().map(|p| self.stored(&p.path)).collect();
        let left: Vec<&str> = weights
            .names()
            .filter(|name| !read.contains(*name) && !is_buffer(name) && *name != HEAD)
            .collect();
        if left.is_empty() {
            return None;
        }
        let named = left.iter().take(NAMED).map(|name| format!("“{name}”"));
        let named = named.collect::<Vec<_>>().join(", ");
        let more = match left.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let hint = if left.iter().all(|name| name.ends_with(".bias")) {
            " (attention_bias and mlp_bias say which biases there are)"
        } else {
            ""
        };
        Some(format!(
            "{}: {} of {} tensors are not read, since config.json has no place for them: {named}{more}; is it from the same model?{hint}",
            weights.path().display(),
            left.len(),
            weights.names().count(),
        ))
    }
}

pub(super) const HEAD: &str = "lm_head.weight";

/// Tensors that older programs stored although they follow from the settings: tables of rotary
/// positions, masks of attention, numbers of positions.
fn is_buffer(name: &str) -> bool {
    const ENDS: [&str; 8] = [
        "inv_freq",
        "cos_cached",
        "sin_cached",
        ".attn.bias",
        ".attn.masked_bias",
        ".attention.bias",
        ".attention.masked_bias",
        "position_ids",
    ];
    ENDS.iter().any(|end| name.ends_with(end))
}

/// What quantised checkpoints store beside or in place of a weight.
const QUANTISED: [(&str, &str); 14] = [
    (".absmax", "bitsandbytes"),
    (".quant_map", "bitsandbytes"),
    (".qweight", "GPTQ or AWQ"),
    (".qzeros", "GPTQ or AWQ"),
    (".g_idx", "GPTQ"),
    (".nested_absmax", "bitsandbytes"),
    (".SCB", "bitsandbytes"),
    (".weight_scale_inv", "FP8"),
    (".weight_scale", "FP8 or compressed-tensors"),
    (".weight_packed", "compressed-tensors"),
    (".weight_zero_point", "compressed-tensors"),
    (".scales", "GPTQ or AWQ"),
    ("_blocks", "MXFP4"),
    ("_scales", "MXFP4"),
];

/// Refuse weights that are stored in a few bits with scales beside them.
fn refuse_quantised(weights: &Weights, files: &ModelFiles, json: &Value) -> Result<(), ModelError> {
    let mark = |name: &str| {
        let shows =
            |(part, _): &&(&str, &str)| name.ends_with(part) || name.contains(".quant_state.");
        QUANTISED.iter().find(shows).map(|(_, method)| *method)
    };
    let config = json.get("quantization_config").filter(|c| c.is_object());
    // GPTQ's own file, of the time before it was part of config.json.
    let declared = config.is_some() || files.base().bytes("quantize_config.json")?.is_some();
    let marked = weights.names().find_map(|name| Some((name, mark(name)?)));
    let narrow = |name: &&str| weights.is_narrow(name) && !is_buffer(name);
    let narrow = || Some((weights.names().find(narrow)?, "no method named"));
    let found = if declared { marked.or_else(narrow) } else { marked };
    let Some((tensor, guess)) = found else { return Ok(()) };
    let method = config.and_then(|c| c.get("quant_method")).and_then(Value::as_str);
    Err(ModelError::Quantised {
        path: weights.path().to_owned(),
        method: method.unwrap_or(guess).to_owned(),
        tensor: tensor.to_owned(),
        whose: match files.adapter() {
            Some(_) => " (in base_model_name_or_path of adapter_config.json)",
            None => "",
        },
    })
}
