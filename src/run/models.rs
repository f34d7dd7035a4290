//! What a model field names: a folder, an adapter's folder, or a model that is compiled in.

use std::path::Path;

use super::session::RunError;
use crate::model::{ModelFiles, base_of};

/// Adapters over adapters end somewhere.
const DEPTH: usize = 4;

/// The files of a model field.
///
/// # Errors
///
/// Nothing of that name is here; see [`crate::model::ModelError`].
pub fn find_model(field: &str) -> Result<ModelFiles, RunError> {
    find(field, DEPTH)
}

fn find(field: &str, depth: usize) -> Result<ModelFiles, RunError> {
    if let Some(name) = field.strip_prefix("builtin:") {
        return crate::demo::model(name).ok_or_else(|| {
            RunError::Impossible(format!(
                "model “{field}” is not built in; expected builtin:weak, builtin:strong, a folder or a name on the hub"
            ))
        });
    }
    let folder = Path::new(field);
    match base_of(folder)? {
        Some(_) if depth == 0 => {
            Err(RunError::Impossible(format!("{field}: adapters whose bases are adapters whose …")))
        }
        Some(base) => {
            // A relative name may be a folder beside the adapter.
            let beside = folder.join(&base);
            let base = if beside.is_dir() { beside.to_string_lossy().into_owned() } else { base };
            Ok(ModelFiles::adapted(folder, find(&base, depth - 1)?))
        }
        None => Ok(ModelFiles::folder(folder)?),
    }
}
