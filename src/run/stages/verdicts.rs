//! A judge learns to judge (RISE, arXiv 2502.11689): first from its own verdicts of the pairs that it judges
//! as people do in both orders, then by DPO from the pairs that it still gets wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::AnnotatorSettings;
use super::super::error::RunError;
use super::super::export::Export;
use super::super::session::Session;
use super::super::stage::Stage;
use super::super::training::{Course, Phase};
use super::encode::{encoder, max_length};
use super::estimating::{Estimating, Reader};
use super::lessons::{nothing_to_learn, order, task};
use super::log_ratios::{fine_tuning, log_probs, reference, tune, tuning_order};
use super::prepared::Prepared;
use super::questions::{ask, questions};
use super::reader::folder;
use super::words::{length, model};
use crate::annotate::{Lessons, all_log_odds};
use crate::batch::{Ranked, Sequence};
use crate::data::{Pair, Side};
use crate::model::{
    Decoder, Footprint, ModelFiles, SavedTensor, Storage, load_named, save_tensors,
};
use crate::text::{EncodedPair, Encoder, Fit};
use crate::train::ExecutionPlan;

/// Which questions are right in both orders, before anything is learned; and which are right behind fine-tuning.
const VERDICTS: [&str; 2] =
    ["checkpoints/annotator-verdicts.safetensors", "checkpoints/annotator-errors.safetensors"];
/// The name of what they hold.
const RIGHT: &str = "right";

/// What will be done, in a sentence.
pub(super) fn plan(settings: &AnnotatorSettings) -> String {
    let before = match fine_tuning(settings) {
        Some(training) => format!(
            "is fine-tuned on its own verdicts of those labelled pairs that it judges as people do in both orders ({}), then ",
            length(&training)
        ),
        None => String::new(),
    };
    format!(
        "The weak model {} is asked which response of a labelled pair is better; it {before}learns by DPO the right answers about the pairs that it gets wrong: {}.",
        model(&settings.model),
        length(&settings.training)
    )
}

/// A question about a labelled pair, one of its two orders, with the right answer behind it and the wrong one.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    /// The question; a neighbour of its pair's other one.
    question: Sequence,
    /// The same with an answer.
    answers: Ranked<Sequence>,
    /// Whether the first answer is right.
    first: bool,
}

/// Verdicts about pairs, both orders of each side by side.
pub(super) fn verdicts(
    pairs: &[Pair],
    asked: &[(usize, [Sequence; 2])],
    answers: [u32; 2],
) -> Vec<Verdict> {
    let verdict = |(pair, sides): &(usize, [Sequence; 2])| {
        let second = pairs[*pair].label.is_some_and(|label| label.preferred == Side::Second);
        [0, 1].map(|order| {
            let question = sides[order].clone();
            // The response in first place is the pair's second one in the second order.
            let first = second == (order == 1);
            let tokens = question.prompt.iter().chain(&question.response).copied();
            let prompt: Arc<[u32]> = tokens.collect();
            let answered =
                |answer: u32| Sequence { prompt: prompt.clone(), response: vec![answer] };
            Verdict { question, answers: Ranked::of(answers.map(answered), !first), first }
        })
    };
    asked.iter().flat_map(verdict).collect()
}

/// Questions that leave room for an answer, of those that were encoded.
fn fitting(encoded: &[EncodedPair], max_length: usize) -> Vec<(usize, [Sequence; 2])> {
    let fits = |pair: &EncodedPair| Some((pair.pair, pair.fit(Fit::Whole, max_length - 1)?));
    encoded.iter().filter_map(fits).collect()
}

/// What the judge learns from.
fn labelled(
    session: &mut Session<'_>,
    prepared: &Prepared,
    files: &ModelFiles,
    encoder: &Encoder,
) -> Result<(Vec<Verdict>, [u32; 2]), RunError> {
    let max_length = max_length(&session.recipe, files)?;
    let asking = ask(session, encoder, prepared, &prepared.split.labelled, "labelled")?;
    let Some(answers) = asking.answers else { return Err(nothing_to_learn()) };
    let asked = fitting(&asking.encoded.pairs, max_length);
    let known: BTreeSet<usize> = asked.iter().map(|(pair, _)| *pair).collect();
    let all = asking.encoded.pairs.iter().map(|pair| pair.pair);
    session.too_long.extend(all.filter(|pair| !known.contains(pair)));
    if asked.is_empty() {
        return Err(nothing_to_learn());
    }
    Ok((verdicts(&prepared.pairs, &asked, answers), answers))
}

/// Fine-tune on what is right, find out what is wrong, and learn from that.
pub(super) fn train(
    session: &mut Session<'_>,
    prepared: &Prepared,
    files: &ModelFiles,
) -> Result<(), RunError> {
    let encoder = encoder(session, files)?;
    let pad = encoder.tokenizer.pad;
    let (verdicts, answers) = labelled(session, prepared, files, &encoder)?;
    // How many there are of either kind is known when the model has answered.
    let most = order(&session.recipe, verdicts.len(), 0);
    session.stage(Stage::ANNOTATOR, most.total, |session| {
        let mut checkpoint = reference(session, files)?;
        let settings = session.recipe.annotator.clone();
        let footprint = Footprint::of(&checkpoint, settings.precision);
        let whole = task(&session.recipe, lessons(&verdicts, |_| true, pad))?;
        let about = Stage::ANNOTATOR.about();
        let plan = session.plan(about, &footprint, &*whole, &most, &settings.training)?;
        let school = School { verdicts: &verdicts, answers, pad, plan };
        let (decoder, tuned) = school.tuned(session, checkpoint.decoder)?;
        let (decoder, steps) = school.corrected(session, decoder, tuned)?;
        checkpoint.decoder = decoder;
        session.measured("annotator.steps", steps as f64)?;
        let (ends, merge) = (encoder.stop(), settings.lora.merge);
        let export = Export { source: files, pad: Some(pad), ends, merge };
        session.export(&folder(0), &checkpoint, &export)
    })
}

/// Lessons from some of the verdicts, by their numbers.
fn lessons(verdicts: &[Verdict], chosen: impl Fn(usize) -> bool, pad: u32) -> Lessons {
    let some = verdicts.iter().enumerate().filter(|(i, _)| chosen(*i));
    let pairs = some.map(|(_, verdict)| verdict.answers.clone()).collect();
    Lessons { pairs, pad: Some(pad), ..Lessons::default() }
}

/// Of questions, both of each pair side by side, those whose pair is right in both orders.
fn both(right: &[bool]) -> Vec<bool> {
    let pairs = right.as_chunks::<2>().0;
    pairs.iter().flat_map(|[a, b]| [*a && *b; 2]).collect()
}

/// Tell how many pairs fine-tuning learns from.
fn told_kept(session: &mut Session<'_>, kept: usize, all: usize) -> Result<(), RunError> {
    session.measured("annotator.verdicts_kept", kept as f64)?;
    if kept == 0 {
        return Err(RunError::Impossible(format!(
            "the judge's verdict is that of people in both orders for none of {all} labelled pairs, so that it has nothing to be fine-tuned on; name a model that judges better (annotator.model), ask in other words (annotator.prompt), or set annotator.sft_epochs = 0, so that it learns from its errors alone"
        )));
    }
    if 10 * kept < all {
        session.warn(format!(
            "the judge is fine-tuned on {kept} of {all} labelled pairs, those that it judges as people do in both orders; of so few it may learn little: a better model (annotator.model) or another question (annotator.prompt) leaves more"
        ))?;
    }
    Ok(())
}

/// What a judge learns from, and how it is asked.
struct School<'a> {
    verdicts: &'a [Verdict],
    answers: [u32; 2],
    pad: u32,
    plan: ExecutionPlan,
}

impl School<'_> {
    /// The judge fine-tuned on its own verdicts that are right in both orders, where that is wanted, and after how
    /// many steps.
    fn tuned(
        &self,
        session: &mut Session<'_>,
        decoder: Decoder,
    ) -> Result<(Decoder, u64), RunError> {
        let recipe = session.recipe.clone();
        let Some(training) = fine_tuning(&recipe.annotator) else { return Ok((decoder, 0)) };
        let right = both(&self.known(session, VERDICTS[0], &decoder)?);
        let kept = lessons(self.verdicts, |i| right[i], self.pad);
        told_kept(session, kept.pairs.len() / 2, self.verdicts.len() / 2)?;
        let order = tuning_order(&recipe, &kept, &training);
        let total = order.total;
        // Otherwise it is what an earlier sitting has left.
        if session.phase(Stage::ANNOTATOR) > 0 {
            return Ok((decoder, total));
        }
        let course = Course { order, training: &training, plan: self.plan };
        Ok((tune(session, decoder, &kept, course, total)?, total))
    }

    /// The judge that has learned, after so many steps of fine-tuning, by DPO from the pairs that it gets wrong;
    /// and the steps of both.
    fn corrected(
        &self,
        session: &mut Session<'_>,
        decoder: Decoder,
        before: u64,
    ) -> Result<(Decoder, u64), RunError> {
        let recipe = session.recipe.clone();
        // DPO begins as its reference, which drops nothing.
        let decoder = decoder.without_dropout();
        // Both orders of a pair that is wrong in one: of its errors alone a judge that prefers a place would learn to
        // prefer the other.
        let right = both(&self.known(session, VERDICTS[1], &decoder)?);
        let wrong = lessons(self.verdicts, |i| !right[i], self.pad);
        session.measured("annotator.verdicts_wrong", (wrong.pairs.len() / 2) as f64)?;
        let order = order(&recipe, wrong.pairs.len(), 0);
        if order.total == 0 {
            session.warn(format!(
                "the judge judges all {} labelled pairs as people do in both orders, so that it has no errors to learn from",
                self.verdicts.len() / 2
            ))?;
            return Ok((decoder, before));
        }
        let known = log_probs(session, &decoder, &wrong, self.pad, (&order, self.plan))?;
        let mut task = task(&recipe, Lessons { reference: known, ..wrong })?;
        let total = before + order.total;
        let phase = Phase { number: usize::from(before > 0), before, total };
        let training = &recipe.annotator.training;
        let course = Course { order, training, plan: self.plan };
        let about = Stage::ANNOTATOR.about();
        let decoder = session.train_phase(about, phase, decoder, &mut *task, course)?;
        Ok((decoder, total))
    }

    /// Whether a model's verdict on each question is right: as an earlier sitting has written it down, or as it is
    /// now, which is written down.
    fn known(
        &self,
        session: &mut Session<'_>,
        name: &str,
        decoder: &Decoder,
    ) -> Result<Vec<bool>, RunError> {
        let path = session.folder.path().join(name);
        if session.produced.contains_key(name) {
            let found = load_named(&path)?.remove(RIGHT).map(|found| found.values);
            let found = found.filter(|found| found.len() == self.verdicts.len());
            return found.map(|found| found.iter().map(|right| *right > 0.0).collect()).ok_or_else(
                || {
                    RunError::Impossible(format!(
                        "{}: expected a tensor “{RIGHT}” of {} numbers, one for each question about a labelled pair; begin the run again",
                        path.display(),
                        self.verdicts.len()
                    ))
                },
            );
        }
        let right = self.right(session, decoder)?;
        let values = right.iter().map(|right| f32::from(u8::from(*right))).collect();
        let tensor = SavedTensor { shape: vec![right.len()], values };
        save_tensors(&path, &BTreeMap::from([(RIGHT.to_owned(), tensor)]), Storage::F32)?;
        session.produced(name)?;
        Ok(right)
    }

    /// Whether a model's verdict on each question is right.
    fn right(&self, session: &mut Session<'_>, decoder: &Decoder) -> Result<Vec<bool>, RunError> {
        let questions: Vec<&Sequence> =
            self.verdicts.iter().map(|verdict| &verdict.question).collect();
        // Forward passes of as many as training holds with their gradients.
        let all: Vec<usize> = (0..questions.len()).collect();
        let batch_size = session.recipe.annotator.training.batch_size;
        let most = self.plan.parts(&all, batch_size).map(<[usize]>::len).max().unwrap_or(1);
        let told = &mut |_| session.poll();
        let odds = all_log_odds(decoder, &questions, self.answers, most, told)?;
        let right =
            |(verdict, odds): (&Verdict, f32)| if verdict.first { odds > 0.0 } else { odds < 0.0 };
        Ok(self.verdicts.iter().zip(odds).map(right).collect())
    }
}

/// Answers to all questions about labelled pairs, as an estimate counts them.
pub(super) fn estimated(
    inputs: &Estimating<'_>,
    reader: &Reader,
    indexes: &[usize],
) -> Result<Vec<[Sequence; 2]>, RunError> {
    let asking = questions(inputs.recipe, &reader.encoder, &inputs.prepared.pairs, indexes)?;
    let Some(answers) = asking.answers else { return Err(nothing_to_learn()) };
    let asked = fitting(&asking.encoded.pairs, max_length(inputs.recipe, &reader.files)?);
    let verdicts = verdicts(&inputs.prepared.pairs, &asked, answers);
    Ok(verdicts.into_iter().map(|verdict| verdict.answers.into_array()).collect())
}
