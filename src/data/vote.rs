//! What one value of a label column says.

use super::pair::Side;

/// What one value says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Vote {
    /// For one, with how sure (0.5 to 1) and how strong it is, where it says so.
    For(Side, f32, Option<f32>),
    /// Neither is better.
    Tie,
    /// No judgement: `n/a`, say.
    Nothing,
}

impl Vote {
    pub(super) fn sure(side: Side) -> Self {
        Self::For(side, 1.0, None)
    }

    /// The side it is for.
    pub(super) fn side(self) -> Option<Side> {
        match self {
            Self::For(side, _, _) => Some(side),
            Self::Tie | Self::Nothing => None,
        }
    }
}

/// The finite number that a value stands for.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}
