//! What can befall a device while it computes, and what its driver tells of it.

use std::sync::{Arc, OnceLock};

use burn::tensor::wgpu::wgpu;

/// What befell a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It had no memory for a tensor.
    OutOfMemory,
    /// The driver gave it up: it was reset, took too long, or is gone.
    Lost,
}

impl Fault {
    /// In words that [`Fault::read`] understands.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::OutOfMemory => "the device is out of memory",
            Self::Lost => "the device is lost",
        }
    }

    /// What the words of a driver or of the runtime mean, if they mean a fault.
    pub fn read(words: &str) -> Option<Self> {
        let words = words.to_lowercase();
        let any = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
        // A device that is lost for want of memory says both.
        if any(&["out of memory", "out of device memory", "out-of-memory", "not enough memory"]) {
            Some(Self::OutOfMemory)
        } else if any(&[
            "is poisoned",
            "was poisoned",
            "device is lost",
            "device was lost",
            "device lost",
        ]) {
            Some(Self::Lost)
        } else {
            None
        }
    }
}

/// The first fault that the driver told of a device, asynchronously.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Arc<OnceLock<Fault>>);

impl Told {
    /// Listen to a device. An error that is no fault is a defect, and panics on the thread that serves
    /// the device, as it does with the runtime's own handler. After a fault everything goes wrong,
    /// which tells nothing new: what was asked for is answered with errors, or not at all.
    pub(super) fn by(device: &wgpu::Device) -> Self {
        let told = Self::default();
        let of_errors = told.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let fault = match &error {
                wgpu::Error::OutOfMemory { .. } => Some(Fault::OutOfMemory),
                other => Fault::read(&other.to_string()),
            };
            match (of_errors.0.get(), fault) {
                (Some(_), _) => log::debug!("after a fault: {error}"),
                (None, Some(fault)) => {
                    log::warn!("{error}");
                    let _ = of_errors.0.set(fault);
                }
                (None, None) => std::panic::resume_unwind(Box::new(format!("wgpu error: {error}"))),
            }
        }));
        let of_loss = told.clone();
        device.set_device_lost_callback(move |reason, message| {
            log::warn!("the device was lost ({reason:?}): {message}");
            let _ = of_loss.0.set(Fault::read(&message).unwrap_or(Fault::Lost));
        });
        told
    }

    /// What it was, if there was one.
    pub(super) fn first(&self) -> Option<Fault> {
        self.0.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Fault;

    #[test]
    fn words_of_drivers_are_read() {
        for (words, meaning) in [
            ("wgpu error: Out of Memory", Some(Fault::OutOfMemory)),
            (
                "An IO error happened\nout of device memory allocating 64 bytes",
                Some(Fault::OutOfMemory),
            ),
            ("The device is poisoned\nCaused by:\n  Unknown: Device is lost", Some(Fault::Lost)),
            (
                "The device is poisoned\nCaused by:\n  Unknown: Out of memory",
                Some(Fault::OutOfMemory),
            ),
            ("index out of bounds: the len is 3", None),
            ("", None),
        ] {
            assert_eq!(Fault::read(words), meaning, "{words}");
        }
    }
}
