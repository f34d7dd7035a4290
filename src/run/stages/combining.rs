//! Several annotators at once: what each says of the pairs, and what they say together.

use std::collections::HashMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::super::Recipe;
use super::super::error::RunError;
use super::super::recipe_combining::{not_there, table_at};
use super::super::report::{CombinationReport, VoiceReport};
use super::super::session::Session;
use super::asked::{Asked, Part, annotate, coin_of, one_sided};
use super::calibrating::{calibrator, of_part, signed};
use super::labels::for_policy;
use super::prepared::Prepared;
use crate::annotate::{Annotator, Combining, Further, Pool, Said, toward_first};
use crate::data::{AnnotatedPair, Side, weak_label};
use crate::files::hex;
use crate::preference::{
    Calibrator, Combine, DawidSkene, Fitted, Vote, aurc, aurc_difference, calibration,
    disagreement, mean_log_odds, sum_log_odds,
};
use crate::registry::Choice;
use crate::text::prompt_text;

/// The column of how far annotators disagree.
pub(crate) const DISAGREEMENT: &str = "disagreement";

/// One of the annotators that label together.
struct Voice {
    name: String,
    column: String,
    /// By how much the first response of each pair is better; `None` where it says nothing.
    margins: Vec<Option<f64>>,
    fitted: Fitted,
}

/// Whether earlier runs have said something of this one's pairs, before anything is computed: the fingerprint of
/// each table by its name.
///
/// # Errors
///
/// A table is not there or cannot be read, or has none of the pairs that it is needed for.
pub(super) fn check(
    recipe: &Recipe,
    prepared: &Prepared,
) -> Result<Vec<(String, String)>, RunError> {
    let combining = &recipe.annotator.constants.combining;
    let mut found = Vec::new();
    for (text, further) in combining.with.iter().zip(combining.further()) {
        let Further::Table(path) = further else { continue };
        let table = table_at(&path);
        if !table.is_file() {
            return Err(RunError::Impossible(not_there(text, &path)));
        }
        let said = Said::read(&table)?;
        let mut hash = Sha256::new();
        let mut any = |pairs: &[usize]| {
            let mut any = false;
            for pair in pairs.iter().map(|&i| &prepared.pairs[i]) {
                let margin = said.of(&prompt_text(&pair.prompt), &pair.responses);
                any |= margin.is_some();
                hash.update(margin.map_or([0xff; 8], f64::to_le_bytes));
            }
            any || pairs.is_empty()
        };
        let unlabelled = for_policy(recipe, prepared);
        if !any(&unlabelled) {
            return Err(RunError::Impossible(format!(
                "annotator.with: {} says something of none of the {} pairs that this run labels; expected annotations of the same prompts and responses: name a run with the same data, seed and shares (data.labelled, data.held_out)",
                table.display(),
                unlabelled.len()
            )));
        }
        any(&prepared.split.held_out);
        if !any(&prepared.split.calibration) && recipe.confidence.calibrates() {
            return Err(RunError::Impossible(nothing_to_fit(text)));
        }
        found.push((format!("annotator.with \"{text}\""), hex(&hash.finalize())));
    }
    Ok(found)
}

fn nothing_to_fit(name: &str) -> String {
    format!(
        "data.calibration: \"{name}\" says nothing of the calibration pairs, so that there is nothing to fit its confidence on; let an earlier run keep the same pairs apart (confidence.temperature = \"fit\", and the same data, seed and shares), raise data.calibration, or fit nothing (confidence.temperature = 1.0, confidence.calibration = \"temperature\")"
    )
}

/// Let those of `annotator.with` say of the same pairs what they think, and let all of them label together: the
/// annotations become theirs, and each one's log-odds columns. How many labels a coin decides then; `None` where
/// one annotator labels alone.
///
/// # Errors
///
/// A table cannot be read, or has nothing to do with the pairs, or there is nothing to fit an annotator's
/// confidence on.
pub(super) fn combine(
    session: &mut Session<'_>,
    prepared: &Prepared,
    pool: Pool,
    annotated: &mut [AnnotatedPair],
) -> Result<Option<usize>, RunError> {
    let combining = session.recipe.annotator.constants.combining.clone();
    if combining.combine == Combine::None || annotated.is_empty() {
        return Ok(None);
    }
    let voices = voices(session, prepared, pool, annotated, &combining)?;
    let estimate = match combining.combine {
        Combine::DawidSkene => Some(estimate(session, &voices, annotated)?),
        _ => None,
    };
    let alone: Vec<f64> = signed(&of_part(annotated, Part::HeldOut));
    let reports: Vec<VoiceReport> = voices
        .iter()
        .enumerate()
        .map(|(k, voice)| VoiceReport {
            estimated: estimate.as_ref().and_then(|found| found.accuracies.get(k).copied()),
            ..voice.report(annotated)
        })
        .collect();
    let weighting = &session.recipe.confidence;
    // What T divides later is not divided twice.
    let raw = !weighting.calibrates();
    let (seed, mut ties) = (session.recipe.seed, 0);
    for (row, pair) in annotated.iter_mut().enumerate() {
        let margins: Vec<f64> = voices.iter().filter_map(|voice| voice.said(row, raw)).collect();
        let log_odds: Vec<f64> = voices.iter().filter_map(|voice| voice.said(row, false)).collect();
        let together = match &estimate {
            Some(found) => found.log_odds(&votes(&voices, row)),
            None if combining.combine == Combine::Mean => mean_log_odds(&margins),
            None => sum_log_odds(&margins),
        };
        ties += usize::from(together == 0.0);
        pair.label = weak_label([together, 0.0], || coin_of(seed, pair));
        pair.margin = together.abs();
        pair.scores = one_sided(pair.label, pair.margin);
        for voice in &voices {
            let own = voice.said(row, false).map(|z| (voice.column.clone(), z));
            pair.columns.extend(own);
        }
        pair.columns.insert(DISAGREEMENT.to_owned(), disagreement(&log_odds));
    }
    tell(session, annotated, &alone, combining.combine, reports)?;
    Ok(Some(ties))
}

/// What will be done, in a sentence; `None` where one annotator labels alone.
pub(super) fn together(recipe: &Recipe) -> Option<String> {
    let Combining { combine, with } = &recipe.annotator.constants.combining;
    let how = match combine {
        Combine::None => return None,
        Combine::Mean => "the mean of their log-odds",
        Combine::DawidSkene => "how often each is estimated to be right",
        Combine::Product => "the sum of their log-odds",
    };
    Some(format!(
        " It labels together with {} more, by {how}: what they say together has the margin d.",
        with.len()
    ))
}

impl Voice {
    /// The log-odds that the first response of a pair is better; its margin where it is to be `raw`.
    fn said(&self, row: usize, raw: bool) -> Option<f64> {
        let margin = self.margins.get(row).copied().flatten()?;
        Some(if raw { margin } else { self.fitted.calibrator.signed(margin) })
    }

    /// How well it does by itself.
    fn report(&self, annotated: &[AnnotatedPair]) -> VoiceReport {
        let signed = self.signed(annotated, Part::HeldOut);
        VoiceReport {
            name: self.name.clone(),
            column: self.column.clone(),
            silent: self.margins.iter().filter(|margin| margin.is_none()).count(),
            ..measured(&signed, &self.fitted.calibrator)
        }
    }

    /// Its margins on the pairs of a part, positive where a human agrees, where one spoke.
    fn signed(&self, annotated: &[AnnotatedPair], part: Part) -> Vec<f64> {
        let of = |(pair, margin): (&AnnotatedPair, &Option<f64>)| {
            let known = if pair.split == part.name() { *margin } else { None };
            Some(if pair.human? == Side::First { known? } else { -known? })
        };
        annotated.iter().zip(&self.margins).filter_map(of).collect()
    }
}

/// What can be measured on held-out pairs.
fn measured(signed: &[f64], calibrator: &Calibrator) -> VoiceReport {
    let found = calibration(signed, calibrator);
    VoiceReport {
        held_out: signed.len(),
        accuracy: found.as_ref().map(|found| found.accuracy),
        ece: found.as_ref().map(|found| found.ece),
        aurc: aurc(signed),
        calibrator: Some(calibrator.clone()),
        ..VoiceReport::default()
    }
}

/// What each says of the annotated pairs, the chosen annotator first.
fn voices(
    session: &mut Session<'_>,
    prepared: &Prepared,
    pool: Pool,
    annotated: &[AnnotatedPair],
    combining: &Combining,
) -> Result<Vec<Voice>, RunError> {
    let kind = session.recipe.annotator.kind;
    let mut all = vec![annotated.iter().map(|pair| Some(toward_first(pair))).collect()];
    let mut names = vec![kind.name().to_owned()];
    for (text, further) in combining.with.iter().zip(combining.further()) {
        names.push(text.clone());
        all.push(match further {
            Further::Annotator(kind) => by_texts(session, prepared, pool, annotated, kind),
            Further::Table(path) => by_table(session, &path, annotated)?,
        });
    }
    let columns = combining.columns(kind);
    let told = names.into_iter().zip(columns).zip(all);
    told.map(|((name, column), margins)| {
        let unfitted = Fitted { calibrator: Calibrator::NONE, pairs: 0, doubts: Vec::new() };
        let voice = Voice { name, column, margins, fitted: unfitted };
        tell_silence(session, &voice)?;
        fitted(session, voice, annotated)
    })
    .collect()
}

/// What an annotator without a model says of the pairs.
fn by_texts(
    session: &Session<'_>,
    prepared: &Prepared,
    pool: Pool,
    annotated: &[AnnotatedPair],
    kind: Choice<dyn Annotator>,
) -> Vec<Option<f64>> {
    let mut recipe = session.recipe.clone();
    recipe.annotator.kind = kind;
    // The part is written down already.
    let asked = |pair: &AnnotatedPair| {
        Some(Asked { pair: usize::try_from(pair.pair?).ok()?, part: Part::Unlabelled })
    };
    let asked: Vec<Asked> = annotated.iter().filter_map(asked).collect();
    let (rows, _) = annotate(&recipe, prepared, &asked, pool, None);
    let said: HashMap<Option<u64>, f64> =
        rows.iter().map(|row| (row.pair, toward_first(row))).collect();
    annotated.iter().map(|pair| said.get(&pair.pair).copied()).collect()
}

/// What an annotator of an earlier run has said of them.
fn by_table(
    session: &mut Session<'_>,
    path: &Path,
    annotated: &[AnnotatedPair],
) -> Result<Vec<Option<f64>>, RunError> {
    let table = table_at(path);
    let said = Said::read(&table)?;
    if said.contradictions > 0 {
        session.warn(format!(
            "annotator.with: {} contradicts itself in {} rows, about pairs that stand in it more than once; what it says first of a pair counts",
            table.display(),
            said.contradictions
        ))?;
    }
    Ok(annotated.iter().map(|pair| said.of(&pair.prompt, &pair.responses)).collect())
}

fn tell_silence(session: &mut Session<'_>, voice: &Voice) -> Result<(), RunError> {
    let silent = voice.margins.iter().filter(|margin| margin.is_none()).count();
    if silent == 0 {
        return Ok(());
    }
    session.warn(format!(
        "annotator.with: \"{}\" says nothing of {silent} of {} pairs; the others label these",
        voice.name,
        voice.margins.len()
    ))
}

/// An annotator whose margins are calibrated by itself, as the recipe asks for it.
fn fitted(
    session: &mut Session<'_>,
    voice: Voice,
    annotated: &[AnnotatedPair],
) -> Result<Voice, RunError> {
    let on = voice.signed(annotated, Part::Calibration);
    let Some(fitted) = session.recipe.confidence.calibrator(&on) else {
        return Err(RunError::Impossible(nothing_to_fit(&voice.name)));
    };
    for warning in fitted.warnings() {
        session.warn(format!("\"{}\" by itself: {warning}", voice.name))?;
    }
    Ok(Voice { fitted, ..voice })
}

/// How often each is right, estimated on the unlabelled split without human labels.
fn estimate(
    session: &mut Session<'_>,
    voices: &[Voice],
    annotated: &[AnnotatedPair],
) -> Result<DawidSkene, RunError> {
    let unlabelled =
        |row: &usize| annotated.get(*row).is_some_and(|p| p.split == Part::Unlabelled.name());
    let votes: Vec<Vec<Vote>> =
        (0..annotated.len()).filter(unlabelled).map(|row| votes(voices, row)).collect();
    let Some(found) = DawidSkene::fit(&votes) else {
        return Err(RunError::Impossible("annotator.combine = \"dawid-skene\" learns how often annotators are right from the unlabelled split, of which none of them says anything; lower data.labelled, add data.unlabelled, or set annotator.combine = \"mean\"".to_owned()));
    };
    if !found.converged {
        session.warn(format!(
            "annotator.combine = \"dawid-skene\": after {} steps of EM the accuracies still move, because the annotators' agreement hardly fixes them; name more annotators, or set annotator.combine = \"mean\"",
            found.course.len()
        ))?;
    }
    for (voice, accuracy) in voices.iter().zip(&found.accuracies).filter(|(_, a)| **a < 0.5) {
        session.warn(format!(
            "annotator.combine = \"dawid-skene\": \"{}\" is estimated to be right in {:.1} % of its labels, so that each counts for the other response",
            voice.name,
            100.0 * accuracy
        ))?;
    }
    Ok(found)
}

/// The labels of all annotators for a pair; a tie is none.
fn votes(voices: &[Voice], row: usize) -> Vec<Vote> {
    let vote = |voice: &Voice| voice.said(row, true).filter(|z| *z != 0.0).map(|z| z > 0.0);
    voices.iter().map(vote).collect()
}

/// Tell how well each does, and all of them, on held-out pairs; `alone` are the margins of the chosen annotator
/// there.
fn tell(
    session: &mut Session<'_>,
    annotated: &[AnnotatedPair],
    alone: &[f64],
    rule: Combine,
    annotators: Vec<VoiceReport>,
) -> Result<(), RunError> {
    let held_out = signed(&of_part(annotated, Part::HeldOut));
    let fitted = calibrator(&session.recipe.confidence, annotated)?;
    let together =
        VoiceReport { name: "together".to_owned(), ..measured(&held_out, &fitted.calibrator) };
    let report = CombinationReport { rule, pairs: annotated.len(), annotators, together };
    session.tabulated("annotator.combination", &report)?;
    match aurc_difference(&held_out, alone, session.recipe.seed) {
        Some(found) => session.measured_within(
            "annotator.aurc_together_less_alone",
            found.value,
            found.interval,
        ),
        None => Ok(()),
    }
}
