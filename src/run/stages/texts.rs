//! What an annotator's model says of the pairs that it is asked about.

use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::AboutStage;
use super::asked::{Asked, Part};
use super::encode::{encode, encoder, max_length};
use super::labels::for_policy;
use super::log_probs::LOG_PROBS;
use super::log_ratios::reference;
use super::prepared::Prepared;
use super::questions::ask;
use super::reader::{pad, trained_files};
use crate::annotate::{
    Positions, Reads, Sharing, all_log_odds, all_log_probs, distinct, distinct_log_probs,
    score_sequences, shapes_of,
};
use crate::batch::Sequence;
use crate::model::{BatchShape, Checkpoint, Decoder, Footprint, load_as};
use crate::run::find_model;
use crate::text::{EncodedPair, Fit};

/// The same pairs in the tokens of the annotator's model.
pub(super) struct Texts {
    /// The tokens of answers, where they are questions.
    answers: Option<[u32; 2]>,
    pad: Option<u32>,
    pairs: Vec<EncodedPair>,
}

impl Texts {
    /// The unlabelled and the held-out pairs that the annotator's model can read.
    pub(super) fn of(
        session: &mut Session<'_>,
        prepared: &Prepared,
    ) -> Result<(Vec<Asked>, Self), RunError> {
        let files = trained_files(session, 0)?;
        let encoder = encoder(session, &files)?;
        let pad = if session.recipe.annotator.kind.reads().head() {
            pad(&files, &encoder, session.state.now.report.annotator.steps)?
        } else {
            Some(encoder.tokenizer.pad)
        };
        let max_length = max_length(&session.recipe, &files)?;
        let (mut asked, mut pairs, mut answers) = (Vec::new(), Vec::new(), None);
        for (part, name, indexes) in [
            (Part::Unlabelled, "unlabelled", &for_policy(&session.recipe, prepared)),
            (Part::Calibration, "calibration", &prepared.split.calibration),
            (Part::HeldOut, "held-out", &prepared.split.held_out),
        ] {
            let encoded = if session.recipe.annotator.kind.reads().asks() {
                let asking = ask(session, &encoder, prepared, indexes, name)?;
                answers = answers.or(asking.answers);
                asking.encoded.pairs
            } else {
                encode(session, &encoder, prepared, indexes, ["annotator", name])?
            };
            for pair in encoded {
                if pair.fit(Fit::Whole, max_length).is_some() {
                    asked.push(Asked { pair: pair.pair, part });
                    pairs.push(pair);
                } else {
                    session.too_long.insert(pair.pair);
                }
            }
        }
        Ok((asked, Self { answers, pad, pairs }))
    }

    /// What each member of the annotator says of both responses of each pair.
    pub(super) fn score(
        self,
        session: &mut Session<'_>,
        stage: &'static AboutStage,
    ) -> Result<Vec<Vec<[f64; 2]>>, RunError> {
        let reads = session.recipe.annotator.kind.reads();
        if !reads.head() {
            let said = match reads {
                _ if reads.asks() => self.log_odds(session, stage)?,
                Reads::LogProbs => self.mean_log_probs(session, stage)?,
                _ => self.log_ratios(session, stage)?,
            };
            return Ok(vec![said]);
        }
        let count = session.recipe.annotator.ensemble;
        let members = (0..count).map(|member| {
            // Each has the device to itself.
            session.device.memory_cleanup();
            let turn = Turn { number: member, of: count };
            self.scores(session, stage, turn)
        });
        members.collect()
    }

    /// What a member's scalar head says.
    fn scores(
        &self,
        session: &mut Session<'_>,
        stage: &'static AboutStage,
        turn: Turn,
    ) -> Result<Vec<[f64; 2]>, RunError> {
        let files = trained_files(session, turn.number)?;
        let annotator = load_as(&files, &session.device, session.recipe.annotator.precision)?;
        if annotator.decoder.score.is_none() {
            return Err(RunError::Impossible(format!(
                "{} has no score.weight, and annotator.epochs = 0; let it learn (annotator.epochs = 5, say)",
                files.name()
            )));
        }
        let pad = self.pad;
        let reads = format!("scores, padding {pad:?}");
        let read: Read<'_> =
            &|decoder, new, size, told| score_sequences(decoder, new, pad, size, told);
        self.said(session, stage, &annotator, self.shapes(), (&reads, read), turn)
    }

    /// What the annotator's model answers to both questions about each pair.
    fn log_odds(
        &self,
        session: &mut Session<'_>,
        stage: &'static AboutStage,
    ) -> Result<Vec<[f64; 2]>, RunError> {
        let Some(answers) = self.answers else { return Ok(Vec::new()) };
        let model = trained_files(session, 0)?;
        let model = load_as(&model, &session.device, session.recipe.annotator.precision)?;
        let (questions, _) = Sharing::of(&self.sequences());
        let read: Read<'_> =
            &|decoder, new, size, told| all_log_odds(decoder, new, answers, size, told);
        let reads = format!("log-odds of the next token, {} against {}", answers[0], answers[1]);
        let turn = Turn { number: 0, of: 1 };
        let said =
            self.said(session, stage, &model, |size| questions.shapes(size), (&reads, read), turn)?;
        // As a run computes them that knows no number of earlier ones.
        let at_once = session.state.now.plans.get(&stage.stage).map_or(1, |plan| plan.micro_batch);
        // What is asked in rounds of the policy is not what the stage has told.
        if !session.is_done(stage.stage) {
            let positions = Positions::of(&questions, at_once);
            session.measured("annotator.positions_over_least", positions.ratio())?;
        }
        Ok(said)
    }

    /// How likely the annotator's model finds the tokens of responses, in the mean of each.
    fn mean_log_probs(
        &self,
        session: &mut Session<'_>,
        stage: &'static AboutStage,
    ) -> Result<Vec<[f64; 2]>, RunError> {
        let model = trained_files(session, 0)?;
        let model = load_as(&model, &session.device, session.recipe.annotator.precision)?;
        let pad = self.pad.unwrap_or_default();
        let read: Read<'_> =
            &|decoder, new, size, told| distinct_log_probs(decoder, new, pad, size, told);
        let turn = Turn { number: 0, of: 1 };
        let sums = self.said(session, stage, &model, self.shapes(), (LOG_PROBS, read), turn)?;
        if !session.is_done(stage.stage) {
            let responses = distinct(&self.sequences()).0.len();
            session.measured("annotator.distinct_responses", responses as f64)?;
        }
        let mean = |(pair, sums): (&EncodedPair, [f64; 2])| {
            let tokens = |k: usize| pair.sides[k].response.len().max(1) as f64;
            [sums[0] / tokens(0), sums[1] / tokens(1)]
        };
        Ok(self.pairs.iter().zip(sums).map(mean).collect())
    }

    /// How much likelier the annotator's model finds responses than its reference does.
    fn log_ratios(
        &self,
        session: &mut Session<'_>,
        stage: &'static AboutStage,
    ) -> Result<Vec<[f64; 2]>, RunError> {
        let pad = self.pad.unwrap_or_default();
        let read: Read<'_> =
            &|decoder, new, size, told| all_log_probs(decoder, new, pad, size, told);
        let before = reference(session, &find_model(&session.recipe.annotator.model)?)?;
        let turn = Turn { number: 0, of: 2 };
        let before = self.said(session, stage, &before, self.shapes(), (LOG_PROBS, read), turn)?;
        session.device.memory_cleanup();
        let files = trained_files(session, 0)?;
        let learned = load_as(&files, &session.device, session.recipe.annotator.precision)?;
        let turn = Turn { number: 1, of: 2 };
        let learned =
            self.said(session, stage, &learned, self.shapes(), (LOG_PROBS, read), turn)?;
        let ratio = |(learned, before): ([f64; 2], [f64; 2])| {
            [learned[0] - before[0], learned[1] - before[1]]
        };
        Ok(learned.into_iter().zip(before).map(ratio).collect())
    }

    /// Both sides of each pair, one after the other.
    fn sequences(&self) -> Vec<&Sequence> {
        self.pairs.iter().flat_map(|pair| &pair.sides).collect()
    }

    /// The shapes of batches of sequences that share their prompts alone.
    fn shapes(&self) -> impl Fn(usize) -> Vec<BatchShape> {
        |size| shapes_of(&self.sequences(), size)
    }

    /// One number for each response by one model; those of earlier runs are not computed again.
    fn said(
        &self,
        session: &mut Session<'_>,
        stage: &'static AboutStage,
        model: &Checkpoint,
        shapes: impl Fn(usize) -> Vec<BatchShape>,
        (reads, read): (&str, Read<'_>),
        turn: Turn,
    ) -> Result<Vec<[f64; 2]>, RunError> {
        let settings = &session.recipe.annotator;
        let footprint = Footprint::of(model, settings.precision);
        let wanted = 2 * settings.training.batch_size;
        let scores = settings.kind.reads().output().is_scores();
        let batch_size = session.scoring_batch_in(stage, &footprint, scores, &shapes, wanted)?;
        let sequences = self.sequences();
        let (total, all) = (self.pairs.len() as u64, sequences.len() as u64);
        let before = turn.number as u64 * total;
        let mut cache = session.cached(&model.decoder, reads)?;
        let new: Vec<&Sequence> =
            sequences.iter().copied().filter(|side| cache.get(side).is_none()).collect();
        let known = (sequences.len() - new.len()) as u64;
        let found = read(&model.decoder, &new, batch_size, &mut |done| {
            let done = before + (known + done as u64) * total / all;
            session.progress(stage.stage, done / turn.of as u64, total)
        })?;
        new.into_iter().zip(found).for_each(|(side, number)| cache.put(side, number));
        let of = |side: &Sequence| f64::from(cache.get(side).unwrap_or(f32::NAN));
        let found = self.pairs.iter().map(|pair| pair.sides.each_ref().map(of)).collect();
        session.keep_cache(cache)?;
        Ok(found)
    }
}

/// Which of several models speaks.
#[derive(Clone, Copy)]
struct Turn {
    number: usize,
    of: usize,
}

/// Tells how many sequences are done.
type Told<'t> = &'t mut dyn FnMut(usize) -> Result<(), RunError>;

/// Reads one number for each sequence, in batches of this many.
type Read<'r> = &'r dyn Fn(&Decoder, &[&Sequence], usize, Told<'_>) -> Result<Vec<f32>, RunError>;
