//! What models said in earlier runs, for the run under way.

use super::Event;
use super::cache::OutputCache;
use super::error::RunError;
use super::session::Session;
use crate::model::Decoder;

impl Session<'_> {
    /// What a model said of sequences in earlier runs.
    pub(crate) fn cached(
        &mut self,
        decoder: &Decoder,
        reads: &str,
    ) -> Result<OutputCache, RunError> {
        let (cache, problem) = OutputCache::open(self.control.cache(), decoder, reads);
        match problem {
            Some(message) => self.warn(message)?,
            None if cache.found() > 0 => {
                let message = format!("{} numbers of earlier runs are at hand", cache.found());
                self.emit(Event::Note { message })?;
            }
            None => {}
        }
        Ok(cache)
    }

    /// Keep what a model said for runs to come; that it cannot be kept fails no run.
    pub(crate) fn keep_cache(&mut self, cache: OutputCache) -> Result<(), RunError> {
        match cache.save() {
            Ok(()) => Ok(()),
            Err(e) => self.warn(format!(
                "what the model said is not kept for other runs: {e}; set CONFIDE_CACHE to a folder that can be written, or to nothing"
            )),
        }
    }
}
