//! Several objectives at once.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Admits, Needs, Objective};
use crate::registry::Choice;

/// One objective, or several whose losses are added (TRL's `loss_type` with several entries). A recipe spells it
/// as a name or as a list of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixture(Vec<Choice<dyn Objective>>);

impl Mixture {
    /// All of them, one or more.
    pub fn parts(&self) -> &[Choice<dyn Objective>] {
        &self.0
    }

    /// The one whose rewards are told: the first that has a reference, else the first.
    pub fn lead(&self) -> Choice<dyn Objective> {
        let with_reference = self.0.iter().find(|part| part.needs().reference);
        with_reference.or(self.0.first()).copied().unwrap_or_default()
    }

    /// What any of them needs.
    pub fn needs(&self) -> Needs {
        let none = Needs { reference: false, ..Needs::default() };
        self.0.iter().map(|part| part.needs()).fold(none, |all, more| Needs {
            reference: all.reference || more.reference,
            whole_batch: all.whole_batch || more.whole_batch,
            prompts: all.prompts || more.prompts,
            mismatched: all.mismatched || more.mismatched,
            recent: all.recent || more.recent,
            references: all.references || more.references,
            own_responses: all.own_responses || more.own_responses,
        })
    }

    /// The first of which something has no meaning.
    pub fn refusing(&self, admitted: impl Fn(&Admits) -> bool) -> Option<Choice<dyn Objective>> {
        self.0.iter().copied().find(|part| !admitted(&part.admits()))
    }

    /// As recipes spell them, with a plus between several.
    pub fn name(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(Choice::name).collect();
        names.join(" + ")
    }

    /// As people call them.
    pub fn title(&self) -> String {
        let titles: Vec<&str> = self.0.iter().map(|part| part.about().title).collect();
        titles.join(" + ")
    }
}

impl From<Choice<dyn Objective>> for Mixture {
    fn from(one: Choice<dyn Objective>) -> Self {
        Self(vec![one])
    }
}

impl Default for Mixture {
    fn default() -> Self {
        Choice::<dyn Objective>::default().into()
    }
}

impl Serialize for Mixture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Mixture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelled {
            One(String),
            Several(Vec<String>),
        }
        let names = match Spelled::deserialize(deserializer)? {
            Spelled::One(name) => vec![name],
            Spelled::Several(names) => names,
        };
        let mut parts: Vec<Choice<dyn Objective>> = Vec::new();
        for name in &names {
            let part = Choice::named(name).map_err(serde::de::Error::custom)?;
            if parts.contains(&part) {
                let twice =
                    format!("the objective {} stands there twice; name each once", part.name());
                return Err(serde::de::Error::custom(twice));
            }
            parts.push(part);
        }
        if parts.is_empty() {
            return Err(serde::de::Error::custom("no objective is named; expected one or more"));
        }
        Ok(Self(parts))
    }
}
