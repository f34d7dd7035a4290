//! Which device computes, and why.

use serde::Serialize;

use super::adapters::{list, processor};
use super::candidate::{Candidate, Class};
use super::error::DeviceError;

/// A device and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The device.
    pub device: Candidate,
    /// Why this one, in a sentence.
    pub why: String,
}

/// Resolve a request against this machine; the graphics driver is left alone for `cpu`.
///
/// # Errors
///
/// As [`choose`].
pub fn find(request: &str) -> Result<Choice, DeviceError> {
    if request == "cpu" {
        return choose(request, &[processor()]);
    }
    choose(request, &list())
}

/// Resolve `auto`, `cpu`, `gpu` or `gpu:N` against the devices of [`list`].
///
/// # Errors
///
/// An unknown word, or a device that the machine lacks.
pub fn choose(request: &str, candidates: &[Candidate]) -> Result<Choice, DeviceError> {
    let absent = || DeviceError::Absent {
        wanted: request.to_owned(),
        found: candidates
            .iter()
            .map(|c| format!("{} = {}", c.id, c.describe()))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let (device, why) = match request {
        "auto" => {
            let first = candidates.first().ok_or_else(absent)?;
            let why = match first.class {
                Class::Cpu if candidates.len() > 1 => {
                    "the only graphics adapter is software, which is slower than the CPU backend"
                }
                Class::Cpu => "no graphics adapter was found",
                Class::DiscreteGpu => "a discrete GPU comes first",
                Class::IntegratedGpu => "no discrete GPU was found",
                Class::OtherGpu | Class::SoftwareGpu => "the only GPU that was found",
            };
            (first, why)
        }
        "cpu" => (
            candidates.iter().find(|c| c.class == Class::Cpu).ok_or_else(absent)?,
            "asked for by name",
        ),
        "gpu" => (
            candidates.iter().find(|c| c.class != Class::Cpu).ok_or_else(absent)?,
            "the first GPU, asked for by name",
        ),
        other if is_numbered_gpu(other) => {
            (candidates.iter().find(|c| c.id == other).ok_or_else(absent)?, "asked for by name")
        }
        other => return Err(DeviceError::Unknown { found: other.to_owned() }),
    };
    Ok(Choice { device: device.clone(), why: why.to_owned() })
}

fn is_numbered_gpu(request: &str) -> bool {
    request.strip_prefix("gpu:").is_some_and(|n| n.parse::<usize>().is_ok())
}
