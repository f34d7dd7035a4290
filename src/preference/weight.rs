//! How a pair's weight is made: by one of the weightings, or by an expression.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::expression::Expression;
use super::weightings::Scheme;
use crate::registry::{self, Choice, Constant, Constants};
use crate::settings::Word;

/// What stands before an expression, with a colon between.
const EXPRESSION: &str = "expr";

/// How a pair's weight is made.
#[derive(Clone, Debug, PartialEq)]
pub enum Weight {
    /// By a weighting.
    Scheme(Choice<dyn Scheme>),
    /// By a formula over what the annotator says of a pair.
    Expression(Expression),
}

impl Weight {
    /// Of its text in a recipe: the name of a weighting, or “expr:” and a formula.
    ///
    /// # Errors
    ///
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let named = || Choice::named(text).map(Self::Scheme);
        match text.split_once(':') {
            Some((head, formula)) if head.trim() == EXPRESSION => {
                Ok(Self::Expression(Expression::new(formula)))
            }
            _ if text.trim() == EXPRESSION => Ok(Self::Expression(Expression::new(""))),
            _ => named().map_err(|e| format!("{e}, or “{EXPRESSION}: ” and a formula")),
        }
    }

    /// Its text in a recipe.
    pub fn text(&self) -> String {
        match self {
            Self::Scheme(scheme) => scheme.name().to_owned(),
            Self::Expression(expression) => format!("{EXPRESSION}: {}", expression.text()),
        }
    }

    /// Its formula.
    pub fn formula(&self) -> &str {
        match self {
            Self::Scheme(scheme) => scheme.about().formula,
            Self::Expression(expression) => expression.text(),
        }
    }

    /// The constants that it has.
    pub fn constants(&self) -> &'static [Constant] {
        match self {
            Self::Scheme(scheme) => scheme.about().constants,
            Self::Expression(_) => &[],
        }
    }

    /// What it does, in half a sentence for a person.
    pub(super) fn words(&self, constants: &Constants<dyn Scheme>) -> String {
        match self {
            Self::Scheme(scheme) => scheme.words(constants),
            Self::Expression(expression) => format!("a pair weighs {}", expression.text()),
        }
    }
}

/// The names of all weightings with what they say of themselves, and expressions.
pub(super) fn words() -> Vec<Word> {
    let mut words = registry::words::<dyn Scheme>();
    words.push(Word {
        name: EXPRESSION,
        says: "expression of your own".to_owned(),
        summary: "A formula over p, d, C and the columns of the annotations.",
        then: "C",
        ..Word::default()
    });
    words
}

impl Default for Weight {
    fn default() -> Self {
        Self::Scheme(Choice::default())
    }
}

impl From<Choice<dyn Scheme>> for Weight {
    fn from(scheme: Choice<dyn Scheme>) -> Self {
        Self::Scheme(scheme)
    }
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
