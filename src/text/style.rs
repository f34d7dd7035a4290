//! In which style prompts are written, and what else decides how.

use std::path::PathBuf;
use std::str::FromStr;

use jiff::Zoned;
use serde::{Deserialize, Serialize};

use super::chat;
use super::control_words::ControlWords;
use super::error::TextError;

/// In which style prompts are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChatStyle {
    /// Messages by the model's chat template, or as a transcript where it has none; text as it is.
    #[default]
    Auto,
    /// Everything by the chat template: transcripts are cut into turns, other text is what a
    /// user says.
    Template,
    /// Everything as an HH-RLHF transcript.
    Hh,
    /// The words alone: text as it is, messages one after the other.
    Plain,
}

impl ChatStyle {
    /// All styles.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Template, Self::Hh, Self::Plain];

    /// Whether a template writes anything in this style.
    pub(super) fn has_template(self) -> bool {
        matches!(self, Self::Auto | Self::Template)
    }

    /// The name, as a recipe spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Template => "template",
            Self::Hh => "hh",
            Self::Plain => "plain",
        }
    }
}

impl FromStr for ChatStyle {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|style| style.name() == name);
        found.ok_or_else(|| "expected auto, template, hh or plain".to_owned())
    }
}

/// What decides how prompts are written.
#[derive(Clone, Debug)]
pub struct Chat {
    /// The style.
    pub style: ChatStyle,
    /// A template in place of the model's own.
    pub template: Option<PathBuf>,
    /// What happens to words of data that the tokenizer reads as control tokens.
    pub words: ControlWords,
    /// What templates take for the present time.
    pub now: Zoned,
}

impl Default for Chat {
    fn default() -> Self {
        let words = ControlWords::Keep;
        Self { style: ChatStyle::Auto, template: None, words, now: Zoned::now() }
    }
}

impl Chat {
    /// Path and bytes of the template in place of the model's own, where the style has one.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(super) fn own_template(&self) -> Result<Option<(PathBuf, Vec<u8>)>, TextError> {
        let own = self.template.as_ref().filter(|_| self.style.has_template());
        own.map(|path| Ok((path.clone(), chat::read(path)?))).transpose()
    }
}
