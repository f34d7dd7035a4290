//! What models said in earlier runs, for the run under way.

use super::Event;
use super::error::RunError;
use super::passes::Passes;
use super::session::Session;
use crate::model::Decoder;

impl Session<'_> {
    /// What a model said of sequences in earlier runs.
    pub(crate) fn passes(&mut self, decoder: &Decoder, reads: &str) -> Result<Passes, RunError> {
        let (passes, problem) = Passes::open(decoder, reads);
        match problem {
            Some(message) => self.warn(message)?,
            None if passes.found() > 0 => {
                let message = format!("{} numbers of earlier runs are at hand", passes.found());
                self.emit(Event::Note { message })?;
            }
            None => {}
        }
        Ok(passes)
    }

    /// Keep what a model said for runs to come; that it cannot be kept fails no run.
    pub(crate) fn keep_passes(&mut self, passes: Passes) -> Result<(), RunError> {
        match passes.save() {
            Ok(()) => Ok(()),
            Err(e) => self.warn(format!(
                "what the model said is not kept for other runs: {e}; set CONFIDE_CACHE to a folder that can be written, or to nothing"
            )),
        }
    }
}
