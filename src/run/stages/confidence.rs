//! Let the annotator label the unlabelled split, and measure how sure and how right it is.

use std::path::PathBuf;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::error::RunError;
use super::super::event::Event;
use super::super::session::Session;
use super::super::stage::Stage;
use super::super::{AnnotatorKind, Recipe};
use super::annotator::{by_human, pad, trained_files};
use super::data::Prepared;
use super::encode::{encode, encoder, max_length};
use super::stream;
use crate::annotate::score_sequences;
use crate::batch::{Ranked, Sequence};
use crate::data::{
    AnnotatedPair, Label, Pair, Side, read_annotations, weak_label, write_annotations,
};
use crate::model::{Footprint, ModelFiles, load_as};
use crate::preference::{calibration, confidence};
use crate::text::{EncodedPair, Fit, prompt_text};

/// Where the annotations of a run are.
const FILE: &str = "annotations.parquet";

/// A pair with a label for the policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Labelled {
    /// Index of the pair.
    pub(crate) pair: usize,
    /// The preferred response.
    pub(crate) chosen: Side,
    /// The annotator's margin d; unused for human labels.
    pub(crate) margin: f64,
    /// What multiplies the pair's weight.
    pub(crate) weight: f64,
}

/// The Human baseline: human labels of the unlabelled split, or of all training pairs where
/// the labelled split takes everything.
pub(crate) fn human_labels(session: &Session<'_>, prepared: &Prepared) -> Vec<Labelled> {
    let label = |pair: usize| {
        let Pair { label, weight, .. } = &prepared.pairs[pair];
        let (chosen, weight) = (label.as_ref()?.preferred, f64::from(*weight));
        Some(Labelled { pair, chosen, margin: 0.0, weight })
    };
    for_policy(&session.recipe, prepared).into_iter().filter_map(label).collect()
}

/// The pairs that the policy trains on: the unlabelled split, or all training pairs where the
/// labelled split takes everything and trains no annotator.
pub(crate) fn for_policy(recipe: &Recipe, prepared: &Prepared) -> Vec<usize> {
    let split = &prepared.split;
    let mut indexes = split.unlabelled.clone();
    if recipe.annotator.kind != AnnotatorKind::RewardHead && recipe.data.labelled >= 1.0 {
        indexes.extend(&split.labelled);
        indexes.sort_unstable();
    }
    indexes
}

/// A probability of 1 has no finite margin; this is near enough to it.
const SUREST: f64 = 0.9999;

/// Whether the labels of the files have margins; else they have probabilities.
///
/// # Errors
///
/// They have neither.
pub(crate) fn say_how_sure(recipe: &Recipe, prepared: &Prepared) -> Result<bool, RunError> {
    let indexes = for_policy(recipe, prepared);
    let labels = || indexes.iter().filter_map(|&i| prepared.pairs[i].label);
    let by_margin = labels().any(|label| label.margin.is_some());
    if !by_margin && labels().all(|label| label.agreement >= 1.0) {
        return Err(RunError::Impossible("annotator.kind = \"file\", but the files do not say how sure their labels are; expected a column margin, agreement, confidence or probability, ratings, or one that data.columns.margin names; annotator.kind = \"human\" takes all labels alike".to_owned()));
    }
    Ok(by_margin)
}

/// The labels of the files, as sure as these say: by their margins, or by the probabilities of
/// their labels where no pair has a margin.
pub(crate) fn of_files(
    session: &mut Session<'_>,
    prepared: &Prepared,
) -> Result<Vec<Labelled>, RunError> {
    let by_margin = say_how_sure(&session.recipe, prepared)?;
    let indexes = for_policy(&session.recipe, prepared);
    let labels = || indexes.iter().filter_map(|&i| Some((i, prepared.pairs[i].label?)));
    let t = session.recipe.confidence.temperature;
    let margin = |label: &Label| {
        if by_margin {
            return label.margin.map(f64::from);
        }
        // σ(d/T) = p.
        let p = f64::from(label.agreement).clamp(0.5, SUREST);
        Some(t * (p / (1.0 - p)).ln())
    };
    let known: Vec<Labelled> = labels()
        .filter_map(|(pair, label)| {
            let (chosen, weight) = (label.preferred, f64::from(prepared.pairs[pair].weight));
            Some(Labelled { pair, chosen, margin: margin(&label)?, weight })
        })
        .collect();
    if known.len() < indexes.len() {
        session.warn(format!(
            "{} of {} pairs are left out: the files have no label for them, or do not say how sure it is",
            indexes.len() - known.len(),
            indexes.len()
        ))?;
    }
    let path = session.folder.path().join(FILE);
    session.stage(Stage::Confidence, known.len() as u64, |session| {
        let annotated: Vec<AnnotatedPair> = known.iter().map(|l| stated(prepared, l)).collect();
        write_annotations(&path, &annotated)?;
        let margins: Vec<f64> = known.iter().map(|label| label.margin).collect();
        let weights = session.recipe.confidence.weights(&margins);
        session.measured("confidence.mean", mean(margins.iter().map(|&d| confidence(d, t))))?;
        session.measured("confidence.kept", above_zero(&weights))?;
        session.produced(FILE)?;
        session.emit(Event::Annotated { file: PathBuf::from(FILE), pairs: annotated.len() })
    })?;
    Ok(known)
}

/// A label of a file as an annotation: no human but the file itself spoke, so none agrees.
fn stated(prepared: &Prepared, label: &Labelled) -> AnnotatedPair {
    let pair = &prepared.pairs[label.pair];
    let mut scores = [0.0; 2];
    scores[label.chosen.index()] = label.margin as f32;
    AnnotatedPair {
        split: "unlabelled".to_owned(),
        prompt: prompt_text(&pair.prompt),
        responses: pair.responses.clone(),
        human: None,
        scores,
        label: label.chosen,
    }
}

pub(crate) fn run(
    session: &mut Session<'_>,
    prepared: &Prepared,
) -> Result<Vec<Labelled>, RunError> {
    let files = trained_files(session)?;
    let encoder = encoder(session, &files)?;
    let pad = pad(&files, &encoder, session.state.now.report.annotator.steps)?;
    let max_length = max_length(&session.recipe, &files)?;
    let mut pairs = Vec::new();
    for (split, indexes) in
        [("unlabelled", &prepared.split.unlabelled), ("held-out", &prepared.split.held_out)]
    {
        for pair in encode(session, &encoder, prepared, indexes, ["annotator", split])? {
            if pair.fit(Fit::Whole, max_length).is_some() {
                pairs.push(pair);
            } else {
                session.too_long.insert(pair.pair);
            }
        }
    }
    let path = session.folder.path().join(FILE);
    session.stage(Stage::Confidence, pairs.len() as u64, |session| {
        let scores = score(session, &files, pad, &pairs)?;
        let seed = session.recipe.seed;
        let annotated: Vec<AnnotatedPair> =
            pairs.iter().zip(&scores).map(|(p, s)| annotate(prepared, p.pair, *s, seed)).collect();
        write_annotations(&path, &annotated)?;
        let ties = annotated.iter().filter(|a| a.margin() == 0.0).count();
        if ties > 0 {
            session.warn(format!(
                "the annotator scores both responses of {ties} of {} pairs alike: a coin decides their labels, they count as misses, and their confidence is 0",
                annotated.len()
            ))?;
        }
        summarise(session, prepared, &pairs, &annotated)?;
        session.produced(FILE)?;
        session.emit(Event::Annotated { file: PathBuf::from(FILE), pairs: annotated.len() })
    })?;
    let annotated = read_annotations(&path)?;
    let same =
        |(p, a): (&EncodedPair, &AnnotatedPair)| prepared.pairs[p.pair].responses == a.responses;
    if annotated.len() != pairs.len() || !pairs.iter().zip(&annotated).all(same) {
        return Err(RunError::Impossible(format!(
            "{}: its {} annotations are not those of the {} pairs that the annotator reads; begin the run again",
            path.display(),
            annotated.len(),
            pairs.len()
        )));
    }
    Ok(labels(prepared, &pairs, &annotated))
}

fn score(
    session: &mut Session<'_>,
    files: &ModelFiles,
    pad: Option<u32>,
    pairs: &[EncodedPair],
) -> Result<Vec<[f32; 2]>, RunError> {
    let annotator = load_as(files, &session.device, session.recipe.annotator.precision)?;
    if annotator.decoder.score.is_none() {
        return Err(RunError::Impossible(format!(
            "{} has no score.weight, and annotator.epochs = 0; let it learn (annotator.epochs = 5, say)",
            files.name()
        )));
    }
    let sequences: Vec<&Sequence> = pairs.iter().flat_map(|p| &p.sides).collect();
    let settings = &session.recipe.annotator;
    let footprint = Footprint::of(&annotator, settings.precision);
    let wanted = 2 * settings.training.batch_size;
    let batch_size =
        session.scoring_batch(Stage::Confidence, &footprint, true, &sequences, wanted)?;
    let total = pairs.len() as u64;
    let mut passes = session.passes(&annotator.decoder, &format!("scores, padding {pad:?}"))?;
    let new: Vec<&Sequence> =
        sequences.iter().copied().filter(|side| passes.get(side).is_none()).collect();
    let known = (sequences.len() - new.len()) as u64;
    let scores = score_sequences(&annotator.decoder, &new, pad, batch_size, &mut |done| {
        session.progress(Stage::Confidence, (known + done as u64) / 2, total)
    })?;
    new.into_iter().zip(scores).for_each(|(side, score)| passes.put(side, score));
    let of = |side: &Sequence| passes.get(side).unwrap_or(f32::NAN);
    let scores = pairs.iter().map(|pair| pair.sides.each_ref().map(of)).collect();
    session.keep_passes(passes)?;
    Ok(scores)
}

fn annotate(prepared: &Prepared, index: usize, scores: [f32; 2], seed: u64) -> AnnotatedPair {
    let pair = &prepared.pairs[index];
    let held_out = prepared.split.held_out.binary_search(&index).is_ok();
    AnnotatedPair {
        split: if held_out { "held_out" } else { "unlabelled" }.to_owned(),
        prompt: prompt_text(&pair.prompt),
        responses: pair.responses.clone(),
        human: pair.label.map(|label| label.preferred),
        scores,
        label: weak_label(scores, || coin(seed, index)),
    }
}

/// Breaks the tie of a pair, in the same way whenever it is asked.
fn coin(seed: u64, pair: usize) -> Side {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream::TIES);
    rng.set_word_pos(pair as u128);
    if rng.random() { Side::Second } else { Side::First }
}

/// Labels of the unlabelled split, in the order of the files.
fn labels(
    prepared: &Prepared,
    pairs: &[EncodedPair],
    annotated: &[AnnotatedPair],
) -> Vec<Labelled> {
    let unlabelled = |a: &AnnotatedPair| a.split == "unlabelled";
    let weight = |pair: usize| f64::from(prepared.pairs[pair].weight);
    pairs
        .iter()
        .zip(annotated)
        .filter(|(_, a)| unlabelled(a))
        .map(|(p, a)| Labelled {
            pair: p.pair,
            chosen: a.label,
            margin: a.margin(),
            weight: weight(p.pair),
        })
        .collect()
}

fn summarise(
    session: &mut Session<'_>,
    prepared: &Prepared,
    pairs: &[EncodedPair],
    annotated: &[AnnotatedPair],
) -> Result<(), RunError> {
    let weighting = session.recipe.confidence.clone();
    let t = weighting.temperature;
    let (held_out, unlabelled): (Vec<_>, Vec<_>) =
        pairs.iter().zip(annotated).partition(|(_, a)| a.split == "held_out");

    let signed = |(p, a): &(&EncodedPair, &AnnotatedPair)| {
        let Ranked { chosen, rejected } = by_human(&prepared.pairs[p.pair], a.scores);
        f64::from(chosen) - f64::from(rejected)
    };
    let signed: Vec<f64> = held_out.iter().filter(|(_, a)| a.human.is_some()).map(signed).collect();
    let measured = calibration(&signed, t);
    let humans: Vec<&Pair> = held_out.iter().map(|(p, _)| &prepared.pairs[p.pair]).collect();
    if let Some(found) = &measured {
        session.measured("annotator.accuracy", found.accuracy)?;
        session.measured("annotator.ece", found.ece)?;
        session.measured("annotator.nll", found.nll)?;
        session.tabulated("annotator.calibration", found)?;
    }
    session.measured("annotator.longer_is_better", longer_is_better(&humans))?;

    let margins: Vec<f64> = unlabelled.iter().map(|(_, a)| a.margin()).collect();
    let weights = weighting.weights(&margins);
    let share = |kept: bool| {
        let known = unlabelled.iter().zip(&weights).filter(|(_, w)| !kept || **w > 0.0);
        mean(known.filter_map(|((_, a), _)| a.agrees()).map(f64::from))
    };
    let (all, kept) = (share(false), share(true));
    session.measured("confidence.mean", mean(margins.iter().map(|&d| confidence(d, t))))?;
    session.measured("confidence.kept", above_zero(&weights))?;
    session.measured("confidence.agreement", all)?;
    session.measured("confidence.agreement_kept", kept)
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

/// The mean, if there is anything to average.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0usize, 0.0), |(n, sum), v| (n + 1, sum + v));
    (count > 0).then(|| sum / count as f64)
}
