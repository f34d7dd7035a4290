//! What every layer of a pass shares.

use burn::tensor::{Bool, Int, Tensor};

use super::Dropout;
use super::rotary::Angles;

/// What every layer of a pass shares.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Of layers that see everything before.
    pub(super) all: Sight,
    /// Of layers that see the last tokens only.
    pub(super) window: Option<Sight>,
    /// What adapters drop; none outside training.
    pub(super) dropout: Option<Dropout>,
}

/// What queries see, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// Of rotary positions.
    pub(crate) angles: Option<Angles>,
    pub(crate) seen: Seen,
}

/// Which keys queries see.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// Those of their own row but these, `[B, heads, T, S]` (`true` hides); without a mask,
    /// themselves and everything before them.
    Rows { hidden: Option<Tensor<4, Bool>> },
    /// Those in their spans, `[B · T, 6]`, and not farther away than a window.
    Spans { spans: Tensor<2, Int>, window: Option<usize> },
}

impl Context {
    pub(crate) fn sight(&self, windowed: bool) -> &Sight {
        self.window.as_ref().filter(|_| windowed).unwrap_or(&self.all)
    }

    pub(crate) fn dropout(&self) -> Option<Dropout> {
        self.dropout
    }

    /// For one layer, which drops the same inputs however often it is computed.
    pub(crate) fn of_layer(&self, layer: usize) -> Self {
        let dropout = self.dropout.map(|dropout| dropout.of(layer as u64));
        Self { dropout, ..self.clone() }
    }
}
