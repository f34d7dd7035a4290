//! A judge that has learned to judge from its own errors (RISE-Judge).

use super::implicit::{BETA, SFT_EPOCHS, SFT_LEARNING_RATE, dpo, fine_tuning};
use super::judge::Judge;
use super::{Annotating, Annotation, Annotator, FineTuning, Lessons, Reads, Seen};
use crate::annotate::judging::{Asked, Question};
use crate::data::{AnnotatedPair, Pair};
use crate::registry::About;
use crate::train::Task;

pub(super) struct TrainedJudge;

static ABOUT: About = About {
    name: "trained-judge",
    aliases: &["rise", "rise-judge"],
    title: "a model that learns to judge",
    summary: "A weak language model that is asked which of two responses is better (annotator.judge = \"a-b\") learns to answer from the human labels: it is fine-tuned on its own verdicts of those pairs that it judges as people do in both orders (sft_epochs), then learns by DPO the right verdict in place of the wrong one, in both orders, of the pairs that it still gets wrong in one. A verdict is the one word that is read; RISE's models give reasons before it.",
    formula: "p = (P(A) + 1 − P(A, order swapped))/2;  d = logit p",
    paper: "arXiv 2502.11689",
    constants: &[BETA, SFT_EPOCHS, SFT_LEARNING_RATE],
};

impl Annotator for TrainedJudge {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn reads(&self) -> Reads {
        Reads::LearnedAnswers
    }

    fn compares(&self, settings: &Annotating) -> bool {
        Judge.compares(settings)
    }

    fn annotate(&self, seen: &Seen<'_>, settings: &Annotating) -> Option<Annotation> {
        Judge.annotate(seen, settings)
    }

    fn asks(&self, pair: &Pair, settings: &Annotating, chat: bool) -> Option<[Question; 2]> {
        Judge.asks(pair, settings, chat)
    }

    fn column_names(&self) -> &'static [&'static str] {
        Judge.column_names()
    }

    fn columns(&self, seen: &Seen<'_>, settings: &Annotating) -> Vec<(&'static str, f64)> {
        Judge.columns(seen, settings)
    }

    fn measures(&self, said: &[AnnotatedPair], settings: &Annotating) -> Vec<(&'static str, f64)> {
        Judge.measures(said, settings)
    }

    fn fine_tuning(&self, settings: &Annotating) -> Option<FineTuning> {
        fine_tuning(settings)
    }

    fn task(&self, lessons: Lessons, settings: &Annotating) -> Option<Box<dyn Task>> {
        dpo(lessons, settings)
    }

    fn check_settings(&self, settings: &Annotating) -> Result<(), (&'static str, String)> {
        if settings.judging.judge != Asked::AB {
            let found = "annotator.kind = \"trained-judge\" learns which of two responses is better, and annotator.judge = \"yes-no\" asks of one alone; set annotator.judge = \"a-b\"".to_owned();
            return Err(("annotator.judge", found));
        }
        let epochs = settings.judging.rewording.optimise_prompt;
        if epochs > 0 {
            let found = format!(
                "annotator.optimise_prompt = {epochs} would ask the trained judge in other words than it has learned to answer; look for the question with annotator.kind = \"judge\", copy it to annotator.prompt, and set annotator.optimise_prompt = 0"
            );
            return Err(("annotator.optimise_prompt", found));
        }
        Judge.check_settings(settings)
    }
}
