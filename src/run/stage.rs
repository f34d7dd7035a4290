//! What a stage of a run is called, and what it says of itself.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::model::MemoryEstimate;
use crate::train::ExecutionPlan;

/// A stage of a run, by its name. Each is a constant of this type that stands in the stage's own file.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stage(pub(super) &'static str);

impl Stage {
    /// Its name, as events spell it.
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

/// What a stage says of itself.
#[derive(Debug)]
pub struct AboutStage {
    /// Which.
    pub stage: Stage,
    /// What a person calls it.
    pub title: &'static str,
    /// The part of the way that it belongs to; neighbours of one part stand together.
    pub part: &'static Part,
    /// Whose model it computes with.
    pub model: Whose,
    /// Whether something would be lost if the process ended in it.
    pub computes: bool,
    /// Tells its dropout from that of other stages; no two have the same, and none ever changes.
    pub seed: u64,
}

/// A part of the way from files to a policy: one or more stages that a person sees as one.
#[derive(Debug, PartialEq)]
pub struct Part {
    /// Its name.
    pub title: &'static str,
    /// What it does, in a sentence.
    pub explanation: &'static str,
    /// What there is to be seen of it.
    pub shows: Shows,
}

/// What there is to be seen of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// The pairs as they were read.
    Data,
    /// Numbers of its steps.
    Curves,
    /// How sure the labels are.
    Confidence,
    /// What was measured.
    Report,
}

/// Whose model a stage computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The annotator's; also where no model is there yet.
    Annotator,
    /// The policy's, before it is aligned.
    Reference,
    /// The policy's.
    Policy,
}

impl Whose {
    /// The section of a recipe that has the model's settings.
    pub fn section(self) -> &'static str {
        match self {
            Self::Annotator => "annotator",
            Self::Reference | Self::Policy => "policy",
        }
    }
}

/// What a stage takes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StageEstimate {
    /// Which.
    pub stage: Stage,
    /// Bytes at its peak.
    pub needs: MemoryEstimate,
    /// How it would be computed; forward passes alone have a part size only.
    pub plan: ExecutionPlan,
}
