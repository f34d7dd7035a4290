//! Trained models as folders of a run.

use super::error::RunError;
use super::session::Session;
use crate::model::{
    Checkpoint, GENERATION_FILE, ModelError, ModelFiles, Storage, first_not_finite,
    generation_config, save, save_adapter,
};
use crate::text::TEMPLATE_FILE;

/// What an exported model is written with.
pub(crate) struct Export<'a> {
    /// The files that it was read from.
    pub(crate) source: &'a ModelFiles,
    /// What readers of a score skip.
    pub(crate) pad: Option<u32>,
    /// Tokens that ended what the model was trained to write.
    pub(crate) ends: Vec<u32>,
    /// Whether the merged model is written too.
    pub(crate) merge: bool,
}

impl Session<'_> {
    /// Write a model in Hugging Face layout, with its tokenizer, as a folder of the run; of an
    /// adapted model the adapter alone, and on request the merged model beside it.
    ///
    /// # Errors
    ///
    /// A weight is no finite number; the disk is full, say.
    pub(crate) fn export(
        &mut self,
        folder: &str,
        checkpoint: &Checkpoint,
        export: &Export<'_>,
    ) -> Result<(), RunError> {
        if let Some(name) = first_not_finite(&checkpoint.decoder) {
            let path = self.folder.path().join(folder);
            return Err(ModelError::Overflowed { path, name }.into());
        }
        if export.merge && checkpoint.adapter.is_some() {
            self.export_as(&format!("{folder}-merged"), checkpoint, export, true)?;
        }
        self.export_as(folder, checkpoint, export, false)
    }

    fn export_as(
        &mut self,
        name: &str,
        checkpoint: &Checkpoint,
        export: &Export<'_>,
        merged: bool,
    ) -> Result<(), RunError> {
        let path = self.folder.path().join(name);
        let wrap = |source| RunError::Write { path: path.clone(), source };
        crate::files::write_folder(&path, |partial| {
            match checkpoint.adapter.as_ref().filter(|_| !merged) {
                Some(adapter) => save_adapter(partial, checkpoint, adapter),
                None => save(partial, checkpoint, export.pad, Storage::F32),
            }
            .map_err(std::io::Error::other)?;
            for file in [
                "tokenizer.json",
                "tokenizer_config.json",
                TEMPLATE_FILE,
                GENERATION_FILE,
                "special_tokens_map.json",
                "added_tokens.json",
                "vocab.json",
                "merges.txt",
            ] {
                if let Some(bytes) = export.source.bytes(file).map_err(std::io::Error::other)? {
                    crate::files::write(&partial.join(file), &bytes)?;
                }
            }
            // The model is to be asked in the way in which it was trained, and to end in that way.
            let own = &self.recipe.data.chat_template;
            if !own.is_empty() {
                crate::files::write(&partial.join(TEMPLATE_FILE), &std::fs::read(own)?)?;
            }
            let named = generation_config(export.source, &export.ends);
            match named.map_err(std::io::Error::other)? {
                Some(text) => crate::files::write(&partial.join(GENERATION_FILE), &text),
                None => Ok(()),
            }
        })
        .map_err(wrap)?;
        self.produced(name)
    }
}
