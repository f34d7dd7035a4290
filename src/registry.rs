//! Lists of things that describe themselves and are chosen by name: objectives, weightings, annotators.
//!
//! Help, form, checks and documentation are made of what an entry says of itself; nobody outside its room
//! asks for its name.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::settings::{Field, Word};

/// What an entry says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct About {
    /// How a recipe spells it.
    pub name: &'static str,
    /// What others call it; read, never written.
    pub aliases: &'static [&'static str],
    /// What the window calls it.
    pub title: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Its formula as text; empty where it has none.
    pub formula: &'static str,
    /// Where it comes from.
    pub paper: &'static str,
    /// Settings that it alone has, or shares with others of its kind: numbers with their defaults.
    pub constants: &'static [Constant],
}

/// A setting of an entry: a number in the section of the recipe that chooses the entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant {
    /// Its key, its meaning and what it may be.
    pub field: Field,
    /// What it is where nobody says.
    pub default: f64,
}

/// A list of entries of one kind.
pub trait Registry: Sync + 'static {
    /// What an entry is called, with its article: “an objective”.
    const KIND: &'static str;

    /// All entries, the default first.
    fn all() -> &'static [&'static Self];

    /// What an entry says of itself.
    fn about(&self) -> &'static About;
}

/// One entry of a list, by its name wherever it is written down.
pub struct Choice<T: ?Sized + 'static>(pub &'static T);

impl<T: Registry + ?Sized> Choice<T> {
    /// The entry of this name, or with this alias.
    ///
    /// # Errors
    ///
    /// There is none: what was found, and the names that there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = T::all().iter().find(|entry| {
            let about = entry.about();
            about.name == name || about.aliases.contains(&name)
        });
        found.map(|entry| Self(*entry)).ok_or_else(|| {
            let names: Vec<&str> = T::all().iter().map(|entry| entry.about().name).collect();
            format!(
                "“{}” is not {}; expected {}",
                crate::legible::quoted(name),
                T::KIND,
                names.join(", ")
            )
        })
    }

    /// All entries.
    pub fn all() -> impl Iterator<Item = Self> {
        T::all().iter().map(|entry| Self(*entry))
    }

    /// Its name, as a recipe spells it.
    pub fn name(&self) -> &'static str {
        self.0.about().name
    }
}

/// All constants of a list's entries, each once, in the order in which they first appear.
pub fn constants_of<T: Registry + ?Sized>() -> Vec<&'static Constant> {
    let mut found: Vec<&'static Constant> = Vec::new();
    for constant in T::all().iter().flat_map(|entry| entry.about().constants) {
        if !found.iter().any(|known| known.field.name == constant.field.name) {
            found.push(constant);
        }
    }
    found
}

impl<T: ?Sized> Clone for Choice<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Choice<T> {}

impl<T: ?Sized> Deref for Choice<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0
    }
}

impl<T: Registry + ?Sized> Default for Choice<T> {
    fn default() -> Self {
        Self(T::all()[0])
    }
}

impl<T: Registry + ?Sized> PartialEq for Choice<T> {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl<T: Registry + ?Sized> Eq for Choice<T> {}

impl<T: Registry + ?Sized> fmt::Debug for Choice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<T: Registry + ?Sized> Serialize for Choice<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de, T: Registry + ?Sized> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).map_err(serde::de::Error::custom)
    }
}

/// The constants of all entries of a list, whichever is chosen: settings of a section.
pub struct Constants<T: ?Sized + 'static> {
    values: Vec<(&'static str, f64)>,
    list: PhantomData<&'static T>,
}

impl<T: Registry + ?Sized> Constants<T> {
    /// The value of a constant; its default, should it not be among them.
    pub fn get(&self, name: &str) -> f64 {
        let found = self.values.iter().find(|(known, _)| *known == name);
        found.map_or_else(
            || {
                let all = constants_of::<T>();
                all.iter().find(|c| c.field.name == name).map_or(0.0, |c| c.default)
            },
            |(_, value)| *value,
        )
    }

    /// The same with one of them changed; a name that no entry has changes nothing.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        for known in self.values.iter_mut().filter(|(known, _)| *known == name) {
            known.1 = value;
        }
        self
    }
}

impl<T: Registry + ?Sized> Default for Constants<T> {
    fn default() -> Self {
        let values = constants_of::<T>().iter().map(|c| (c.field.name, c.default)).collect();
        Self { values, list: PhantomData }
    }
}

impl<T: ?Sized> Clone for Constants<T> {
    fn clone(&self) -> Self {
        Self { values: self.values.clone(), list: PhantomData }
    }
}

impl<T: ?Sized> PartialEq for Constants<T> {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl<T: ?Sized> fmt::Debug for Constants<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.values.iter().map(|(name, value)| (name, value))).finish()
    }
}

impl<T: ?Sized> Serialize for Constants<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.values.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de, T: Registry + ?Sized> Deserialize<'de> for Constants<T> {
    /// Takes the constants out of a section, and leaves its other settings alone; those that are
    /// missing have their defaults, so that recipes of earlier versions are read.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = std::collections::BTreeMap::<String, Loose>::deserialize(deserializer)?;
        let mut constants = Self::default();
        for (name, value) in &mut constants.values {
            match found.get(*name) {
                Some(Loose::Number(number)) => *value = *number,
                Some(Loose::Other(_)) => {
                    return Err(serde::de::Error::custom(format!("{name} is no number")));
                }
                None => {}
            }
        }
        Ok(constants)
    }
}

/// A number, or what is no constant.
#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(f64),
    Other(serde::de::IgnoredAny),
}

impl<T: Registry + ?Sized> crate::settings::Settings for Constants<T> {
    fn fields() -> Vec<Field> {
        constants_of::<T>().iter().map(|constant| constant.field).collect()
    }

    fn sections() -> Vec<(String, Vec<Field>)> {
        Vec::new()
    }
}

/// The names of a list's entries, with what they say of themselves.
pub fn words<T: Registry + ?Sized>() -> Vec<Word> {
    let word = |about: &About| Word {
        name: about.name,
        says: match about.formula {
            "" => about.title.to_owned(),
            formula => format!("{}:  {formula}", about.title),
        },
        summary: about.summary,
        formula: about.formula,
        paper: about.paper,
        then: "",
    };
    T::all().iter().map(|entry| word(entry.about())).collect()
}
