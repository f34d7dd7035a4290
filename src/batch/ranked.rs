//! Which of two is preferred, by type.

use serde::{Deserialize, Serialize};

/// Something of each response of a pair, told apart by the label. What is told apart by its place in
/// the data is a `[T; 2]`: first, second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranked<T> {
    /// Of the response that the label prefers.
    pub chosen: T,
    /// Of the other one.
    pub rejected: T,
}

impl<T> Ranked<T> {
    /// From the first and the second, of which the second may be the preferred one.
    pub fn of([first, second]: [T; 2], second_preferred: bool) -> Self {
        if second_preferred {
            Self { chosen: second, rejected: first }
        } else {
            Self { chosen: first, rejected: second }
        }
    }

    /// Both, the chosen one first.
    pub fn into_array(self) -> [T; 2] {
        [self.chosen, self.rejected]
    }

    /// Both by reference, the chosen one first.
    pub fn each(&self) -> [&T; 2] {
        [&self.chosen, &self.rejected]
    }

    /// Something made of each.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Ranked<U> {
        Ranked { chosen: f(self.chosen), rejected: f(self.rejected) }
    }
}
