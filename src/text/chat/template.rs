//! A chat template, wherever it is rendered.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Zoned;

use super::compiled::Compiled;
use super::source::{TEMPLATE_FILE, named_default, read};
use crate::data::Message;
use crate::model::ModelFiles;
use crate::text::error::TextError;
use crate::text::isolate::Apart;
use crate::text::special::{Special, special_tokens};

/// A compiled chat template with the special tokens and the time that it may ask for.
pub struct ChatTemplate {
    place: Place,
    path: PathBuf,
    source: String,
}

/// Where it is rendered.
enum Place {
    Here(Box<Compiled>),
    Apart(Arc<Apart>),
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// A template that another process has compiled.
    pub(in crate::text) fn apart(process: Arc<Apart>, path: PathBuf, source: String) -> Self {
        Self { place: Place::Apart(process), path, source }
    }

    /// The template of a model, if it has one: `chat_template.jinja`, else `chat_template` of
    /// `tokenizer_config.json`, a text or a list of named ones, of which `default` counts.
    ///
    /// `now` is what the template takes for the present time.
    ///
    /// # Errors
    ///
    /// A damaged file, a template that is no Jinja, named templates without a default.
    pub fn of_model(files: &ModelFiles, now: &Zoned) -> Result<Option<Self>, TextError> {
        let special = special_tokens(files)?;
        if let Some(bytes) = files.bytes(TEMPLATE_FILE)? {
            let path = files.path(TEMPLATE_FILE);
            return Self::from_bytes(&bytes, path, special, now).map(Some);
        }
        let config = files.json("tokenizer_config.json")?.unwrap_or_default();
        let path = files.path("tokenizer_config.json");
        match named_default(config.get("chat_template"), &path)? {
            Some(source) => Self::new(&source, path, special, now).map(Some),
            None => Ok(None),
        }
    }

    /// A template file of the user's own, with the special tokens of a model.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is no Jinja.
    pub fn of_file(path: &Path, files: &ModelFiles, now: &Zoned) -> Result<Self, TextError> {
        Self::from_bytes(&read(path)?, path.to_owned(), special_tokens(files)?, now)
    }

    pub(in crate::text) fn from_bytes(
        bytes: &[u8],
        path: PathBuf,
        special: Special,
        now: &Zoned,
    ) -> Result<Self, TextError> {
        match std::str::from_utf8(bytes) {
            Ok(source) => Self::new(source, path, special, now),
            Err(e) => {
                let line = 1 + bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count();
                let found = "this is no UTF-8; expected a chat template in Jinja".to_owned();
                Err(TextError::Template { path, line, found })
            }
        }
    }

    /// Compile a template; `path` is where it stands, `special` maps names such as `eos_token`
    /// to texts, `now` is what `strftime_now` tells.
    ///
    /// # Errors
    ///
    /// It is too long or no Jinja.
    pub fn new(
        source: &str,
        path: PathBuf,
        special: Special,
        now: &Zoned,
    ) -> Result<Self, TextError> {
        let compiled = Compiled::new(source, path.clone(), special, now)?;
        Ok(Self { place: Place::Here(Box::new(compiled)), path, source: source.to_owned() })
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// A conversation as text; with `add_generation_prompt`, up to where the assistant speaks.
    ///
    /// # Errors
    ///
    /// The template refuses the conversation, is not one that can be rendered here, or takes
    /// more steps, depth or text than the limits allow.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, TextError> {
        match &self.place {
            Place::Here(compiled) => compiled.render(messages, add_generation_prompt),
            Place::Apart(process) => process.render(messages, add_generation_prompt),
        }
    }
}
