//! Where the source of a template stands.

use std::path::Path;

use crate::text::error::TextError;

/// The file that a template may have of its own; it goes before `tokenizer_config.json`.
pub const TEMPLATE_FILE: &str = "chat_template.jinja";

/// Longest template in bytes; the longest known ones have some ten thousand.
pub(super) const MAX_TEMPLATE: usize = 1 << 18;

/// A template file of the user's own.
pub(in crate::text) fn read(path: &Path) -> Result<Vec<u8>, TextError> {
    crate::input::read(path, MAX_TEMPLATE as u64).map_err(|e| TextError::Template {
        path: path.to_owned(),
        line: 0,
        found: format!("{e}; expected a chat template in Jinja (data.chat_template)"),
    })
}

/// `chat_template` of `tokenizer_config.json`: a text, or the default of a list of named ones.
pub(super) fn named_default(
    value: Option<&serde_json::Value>,
    path: &Path,
) -> Result<Option<String>, TextError> {
    use serde_json::Value::{Array, Null, String as Text};
    let wrong = |found: String| Err(TextError::Template { path: path.to_owned(), line: 0, found });
    match value {
        None | Some(Null) => Ok(None),
        Some(Text(source)) => Ok(Some(source.clone())),
        Some(Array(list)) => {
            let text = |item: &serde_json::Value, key: &str| {
                item.get(key).and_then(serde_json::Value::as_str).map(str::to_owned)
            };
            let named = |item| Some((text(item, "name")?, text(item, "template")?));
            let templates: Vec<(String, String)> = list.iter().filter_map(named).collect();
            match templates.iter().find(|(name, _)| name == "default") {
                Some((_, source)) => Ok(Some(source.clone())),
                None => {
                    let names: Vec<&str> = templates.iter().map(|(name, _)| &**name).collect();
                    wrong(format!(
                        "chat_template names {} but no “default”; set data.chat_template to a file with the one to use",
                        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
                    ))
                }
            }
        }
        Some(_) => wrong("chat_template is neither a text nor a list of {name, template}; set data.chat_template to a file, or data.chat = \"hh\"".to_owned()),
    }
}
