//! Settings of fine-tuning that have no meaning together.

use super::Recipe;

impl Recipe {
    /// The field of the teacher that fine-tuning learns from, where it learns from one.
    pub(super) fn teacher(&self) -> Option<&str> {
        let own = Some(self.sft.teacher.as_str()).filter(|teacher| !teacher.is_empty());
        let annotates = self.annotator.kind.reads().model();
        let annotator = annotates.then_some(self.annotator.model.as_str());
        own.or(annotator).filter(|_| self.sft.distill_steps > 0)
    }

    /// Whether fine-tuning can learn from a teacher as the recipe asks for it: the key at fault, and what is
    /// wrong.
    pub(super) fn check_sft(&self) -> Result<(), (&'static str, String)> {
        let settings = &self.sft;
        let steps = settings.distill_steps;
        if steps == 0 {
            return Ok(());
        }
        if settings.training.epochs == 0.0 && settings.training.steps == 0 {
            let found = format!(
                "sft.distill_steps = {steps}, but sft.epochs = 0 leaves fine-tuning out, so that nobody learns from a teacher; set sft.epochs (1, say), or sft.distill_steps = 0"
            );
            return Err(("sft.distill_steps", found));
        }
        if settings.distill_weight == 0.0 {
            let found = format!(
                "sft.distill_weight = 0 asks a teacher for {steps} steps and hears nothing of it; set it above 0 (0.667, say), or sft.distill_steps = 0"
            );
            return Err(("sft.distill_weight", found));
        }
        if self.teacher().is_none() {
            let found = format!(
                "sft.teacher is missing: sft.distill_steps = {steps} needs a language model to learn from, and annotator.kind = \"{}\" has no model; name a folder, or a model on the hub (org/name), or set sft.distill_steps = 0",
                self.annotator.kind.name()
            );
            return Err(("sft.teacher", found));
        }
        Ok(())
    }
}
