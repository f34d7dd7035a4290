//! Settings of fine-tuning that have no meaning together.

use super::Recipe;

impl Recipe {
    /// The field of the teacher that fine-tuning asks, where it asks one.
    pub(super) fn teacher(&self) -> Option<&str> {
        let settings = &self.sft;
        self.weak_model().filter(|_| settings.distill_steps > 0 || settings.select_share < 1.0)
    }

    /// The field of a model that could be the teacher.
    fn weak_model(&self) -> Option<&str> {
        let own = Some(self.sft.teacher.as_str()).filter(|teacher| !teacher.is_empty());
        let annotates = self.annotator.kind.reads().model();
        let annotator = annotates.then_some(self.annotator.model.as_str());
        own.or(annotator)
    }

    /// Whether fine-tuning can learn from a teacher as the recipe asks for it: the key at fault, and what is
    /// wrong.
    pub(super) fn check_sft(&self) -> Result<(), (&'static str, String)> {
        let settings = &self.sft;
        let distills = settings.distill_steps > 0;
        let (key, asks, off) = match (distills, settings.select_share < 1.0) {
            (false, false) => return Ok(()),
            (true, _) => (
                "sft.distill_steps",
                format!("sft.distill_steps = {}", settings.distill_steps),
                "sft.distill_steps = 0",
            ),
            (false, true) => (
                "sft.select_share",
                format!("sft.select_share = {}", settings.select_share),
                "sft.select_share = 1",
            ),
        };
        if settings.training.epochs == 0.0 && settings.training.steps == 0 {
            let found = format!(
                "{asks}, but sft.epochs = 0 leaves fine-tuning out, so that nobody learns from what a teacher says; set sft.epochs (1, say), or {off}"
            );
            return Err((key, found));
        }
        if distills && settings.distill_weight == 0.0 {
            let found = format!(
                "sft.distill_weight = 0 asks a teacher for {} steps and hears nothing of it; set it above 0 (0.667, say), or sft.distill_steps = 0",
                settings.distill_steps
            );
            return Err(("sft.distill_weight", found));
        }
        if self.weak_model().is_none() {
            let found = format!(
                "sft.teacher is missing: {asks} needs a language model to ask, and annotator.kind = \"{}\" has no model; name a folder, or a model on the hub (org/name), or set {off}",
                self.annotator.kind.name()
            );
            return Err(("sft.teacher", found));
        }
        Ok(())
    }
}
