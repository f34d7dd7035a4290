//! The run that a request to end reaches while no frame comes.

use std::sync::{Arc, Mutex, PoisonError};

use crate::run::Control;

/// The run that a request from outside reaches: frames may not come, where a window is hidden.
#[derive(Clone, Default)]
pub(super) struct Reached(Arc<Mutex<Control>>);

impl Reached {
    /// From now on it is this one.
    pub(super) fn set(&self, control: &Control) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = control.clone();
    }

    /// The run that it is now.
    pub(super) fn get(&self) -> Control {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
