//! Let the annotator label the unlabelled split, and measure how sure and how right it is.

use std::collections::HashMap;
use std::path::PathBuf;

use super::super::Recipe;
use super::super::error::RunError;
use super::super::event::Event;
use super::super::recipe_combining::ANNOTATIONS as FILE;
use super::super::session::Session;
use super::super::stage::{AboutStage, Part, Shows, Stage, StageEstimate, Whose};
use super::asked::{Asked, Part as Asks, annotate, tell_more};
use super::calibrating::{calibrator, judged, of_part, selective, signed, tell};
use super::combining::{self, combine, together};
use super::estimating::Estimating;
use super::gating::gate;
use super::labels::{Labelled, believed, by_human, for_policy, mean};
use super::prepared::Prepared;
use super::texts::Texts;
use super::tournament::{asked_for, tournament};
use super::work::Work;
use super::{StageDefinition, Then};
use crate::annotate::Pool;
use crate::batch::Ranked;
use crate::data::{AnnotatedPair, Pair, read_annotations, write_annotations};
use crate::preference::{Judged, calibration, confidence};

pub(super) struct Confidence;

impl Stage {
    /// Let the annotator label the unlabelled and the held-out split.
    pub const CONFIDENCE: Self = Self("confidence");
}

/// Everything between the annotator and its labels.
pub(super) static PART: Part = Part {
    title: "Confidence",
    explanation: "Let it label the rest, each label with a confidence",
    shows: Shows::Confidence,
};

static ABOUT: AboutStage = AboutStage {
    stage: Stage::CONFIDENCE,
    title: "Confidence",
    part: &PART,
    model: Whose::Annotator,
    computes: true,
    seed: 2,
};

impl StageDefinition for Confidence {
    fn about(&self) -> &'static AboutStage {
        &ABOUT
    }

    fn plan(&self, recipe: &Recipe) -> String {
        let weighting = &recipe.confidence;
        if !recipe.annotator.kind.reads().confidence() {
            return "The labels are believed: each pair has weight 1.".to_owned();
        }
        let threshold = if weighting.threshold > 0.0 {
            format!("; pairs with C below {:.2} count for nothing", weighting.threshold)
        } else {
            String::new()
        };
        let who = if recipe.annotator.kind.reads().labels() {
            "The margin d of each label"
        } else {
            "It labels the other pairs. The difference d of its two scores"
        };
        let calibrated = match weighting.fits() {
            true => format!(" Confidence is calibrated by {}.", weighting.calibration_words()),
            false => String::new(),
        };
        let combined = together(recipe).unwrap_or_default();
        let ordered = match asked_for(recipe) {
            true => " All candidates of a prompt follow one order.",
            false => "",
        };
        format!(
            "{who} says how sure it is: {}{threshold}.{ordered}{calibrated}{combined}",
            weighting.words()
        )
    }

    fn estimate(&self, inputs: &Estimating<'_>) -> Result<Option<StageEstimate>, RunError> {
        combining::check(inputs.recipe, inputs.prepared)?;
        let settings = &inputs.recipe.annotator;
        if !settings.kind.reads().model() {
            return can_be_asked(inputs.recipe, inputs.prepared).map(|_| None);
        }
        let reader = inputs.annotator()?;
        let split = &inputs.prepared.split;
        let rest = [&split.unlabelled[..], &split.calibration, &split.held_out].concat();
        let pairs = inputs.asked(reader, &rest)?;
        Ok(Some(inputs.read_by_annotator(reader, &pairs)))
    }

    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError> {
        let prepared = work.prepared()?;
        let labels = if session.recipe.annotator.kind.reads().confidence() {
            labels(session, prepared)?
        } else {
            believed(&session.recipe, prepared)
        };
        if labels.is_empty() {
            session.warn("no pair is left for the policy: the unlabelled split is empty; lower data.labelled or add data.unlabelled".to_owned())?;
            return Ok(Then::End);
        }
        work.set_labels(labels);
        Ok(Then::Next)
    }
}

/// What is known of the pairs that the annotator is asked about.
///
/// # Errors
///
/// It has nothing to say of such pairs.
fn can_be_asked(recipe: &Recipe, prepared: &Prepared) -> Result<Pool, RunError> {
    let indexes = for_policy(recipe, prepared);
    let pool = Pool::of(indexes.iter().filter_map(|&i| prepared.pairs[i].label));
    recipe.annotator.kind.check(&pool).map_err(RunError::Impossible)?;
    Ok(pool)
}

/// Ask the annotator of every pair, and keep what it says.
fn labels(session: &mut Session<'_>, prepared: &Prepared) -> Result<Vec<Labelled>, RunError> {
    let reads = session.recipe.annotator.kind.reads();
    let pool = can_be_asked(&session.recipe, prepared)?;
    let (asked, texts) = if reads.model() {
        let (asked, texts) = Texts::of(session, prepared)?;
        (asked, Some(texts))
    } else {
        (Asked::without_model(session, prepared, pool)?, None)
    };
    let path = session.folder.path().join(FILE);
    session.stage(Stage::CONFIDENCE, asked.len() as u64, |session| {
        let scores = texts.map(|texts| texts.score(session, &ABOUT)).transpose()?;
        let (mut annotated, ties) =
            annotate(&session.recipe, prepared, &asked, pool, scores.as_deref());
        let ties = tournament(session, &mut annotated)?.unwrap_or(ties);
        let ties = combine(session, prepared, pool, &mut annotated)?.unwrap_or(ties);
        gate(session, prepared, &mut annotated)?;
        write_annotations(&path, &annotated)?;
        if ties > 0 {
            session.warn(format!(
                "the annotator scores both responses of {ties} of {} pairs alike: a coin decides their labels, they count as misses, and their confidence is 0",
                annotated.len()
            ))?;
        }
        summarise(session, prepared, &annotated)?;
        tell_more(session, &annotated)?;
        session.produced(FILE)?;
        session.emit(Event::Annotated { file: PathBuf::from(FILE), pairs: annotated.len() })
    })?;
    let annotated = read_annotations(&path)?;
    let weighting = &session.recipe.confidence;
    let fitted = calibrator(weighting, &annotated)?;
    let judged = judged(weighting, &fitted.calibrator, &annotated)?;
    let known = joined(prepared, &asked, &annotated, &judged).ok_or_else(|| {
        RunError::Impossible(format!(
            "{}: its {} annotations are not those of the {} pairs that the annotator reads; begin the run again",
            path.display(),
            annotated.len(),
            asked.len()
        ))
    })?;
    Ok(known)
}

/// Labels of the unlabelled split, in the order in which the annotator was asked, if the table has all of
/// them.
fn joined(
    prepared: &Prepared,
    asked: &[Asked],
    annotated: &[AnnotatedPair],
    judged: &Judged,
) -> Option<Vec<Labelled>> {
    let by_pair: HashMap<u64, &AnnotatedPair> =
        annotated.iter().filter_map(|a| Some((a.pair?, a))).collect();
    if by_pair.len() != asked.len() || annotated.len() != asked.len() {
        return None;
    }
    let unlabelled = of_part(annotated, Asks::Unlabelled);
    let places: HashMap<Option<u64>, usize> =
        unlabelled.iter().enumerate().map(|(place, a)| (a.pair, place)).collect();
    let mut labels = Vec::new();
    for asked in asked {
        let (pair, found) = (&prepared.pairs[asked.pair], by_pair.get(&(asked.pair as u64))?);
        if pair.responses != found.responses {
            return None;
        }
        if asked.part == Asks::Unlabelled {
            let place = *places.get(&found.pair)?;
            let weight = f64::from(pair.weight) * judged.given(place);
            let (chosen, margin, log_odds) = (found.label, found.margin, judged.log_odds[place]);
            labels.push(Labelled { pair: asked.pair, chosen, margin, log_odds, weight });
        }
    }
    Some(labels)
}

fn summarise(
    session: &mut Session<'_>,
    prepared: &Prepared,
    annotated: &[AnnotatedPair],
) -> Result<(), RunError> {
    let weighting = session.recipe.confidence.clone();
    let fitted = calibrator(&weighting, annotated)?;
    let held_out = of_part(annotated, Asks::HeldOut);
    let signed = signed(&held_out);
    if let Some(found) = &calibration(&signed, &fitted.calibrator) {
        session.measured("annotator.accuracy", found.accuracy)?;
        session.measured("annotator.ece", found.ece)?;
        session.measured("annotator.nll", found.nll)?;
        session.tabulated("annotator.calibration", found)?;
    }
    selective(session, &held_out)?;
    let humans: Vec<&Pair> =
        held_out.iter().filter_map(|a| prepared.pairs.get(a.pair? as usize)).collect();
    session.measured("annotator.longer_is_better", longer_is_better(&humans))?;

    let unlabelled = of_part(annotated, Asks::Unlabelled);
    let judged = judged(&weighting, &fitted.calibrator, annotated)?;
    if judged.negative > 0 {
        session.warn(format!(
            "confidence.weight gives {} of {} pairs a weight below 0; they weigh nothing",
            judged.negative,
            unlabelled.len()
        ))?;
    }
    let weights = weighting.weigh(&judged);
    let share = |kept: bool| {
        let known = unlabelled.iter().zip(&weights).filter(|(_, w)| !kept || **w > 0.0);
        mean(known.filter_map(|(a, _)| a.agrees()).map(f64::from))
    };
    let (all, kept) = (share(false), share(true));
    session.measured("confidence.mean", mean(judged.log_odds.iter().map(|&z| confidence(z))))?;
    session.measured("confidence.kept", above_zero(&weights))?;
    session.measured("confidence.agreement", all)?;
    session.measured("confidence.agreement_kept", kept)?;
    if weighting.calibrates() { tell(session, fitted, &signed) } else { Ok(()) }
}

/// How many weights are more than 0.
fn above_zero(weights: &[f64]) -> f64 {
    weights.iter().filter(|weight| **weight > 0.0).count() as f64
}

/// Accuracy of preferring the longer response, in characters; ties count one half.
fn longer_is_better(pairs: &[&Pair]) -> Option<f64> {
    let right = |pair: &&Pair| {
        pair.label?;
        let lengths = pair.responses.each_ref().map(|response| response.chars().count());
        let Ranked { chosen, rejected } = by_human(pair, lengths);
        Some(match chosen.cmp(&rejected) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        })
    };
    mean(pairs.iter().filter_map(right))
}
