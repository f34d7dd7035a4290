//! Annotators beside the one that a recipe chooses: others of the list, and what those of earlier runs have said.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::annotators::Annotator;
use super::combining::Combining;
use crate::data::{AnnotatedPair, DataError, Side, read_annotations};
use crate::registry::Choice;

/// An annotator beside the chosen one.
#[derive(Clone, Debug, PartialEq)]
pub enum Further {
    /// One of the list.
    Annotator(Choice<dyn Annotator>),
    /// A table of annotations, or the folder of the run that has it.
    Table(PathBuf),
}

impl Further {
    /// Of its text in a recipe.
    pub fn parse(text: &str) -> Self {
        Choice::named(text).map_or_else(|_| Self::Table(text.into()), Self::Annotator)
    }
}

impl Combining {
    /// The annotators beside the chosen one, in order.
    pub fn further(&self) -> Vec<Further> {
        self.with.iter().map(|text| Further::parse(text)).collect()
    }

    /// Columns of what each says, in order, the chosen one's first: names that an expression can read.
    pub fn columns(&self, kind: Choice<dyn Annotator>) -> Vec<String> {
        let of = |kind: Choice<dyn Annotator>| format!("z_{}", kind.name().replace('-', "_"));
        let mut tables = 0;
        let mut columns = vec![of(kind)];
        columns.extend(self.further().into_iter().map(|further| match further {
            Further::Annotator(kind) => of(kind),
            Further::Table(_) => {
                tables += 1;
                format!("z_table_{tables}")
            }
        }));
        columns
    }
}

/// A pair by its texts: the prompt, and both responses in the order of the alphabet.
type Texts = (String, [String; 2]);

/// What a table of annotations says of pairs, by their texts.
#[derive(Debug, Default)]
pub struct Said {
    /// The margin by which the first of both texts is better.
    margins: HashMap<Texts, f64>,
    /// Pairs that stand in it more than once, and not with the same margin; what it says first of them counts.
    pub contradictions: usize,
}

impl Said {
    /// Of a table.
    ///
    /// # Errors
    ///
    /// It cannot be read, or has a margin that is no finite number.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let mut said = Self::default();
        for pair in read_annotations(path)? {
            if !pair.margin.is_finite() {
                return Err(DataError::Damaged {
                    path: path.to_owned(),
                    found: format!("a margin is {}; expected finite numbers", pair.margin),
                });
            }
            let (texts, turned) = texts(&pair.prompt, &pair.responses);
            let margin = toward_first(&pair) * if turned { -1.0 } else { 1.0 };
            let known = *said.margins.entry(texts).or_insert(margin);
            said.contradictions += usize::from(known != margin);
        }
        Ok(said)
    }

    /// The margin by which the first response of a pair is better, in whichever order both stood in the table;
    /// `None` for a pair that is not in it.
    pub fn of(&self, prompt: &str, responses: &[String; 2]) -> Option<f64> {
        let (texts, turned) = texts(prompt, responses);
        self.margins.get(&texts).map(|margin| if turned { -margin } else { *margin })
    }
}

/// The margin by which the first response is better; below 0 where the second is.
pub fn toward_first(pair: &AnnotatedPair) -> f64 {
    if pair.label == Side::First { pair.margin } else { -pair.margin }
}

/// A pair's texts, and whether its responses change places for that.
fn texts(prompt: &str, [first, second]: &[String; 2]) -> (Texts, bool) {
    let turned = first > second;
    let both = if turned { [second, first] } else { [first, second] };
    ((prompt.to_owned(), both.map(String::clone)), turned)
}
