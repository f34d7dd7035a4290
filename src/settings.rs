//! One macro that turns a documented struct into settings: fields with defaults, whose doc comments are also
//! the help text, the tooltips and the recipe's documentation, and whose limits are those of the check
//! and of the window's widgets.

/// One documented setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// The key, as it stands in a recipe.
    pub name: &'static str,
    /// What TRL, PEFT and others call it; read, never written.
    pub aliases: &'static [&'static str],
    /// What it means, in the words of its doc comment.
    pub doc: &'static str,
    /// What the window calls it; where empty, its name with spaces.
    pub title: &'static str,
    /// What its numbers count, for the window.
    pub unit: &'static str,
    /// What 0 means, where it is no number like others.
    pub zero: &'static str,
    /// What a number may be.
    pub limits: Limits,
    /// The words that it may be.
    pub words: Words,
    /// Whether it is for those who look for it.
    pub advanced: bool,
    /// What its value stands for.
    pub holds: Holds,
}

/// What a setting's value stands for, so that whoever shows it knows what to offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holds {
    /// A number, a word, a switch, a text.
    #[default]
    Value,
    /// Files to read.
    Files,
    /// Texts that may hold commas of their own.
    List,
    /// A model: a folder, a name on the hub, or one that is built in.
    Model,
    /// The rank of an adapter; 0 for none.
    Rank,
    /// A word, or several.
    Several,
    /// Numbers.
    Numbers,
    /// Several models.
    Models,
}

impl Field {
    /// A setting for everybody.
    pub const BASIC: Self = Self {
        name: "",
        aliases: &[],
        doc: "",
        title: "",
        unit: "",
        zero: "",
        limits: Limits::ANY,
        words: Words::Any,
        advanced: false,
        holds: Holds::Value,
    };

    /// What the window calls it.
    pub fn title(&self) -> String {
        if !self.title.is_empty() {
            return self.title.to_owned();
        }
        let words = self.name.replace('_', " ");
        let mut letters = words.chars();
        letters
            .next()
            .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }
}

/// What a number may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
    /// Whether it may be the least itself, and the most itself.
    pub closed: [bool; 2],
    /// The same in words.
    pub expected: &'static str,
}

impl Limits {
    /// What its type can hold, and a number.
    pub const ANY: Self = Self {
        least: f64::NEG_INFINITY,
        most: f64::INFINITY,
        closed: [true; 2],
        expected: "a number",
    };
    /// 0 or more.
    pub const NOT_NEGATIVE: Self = Self { least: 0.0, expected: "0 or more", ..Self::ANY };
    /// More than 0.
    pub const POSITIVE: Self =
        Self { least: 0.0, closed: [false, true], expected: "a number above 0", ..Self::ANY };
    /// Any share.
    pub const SHARE: Self =
        Self { least: 0.0, most: 1.0, expected: "a share from 0 to 1", ..Self::ANY };

    /// So many or more.
    pub const fn at_least(least: f64, expected: &'static str) -> Self {
        Self { least, expected, ..Self::ANY }
    }

    /// From one number to another, both included.
    pub const fn between(least: f64, most: f64, expected: &'static str) -> Self {
        Self { least, most, expected, ..Self::ANY }
    }

    /// From one number to below another.
    pub const fn below(least: f64, most: f64, expected: &'static str) -> Self {
        Self { least, most, closed: [true, false], expected }
    }

    /// What a widget moves between: inside the limits, where one of them is excluded.
    pub fn range(&self) -> std::ops::RangeInclusive<f64> {
        let inside = |open: bool| if open { 1e-6 } else { 0.0 };
        self.least + inside(!self.closed[0])..=self.most - inside(!self.closed[1])
    }

    /// Whether a number may be; one that is not finite may not.
    pub fn allow(&self, number: f64) -> bool {
        let from = if self.closed[0] { number >= self.least } else { number > self.least };
        let to = if self.closed[1] { number <= self.most } else { number < self.most };
        number.is_finite() && from && to
    }
}

/// The words that a setting may be.
#[derive(Clone, Copy, Debug)]
pub enum Words {
    /// Any text.
    Any,
    /// These, each with what the window says for it.
    Of(&'static [(&'static str, &'static str)]),
    /// Those of a list that describes itself.
    Listed(fn() -> Vec<Word>),
}

/// One of the words that a setting may be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Word {
    /// As a recipe spells it.
    pub name: &'static str,
    /// What the window says for it.
    pub says: String,
    /// What it does, in a sentence; empty where the setting's own words say it.
    pub summary: &'static str,
    /// Its formula, if it has one.
    pub formula: &'static str,
    /// Where it comes from.
    pub paper: &'static str,
    /// What the window puts behind the word and a colon at first, for one that a text follows; empty for others.
    pub then: &'static str,
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.all() == other.all()
    }
}

impl Words {
    /// All of them; none where any text will do.
    pub fn all(&self) -> Vec<Word> {
        let plain = |&(name, says): &(&'static str, &str)| Word {
            name,
            says: says.to_owned(),
            ..Word::default()
        };
        match self {
            Self::Any => Vec::new(),
            Self::Of(words) => words.iter().map(plain).collect(),
            Self::Listed(list) => list(),
        }
    }
}

/// A struct of settings.
pub trait Settings {
    /// Its own settings and those of what is flattened into it.
    fn fields() -> Vec<Field>;

    /// The sections below it: a dotted name, and the settings in it.
    fn sections() -> Vec<(String, Vec<Field>)>;
}

/// The sections of a section, by their whole names.
pub(crate) fn nested<T: Settings>(name: &str) -> Vec<(String, Vec<Field>)> {
    let below =
        T::sections().into_iter().map(|(inner, fields)| (format!("{name}.{inner}"), fields));
    std::iter::once((name.to_owned(), T::fields())).chain(below).collect()
}

/// Declare a settings struct: every field has a doc comment and a default, and behind `=>` what else
/// is to be said of it. `#[serde(flatten)]` takes the settings of another struct in,
/// `#[section(name)]` puts them into a section of their own.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(
                #[doc = $first:literal] $( #[doc = $more:literal] )*
                $( #[serde($serde:ident)] )?
                $( #[section($section:ident)] )?
                pub $field:ident : $type:ty = $default:expr
                $( => { $( $key:ident : $value:expr ),+ $(,)? } )?
            ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        // What recipes of earlier versions do not have yet is as it was.
        #[serde(default)]
        pub struct $name {
            $(
                #[doc = $first] $( #[doc = $more] )*
                $( #[serde($serde)] )?
                pub $field: $type,
            )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $crate::settings::Settings for $name {
            fn fields() -> Vec<$crate::settings::Field> {
                let parts: Vec<Vec<$crate::settings::Field>> = vec![$( $crate::settings::own_fields!(
                    $type, [$( $serde )?] [$( $section )?],
                    $crate::settings::Field {
                        name: stringify!($field),
                        doc: concat!($first $(, $more)*),
                        $( $( $key: $value, )+ )?
                        ..$crate::settings::Field::BASIC
                    }
                ) ),+];
                parts.concat()
            }

            fn sections() -> Vec<(String, Vec<$crate::settings::Field>)> {
                let sections: Vec<Vec<(String, Vec<$crate::settings::Field>)>> = vec![
                    $( $( $crate::settings::nested::<$type>(stringify!($section)), )? )+
                ];
                sections.concat()
            }
        }
    };
}

/// The fields that one of a struct's contributes to its section.
macro_rules! own_fields {
    ($type:ty, [] [], $field:expr) => {
        vec![$field]
    };
    ($type:ty, [flatten] [], $field:expr) => {
        <$type as $crate::settings::Settings>::fields()
    };
    ($type:ty, [] [$section:ident], $field:expr) => {
        Vec::new()
    };
}

pub(crate) use {own_fields, settings};
