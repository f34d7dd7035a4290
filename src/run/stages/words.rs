//! Models and trainings in words, for whoever is about to begin a run.

use std::path::Path;

use crate::train::Training;

/// A model field.
pub(super) fn model(field: &str) -> String {
    match field {
        "" => "(not chosen yet: drop a model folder)".to_owned(),
        "builtin:weak" => "(built in, tiny)".to_owned(),
        "builtin:strong" => "(built in, small)".to_owned(),
        other => {
            let last = Path::new(other).file_name().map(|name| name.to_string_lossy());
            format!("“{}”", last.unwrap_or(other.into()))
        }
    }
}

/// How long a training is.
pub(super) fn length(training: &Training) -> String {
    let (count, unit) = if training.steps > 0 {
        (training.steps.to_string(), "step")
    } else {
        (training.epochs.to_string(), "epoch")
    };
    format!("{count} {unit}{}", if count == "1" { "" } else { "s" })
}
