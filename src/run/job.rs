//! What to run.

use std::path::PathBuf;

use super::Recipe;

/// What to run.
#[derive(Clone, Debug)]
pub enum Job {
    /// A new run in a folder that holds none.
    Fresh {
        /// The recipe.
        recipe: Box<Recipe>,
        /// The folder.
        folder: PathBuf,
        /// Fetch models that the recipe names and the local cache lacks.
        download: bool,
    },
    /// Go on with an interrupted run.
    Resume {
        /// Its folder.
        folder: PathBuf,
        /// Another device than the recipe's, if given.
        device: Option<String>,
    },
}
