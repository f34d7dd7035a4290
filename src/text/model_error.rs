//! Errors of a model's files on their way between processes, as one can meet them that opens none.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::ModelError;

/// An error as it is told.
#[derive(Serialize, Deserialize)]
struct Told {
    path: PathBuf,
    found: String,
    expected: Option<String>,
}

pub(super) fn serialize<S: Serializer>(
    error: &ModelError,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let told = |path: &PathBuf, found: &String, expected: Option<&String>| Told {
        path: path.clone(),
        found: found.clone(),
        expected: expected.cloned(),
    };
    match error {
        ModelError::Config { path, found, expected } => told(path, found, Some(expected)),
        ModelError::NotAModel { folder, found } => told(folder, found, None),
        other => told(&PathBuf::new(), &other.to_string(), None),
    }
    .serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ModelError, D::Error> {
    let Told { path, found, expected } = Told::deserialize(deserializer)?;
    Ok(match expected {
        Some(expected) => ModelError::Config { path, found, expected },
        None => ModelError::NotAModel { folder: path, found },
    })
}
