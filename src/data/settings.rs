//! What a person may say of files that do not say enough of themselves.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::limits::Limits;
use crate::settings::{Settings, settings};

/// Which of several ranked or rated responses to one prompt make pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairing {
    /// The best against the worst; in trees of ranked replies each two of different rank.
    #[default]
    Auto,
    /// The best against the worst.
    BestWorst,
    /// Each against the next better one.
    Adjacent,
    /// Each two that differ.
    All,
}

/// What happens to pictures, sounds and films, which language models do not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Media {
    /// A row with one is a bad row.
    #[default]
    Refuse,
    /// They are left out, which is told, and the text is read.
    LeaveOut,
}

/// Give the kebab-case names of a setting's values to `FromStr` and `Display`.
macro_rules! named {
    ($type:ident: $($name:literal = $value:ident),+) => {
        impl FromStr for $type {
            type Err = String;

            fn from_str(name: &str) -> Result<Self, String> {
                match name {
                    $($name => Ok(Self::$value),)+
                    _ => Err(concat!("expected one of", $(" ", $name),+).to_owned()),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$value => $name),+ })
            }
        }
    };
}

named!(Pairing: "auto" = Auto, "best-worst" = BestWorst, "adjacent" = Adjacent, "all" = All);
named!(Media: "refuse" = Refuse, "leave-out" = LeaveOut);

settings! {
    /// Which columns hold what, where files do not say so themselves; empty means what is found. A path such as `info.post` or `answers.0.text` reaches into objects and lists.
    pub struct ColumnMap {
        /// The prompt, text or chat messages; several columns, joined by `+`, stand below each other.
        pub prompt: String = String::new(),
        /// The system message.
        pub system: String = String::new(),
        /// The better response.
        pub chosen: String = String::new(),
        /// The worse response.
        pub rejected: String = String::new(),
        /// One of two responses, in place of chosen and rejected.
        pub first: String = String::new(),
        /// The other.
        pub second: String = String::new(),
        /// What says which of first and second is better.
        pub label: String = String::new(),
        /// How the label says it: the values for the first, the second and perhaps a tie (`1/2/0`, `A/B`), or a scale from the first to the second (`1..7`, `-3..3`; `0..1` is the probability of the second, `1..0` of the first).
        pub reading: String = String::new(),
        /// What multiplies a pair's weight.
        pub weight: String = String::new(),
        /// How much better the preferred response is, or how sure that is: for annotator.kind = "file".
        pub margin: String = String::new(),
    }
}

impl ColumnMap {
    /// Names and values of what is set.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("prompt", &self.prompt),
            ("system", &self.system),
            ("chosen", &self.chosen),
            ("rejected", &self.rejected),
            ("first", &self.first),
            ("second", &self.second),
            ("label", &self.label),
            ("reading", &self.reading),
            ("weight", &self.weight),
            ("margin", &self.margin),
        ]
        .into_iter()
        .map(|(key, value)| (key, value.trim()))
        .filter(|(_, value)| !value.is_empty())
    }

    /// The columns that make the prompt.
    pub(super) fn prompts(&self) -> impl Iterator<Item = &str> {
        self.prompt.split('+').map(str::trim).filter(|name| !name.is_empty())
    }

    /// Every column or path that is named, with the entry that names it.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let others = self.entries().filter(|(key, _)| !["prompt", "reading"].contains(key));
        self.prompts().map(|path| ("prompt", path)).chain(others)
    }

    /// Set an entry by its name.
    ///
    /// # Errors
    ///
    /// There is none of that name.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let field = match key.trim() {
            "prompt" => &mut self.prompt,
            "system" => &mut self.system,
            "chosen" => &mut self.chosen,
            "rejected" => &mut self.rejected,
            "first" => &mut self.first,
            "second" => &mut self.second,
            "label" => &mut self.label,
            "reading" => &mut self.reading,
            "weight" => &mut self.weight,
            "margin" => &mut self.margin,
            other => {
                let known: Vec<_> = Self::fields().iter().map(|field| field.name).collect();
                return Err(format!("“{other}” is none of {}", known.join(", ")));
            }
        };
        value.trim().clone_into(field);
        Ok(())
    }

    /// Whether the entries fit each other.
    ///
    /// # Errors
    ///
    /// What is missing, in words.
    pub fn check(&self) -> Result<(), String> {
        let set = |name: &str| self.entries().any(|(key, _)| key == name);
        let need = |a: &str, b: &str| {
            if set(a) && !set(b) { Err(format!("{a} is named, {b} is not")) } else { Ok(()) }
        };
        for (a, b) in [
            ("chosen", "rejected"),
            ("rejected", "chosen"),
            ("first", "second"),
            ("second", "first"),
        ] {
            need(a, b)?;
        }
        if set("chosen") && set("first") {
            return Err("chosen and first are both named; expected chosen and rejected, or first and second".to_owned());
        }
        if set("reading") {
            super::readings::Reading::parse(&self.reading)?;
        }
        Ok(())
    }
}

impl FromStr for ColumnMap {
    type Err = String;

    /// `prompt=question,chosen=good.text,rejected=bad.text`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut map = Self::default();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            match part.split_once('=') {
                Some((key, value)) => map.set(key, value)?,
                None => {
                    return Err(format!(
                        "“{part}” has no =; expected for instance prompt=question,chosen=good,rejected=bad"
                    ));
                }
            }
        }
        map.check().map(|()| map)
    }
}

/// How files are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadSettings {
    /// Which of several ranked responses make pairs.
    pub pairing: Pairing,
    /// What happens to pictures and sounds.
    pub media: Media,
    /// Which columns hold what.
    pub columns: ColumnMap,
    /// How much of a file is read.
    pub limits: Limits,
}
