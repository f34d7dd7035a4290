//! Why no device could be had.

/// Why no device could be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The request is not a device.
    #[error(
        "device “{found}” is unknown; expected auto, cpu, gpu or gpu:N (see `confide devices`)"
    )]
    Unknown {
        /// What was asked for.
        found: String,
    },
    /// The machine has no such device.
    #[error(
        "device “{wanted}” was asked for, but this machine has {found}; use device = \"auto\" or \"cpu\", or install a Vulkan driver"
    )]
    Absent {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// The device did not start.
    #[error(
        "{name} could not be started: {reason}; try device = \"cpu\", or update the graphics driver"
    )]
    Start {
        /// The device.
        name: String,
        /// The driver's words.
        reason: String,
    },
    /// SPIR-V crashes inside Mesa's software drivers.
    #[error(
        "{name} is a software adapter, which a build with native shaders does not support; use device = \"cpu\", or a build without the feature `native-shaders`"
    )]
    SoftwareAdapter {
        /// The device.
        name: String,
    },
}
