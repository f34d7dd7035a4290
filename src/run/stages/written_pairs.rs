//! What the policy wrote as pairs: whose response is preferred, what can be measured of them, and what is learned.

use std::collections::HashMap;

use super::super::error::RunError;
use super::super::recipe_combining::ANNOTATIONS;
use super::super::session::Session;
use super::asked::{Part, one_sided};
use super::calibrating::{calibrator, judged};
use super::gating::gate_again;
use super::gold_pairs::rewards;
use super::labels::{Labelled, mean};
use super::material::{LabelledPair, Material};
use super::preferring::{ENDED, different, prefer};
use super::prepared::Prepared;
use super::sampling::{Response, Written};
use crate::batch::{Ranked, Sequence};
use crate::data::{AnnotatedPair, Pair, STATED_MARGIN, Side, read_annotations};
use crate::preference::{calibration, confidence};
use crate::text::{Fit, encode_pairs, prompt_text};

/// Columns of the gold rewards of both responses, where they are known.
const GOLD: [&str; 2] = ["gold_1", "gold_2"];

/// What the policy wrote in a round.
pub(super) struct Wrote {
    /// As the table of the round has it.
    pub(super) rows: Vec<AnnotatedPair>,
    /// Prompts that it wrote to.
    prompts: usize,
    /// All that it wrote.
    responses: Vec<Response>,
    /// Prompts whose responses make no pair, because they are the same.
    alike: usize,
    /// Prompts of whose responses the annotator says nothing.
    silent: usize,
}

/// The best against the worst of what was written to each prompt.
///
/// # Errors
///
/// The annotator or the gold model fails.
pub(super) fn preferred(
    session: &mut Session<'_>,
    prepared: &Prepared,
    written: Vec<Written>,
) -> Result<Wrote, RunError> {
    let (prompts, responses) = (written.len(), responses(&written));
    let (written, alike) = different(written);
    let (mut rows, silent) = prefer(session, prepared, &written)?;
    if session.recipe.confidence.gate {
        gate_again(prepared, &annotations(session)?, &mut rows)?;
    }
    let known = rewards(session, prepared, &rows)?;
    for (row, rewards) in rows.iter_mut().zip(known) {
        let rewards = GOLD.map(str::to_owned).into_iter().zip(rewards.into_iter().flatten());
        row.columns.extend(rewards);
    }
    Ok(Wrote { rows, prompts, responses, alike, silent })
}

/// The preferred response of each labelled pair against the one that was written to its prompt; its margin is that
/// of the label.
pub(super) fn against(prepared: &Prepared, material: &Material, written: Vec<Written>) -> Wrote {
    let (prompts, responses) = (written.len(), responses(&written));
    let labels = labels_of(material);
    let row = |Written { pair, responses }: Written| {
        let (label, own) = (labels.get(&pair)?, responses.into_iter().next()?);
        let Pair { prompt, responses, .. } = &prepared.pairs[pair];
        let preferred = responses[label.chosen.index()].clone();
        let ended = (ENDED[1].to_owned(), f64::from(u8::from(own.ended)));
        (preferred != own.text).then(|| AnnotatedPair {
            pair: Some(pair as u64),
            split: Part::Unlabelled.name().to_owned(),
            prompt: prompt_text(prompt),
            responses: [preferred, own.text],
            human: None,
            scores: one_sided(Side::First, label.margin),
            label: Side::First,
            margin: label.margin,
            columns: [ended].into(),
        })
    };
    let rows: Vec<AnnotatedPair> = written.into_iter().filter_map(row).collect();
    Wrote { alike: prompts - rows.len(), rows, prompts, responses, silent: 0 }
}

fn responses(written: &[Written]) -> Vec<Response> {
    written.iter().flat_map(|written| written.responses.iter().cloned()).collect()
}

/// The labels of the pairs that the policy learns from, by pair.
fn labels_of(material: &Material) -> HashMap<usize, Labelled> {
    material.pairs.iter().map(|(_, label)| (label.pair, *label)).collect()
}

/// What the annotator has said before.
fn annotations(session: &Session<'_>) -> Result<Vec<AnnotatedPair>, RunError> {
    Ok(read_annotations(&session.folder.path().join(ANNOTATIONS))?)
}

/// Tell what was written in a round, counted from 0, what of it makes no pair, and how right the annotator is where a
/// gold reward knows.
pub(super) fn tell(session: &mut Session<'_>, wrote: &Wrote, round: usize) -> Result<(), RunError> {
    let number = round + 1;
    let Wrote { rows, prompts, responses, alike, silent } = wrote;
    let unended = responses.iter().filter(|response| !response.ended).count();
    if unended > 0 {
        session.warn(format!(
            "round {number}: {unended} of {} responses do not end within online.max_new_tokens = {}, and are learned without an end; raise it where they should end",
            responses.len(),
            session.recipe.online.max_new_tokens
        ))?;
    }
    if *alike > 0 {
        session.warn(format!(
            "round {number}: {alike} of {prompts} prompts make no pair, because {}",
            if session.recipe.rejects_own() {
                "the policy writes the preferred response word for word"
            } else {
                "all responses to them are the same"
            }
        ))?;
    }
    if *silent > 0 {
        session.warn(format!(
            "round {number}: {silent} of {prompts} prompts make no pair, because the annotator says nothing of two of their responses: they are too long for it (data.max_length), or refused"
        ))?;
    }
    let measured = [
        ("prompts", Some(*prompts as f64)),
        ("alike", Some(*alike as f64)),
        ("silent", Some(*silent as f64)),
        ("length", mean(responses.iter().map(|response| response.tokens as f64))),
        ("ended", mean(responses.iter().map(|response| f64::from(u8::from(response.ended))))),
        ("gold", mean(rows.iter().filter_map(gold).flatten())),
    ];
    for (name, value) in measured {
        session.measured(&format!("rounds.{number}.{name}"), value)?;
    }
    if session.recipe.rejects_own() { Ok(()) } else { tell_annotator(session, rows, number) }
}

/// The gold rewards of a row, where they are known.
fn gold(row: &AnnotatedPair) -> Option<[f64; 2]> {
    Some([*row.columns.get(GOLD[0])?, *row.columns.get(GOLD[1])?])
}

/// Tell how sure the annotator is of what the policy wrote, and how right.
fn tell_annotator(
    session: &mut Session<'_>,
    rows: &[AnnotatedPair],
    number: usize,
) -> Result<(), RunError> {
    let weighting = session.recipe.confidence.clone();
    let fitted = calibrator(&weighting, &annotations(session)?)?;
    let sure = rows.iter().map(|row| confidence(fitted.calibrator.log_odds(row.margin)));
    session.measured(&format!("rounds.{number}.confidence"), mean(sure))?;
    let (mut right, mut signed) = (Vec::new(), Vec::new());
    for row in rows {
        let Some([first, second]) = gold(row).filter(|[first, second]| first != second) else {
            continue;
        };
        let agrees = (first > second) == (row.label == Side::First);
        // A gate may distrust a label that the annotator was sure of; a tie agrees with nobody.
        let stated = row.columns.get(STATED_MARGIN).copied().unwrap_or(row.margin);
        right.push(f64::from(u8::from(agrees && stated > 0.0)));
        signed.push(if agrees { row.margin } else { -row.margin });
    }
    session.measured(&format!("rounds.{number}.annotator_accuracy"), mean(right.into_iter()))?;
    let found = calibration(&signed, &fitted.calibrator);
    session.measured(&format!("rounds.{number}.annotator_ece"), found.map(|found| found.ece))
}

/// The pairs of a round's table in the policy's tokens, with what they weigh; those that do not fit are left out.
///
/// # Errors
///
/// The table is not of this run's pairs; the tokenizer fails.
pub(super) fn pairs(
    session: &Session<'_>,
    prepared: &Prepared,
    material: &Material,
    rows: &[AnnotatedPair],
) -> Result<Vec<LabelledPair>, RunError> {
    let labels = labels(session, prepared, material, rows)?;
    let text = |(row, label): (&AnnotatedPair, &Labelled)| Pair {
        responses: row.responses.clone(),
        label: None,
        ..prepared.pairs[label.pair].clone()
    };
    let texts: Vec<Pair> = rows.iter().zip(&labels).map(text).collect();
    let all: Vec<usize> = (0..texts.len()).collect();
    let stop = material.encoder.stop();
    let mut pairs = Vec::with_capacity(texts.len());
    for mut pair in encode_pairs(&material.encoder, &texts, &all)?.pairs {
        let row = &rows[pair.pair];
        for (side, ended) in pair.sides.iter_mut().zip(ENDED) {
            if row.columns.get(ended) == Some(&0.0) {
                without_end(side, &stop);
            }
        }
        if pair.sides.iter().any(|side| side.response.is_empty()) {
            continue;
        }
        if let Some(sides) = pair.fit(Fit::Start, material.max_length) {
            let label = labels[pair.pair];
            pairs.push((Ranked::of(sides, label.chosen == Side::Second), label));
        }
    }
    Ok(pairs)
}

/// A response without what an encoder puts behind it: the policy did not write that.
fn without_end(side: &mut Sequence, stop: &[u32]) {
    if let Some(end) = side.response.iter().rposition(|token| stop.contains(token)) {
        side.response.truncate(end);
    }
}

/// What the pairs of a round's table weigh, and who is preferred.
fn labels(
    session: &Session<'_>,
    prepared: &Prepared,
    material: &Material,
    rows: &[AnnotatedPair],
) -> Result<Vec<Labelled>, RunError> {
    let source = |row: &AnnotatedPair| {
        let pair = row.pair.and_then(|pair| usize::try_from(pair).ok());
        pair.filter(|pair| *pair < prepared.pairs.len()).ok_or_else(strange)
    };
    if session.recipe.rejects_own() {
        let known = labels_of(material);
        let of = |row: &AnnotatedPair| {
            let label = known.get(&source(row)?).ok_or_else(strange)?;
            Ok::<_, RunError>(Labelled { chosen: Side::First, ..*label })
        };
        return rows.iter().map(of).collect();
    }
    let weighting = &session.recipe.confidence;
    let fitted = calibrator(weighting, &annotations(session)?)?;
    let judged = judged(weighting, &fitted.calibrator, rows)?;
    let of = |(i, row): (usize, &AnnotatedPair)| {
        let pair = source(row)?;
        let weight = f64::from(prepared.pairs[pair].weight) * judged.given(i);
        let (chosen, margin) = (row.label, row.margin);
        Ok::<_, RunError>(Labelled { pair, chosen, margin, log_odds: judged.log_odds[i], weight })
    };
    rows.iter().enumerate().map(of).collect()
}

/// A table of other pairs.
fn strange() -> RunError {
    RunError::Impossible(
        "the table of a round names pairs that the run has not read; begin the run again"
            .to_owned(),
    )
}
