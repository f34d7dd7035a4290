//! Settings of rounds that have no meaning together, or with the annotator or the objective.

use super::{OnlineSettings, Recipe, RoundReference};
use crate::annotate::Annotator;
use crate::preference::Combine;
use crate::registry::Choice;

/// The key of a setting, and what is wrong with it.
type Refusal = (&'static str, String);

impl Recipe {
    /// Whether what is rejected are the policy's own responses, in all rounds.
    pub(super) fn rejects_own(&self) -> bool {
        self.policy.objective.needs().own_responses
    }

    /// In how many rounds the policy writes responses.
    pub(super) fn rounds_written(&self) -> usize {
        let first = usize::from(!self.rejects_own());
        if self.policy.training.epochs > 0.0 { self.online.rounds - first } else { 0 }
    }

    /// Whether rounds compare with the policy as it was when they began.
    pub(super) fn compares_with_previous(&self) -> bool {
        match self.online.reference {
            RoundReference::Auto => self.rejects_own(),
            RoundReference::Initial => false,
            RoundReference::Previous => true,
        }
    }

    /// Whether rounds can be had as the recipe asks for them: the key at fault, and what is wrong.
    pub(super) fn check_online(&self) -> Result<(), Refusal> {
        let online = &self.online;
        if self.rejects_own() {
            return self.check_own();
        }
        let rounds = online.rounds;
        if rounds == 1 {
            return Ok(());
        }
        let fault = |key: &'static str, found: String| Err((key, found));
        self.can_label_more()?;
        self.detects_coupled()?;
        if online.temperature == 0.0 {
            return fault(
                "online.temperature",
                "online.temperature = 0 writes the same response to a prompt each time, so that there is no best and no worst; set it above 0 (0.9, say)".to_owned(),
            );
        }
        let words = match online.reference {
            RoundReference::Auto => None,
            RoundReference::Initial => Some("initial"),
            RoundReference::Previous => Some("previous"),
        };
        if let Some(words) = words.filter(|_| !self.policy.objective.needs().reference) {
            return fault(
                "online.reference",
                format!(
                    "online.reference = \"{words}\", but the objective {} compares with no reference; set it to \"auto\", or take an objective that does",
                    self.policy.objective.name()
                ),
            );
        }
        if self.policy.ref_model_sync_steps > 0 {
            return fault(
                "policy.ref_model_sync_steps",
                format!(
                    "policy.ref_model_sync_steps moves the reference within a training, and online.rounds = {rounds} says by online.reference what each of {rounds} trainings compares with; set policy.ref_model_sync_steps = 0, or online.rounds = 1"
                ),
            );
        }
        Ok(())
    }

    /// Doubtful labels are detected by what the policy would say further away from where one training began,
    /// which a later sitting within a round has not.
    fn detects_coupled(&self) -> Result<(), Refusal> {
        let (lambda, rounds) = (self.policy.preference().extrapolation(), self.online.rounds);
        if lambda == 0.0 {
            return Ok(());
        }
        Err((
            "policy.spa_lambda",
            format!(
                "policy.spa_lambda = {lambda} leads the policy away from where its training began, which is another place in each of online.rounds = {rounds}; set policy.spa_lambda = 0, or online.rounds = 1"
            ),
        ))
    }

    /// Whether the annotator can label responses that no file has.
    fn can_label_more(&self) -> Result<(), Refusal> {
        let (kind, rounds) = (self.annotator.kind, self.online.rounds);
        if kind.reads().labels() {
            let all = Choice::<dyn Annotator>::all().filter(|kind| !kind.reads().labels());
            let names: Vec<String> = all.map(|kind| format!("\"{}\"", kind.name())).collect();
            return Err((
                "online.rounds",
                format!(
                    "online.rounds = {rounds} asks the annotator about responses that the policy writes, but annotator.kind = \"{}\" repeats labels that the pairs come with; set online.rounds = 1, or take one of {}",
                    kind.name(),
                    names.join(", ")
                ),
            ));
        }
        if self.annotator.constants.combining.combine != Combine::None {
            return Err((
                "online.rounds",
                format!(
                    "online.rounds = {rounds} asks the annotator about responses that the policy writes, of which tables of earlier runs say nothing, so that annotators cannot be combined; set annotator.combine = \"none\" and empty annotator.with, or set online.rounds = 1"
                ),
            ));
        }
        Ok(())
    }

    /// The same for an objective whose rejected responses are the policy's own.
    fn check_own(&self) -> Result<(), Refusal> {
        let (online, name) = (&self.online, self.policy.objective.name());
        if self.policy.objective.parts().len() > 1 {
            return Err((
                "policy.objective",
                format!(
                    "policy.objective: {name} would let all of these losses learn from preferred responses against the policy's own, and none from the labelled pairs; take one of them alone"
                ),
            ));
        }
        if online.reference == RoundReference::Initial && online.rounds > 1 {
            return Err((
                "online.reference",
                format!(
                    "online.reference = \"initial\", but {name} holds the policy against itself as it was when a round began; set it to \"auto\" or \"previous\""
                ),
            ));
        }
        if online.num_generations != OnlineSettings::default().num_generations {
            return Err((
                "online.num_generations",
                format!(
                    "online.num_generations = {}, but {name} holds each preferred response against one that the policy writes, and nobody chooses among several; leave it at {}",
                    online.num_generations,
                    OnlineSettings::default().num_generations
                ),
            ));
        }
        Ok(())
    }
}
