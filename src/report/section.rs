//! A part of a report, before anybody decides what it looks like.

/// A part of a report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// Its title.
    pub title: &'static str,
    /// What stands above everything, if it has that.
    pub headline: Option<Headline>,
    /// Its numbers.
    pub rows: Vec<Row>,
    /// Numbers in columns, where there are too many for a glance.
    pub table: Option<Table>,
    /// Texts to be read beside each other.
    pub passages: Vec<Passages>,
}

/// Numbers in columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What the columns are.
    pub columns: Vec<&'static str>,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A line of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// What it is of.
    pub name: String,
    /// What that means.
    pub explanation: String,
    /// A number for each column, as a person reads it.
    pub values: Vec<String>,
}

/// The number that a run was made for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headline {
    /// The number.
    pub value: String,
    /// What it is.
    pub words: String,
    /// How sure it is, and of what it is.
    pub note: String,
}

/// A number with its name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The number as a person reads it.
    pub value: String,
    /// What it means.
    pub explanation: String,
}

impl Row {
    /// Of a name, a value and what it means.
    pub fn new(
        name: impl Into<String>,
        value: impl Into<String>,
        explanation: impl Into<String>,
    ) -> Self {
        Self { name: name.into(), value: value.into(), explanation: explanation.into() }
    }
}

/// Two texts on one matter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passages {
    /// The matter.
    pub title: String,
    /// What the first is, a note on it, and the text.
    pub before: [String; 3],
    /// The same of the second.
    pub after: [String; 3],
}
