//! The gate that learns when to trust the annotator, and what it looks at.

use std::collections::HashSet;

use super::super::error::RunError;
use super::super::report::GateReport;
use super::super::session::Session;
use super::asked::{Part, SPREAD};
use super::combining::DISAGREEMENT;
use super::prepared::Prepared;
use crate::annotate::log_length;
use crate::data::{AnnotatedPair, STATED_MARGIN, Side};
use crate::preference::{FEW, Gate, aurc, aurc_difference};
use crate::text::prompt_text;

/// The column of how much longer the label's response is: the difference of ln(1 + characters).
const LENGTH_GAP: &str = "length_gap";
/// The column of the share of the prompt's different words that no labelled prompt has.
const RARITY: &str = "prompt_rarity";

/// What every annotator's table has for a gate, beside what its members leave.
pub(crate) const COLUMNS: [&str; 3] = [STATED_MARGIN, LENGTH_GAP, RARITY];

/// The margin of a label that is as likely wrong as right, so that it is no tie.
const LEAST: f64 = 1e-9;

/// Parts of the calibration split for what is told of the gate there.
const FOLDS: usize = 5;

/// Let a gate say how far each label is to be trusted: its log-odds take the place of margins, which stay as a
/// column, and what it looked at becomes columns. It is fitted on the calibration split, which the annotator has not
/// learned from, and judges neither that nor what the annotator learned from for the policy.
///
/// # Errors
///
/// No calibration pair has a label that could be compared.
pub(super) fn gate(
    session: &mut Session<'_>,
    prepared: &Prepared,
    annotated: &mut [AnnotatedPair],
) -> Result<(), RunError> {
    if !session.recipe.confidence.gate {
        return Ok(());
    }
    describe(prepared, annotated);
    let names = looks_at(annotated);
    let (rows, right) = of_part(&names, annotated, Part::Calibration);
    let found = fitted(&names, &rows, &right)?;
    if rows.len() < FEW {
        session.warn(format!(
            "the gate is fitted on {} pairs, which is too few to believe it (expected {FEW} or more); raise data.calibration or data.labelled",
            rows.len()
        ))?;
    }
    let crossed = Gate::cross_fitted(&names, &rows, &right, FOLDS);
    let (held_out, held_out_right) = of_part(&names, annotated, Part::HeldOut);
    let gated: Vec<f64> = held_out.iter().map(|row| found.log_odds(row)).collect();
    let plain = |rows: &[Vec<f64>]| rows.iter().map(|row| row[0]).collect::<Vec<f64>>();
    let report = GateReport {
        pairs: rows.len(),
        cross_fitted: aurc(&signed(&crossed, &right)),
        cross_fitted_plain: aurc(&signed(&plain(&rows), &right)),
        gate: found.clone(),
    };
    session.tabulated("confidence.gate", &report)?;
    let both = [signed(&gated, &held_out_right), signed(&plain(&held_out), &held_out_right)];
    if let Some(difference) = aurc_difference(&both[0], &both[1], session.recipe.seed) {
        session.measured_within(
            "annotator.aurc_gate_less_plain",
            difference.value,
            difference.interval,
        )?;
    }
    for pair in annotated.iter_mut() {
        // A label that is distrusted altogether weighs nothing; where it is measured, it is right or wrong still.
        let measured = pair.split != Part::Unlabelled.name();
        pair.margin = found.log_odds(&row_of(&names, pair)).max(if measured { LEAST } else { 0.0 });
    }
    Ok(())
}

/// Let the gate that was fitted on a table of annotations say how far labels of other pairs are to be trusted.
///
/// # Errors
///
/// The table has no calibration pair with a label that could be compared.
pub(super) fn gate_again(
    prepared: &Prepared,
    table: &[AnnotatedPair],
    fresh: &mut [AnnotatedPair],
) -> Result<(), RunError> {
    let names = looks_at(table);
    let (rows, right) = of_part(&names, table, Part::Calibration);
    let found = fitted(&names, &rows, &right)?;
    describe(prepared, fresh);
    for pair in fresh {
        pair.margin = found.log_odds(&row_of(&names, pair)).max(0.0);
    }
    Ok(())
}

/// What a gate looks at in a table.
fn looks_at(annotated: &[AnnotatedPair]) -> Vec<&'static str> {
    let there = |name: &&str| annotated.iter().any(|pair| pair.columns.contains_key(*name));
    let mut names = vec![STATED_MARGIN, LENGTH_GAP, RARITY];
    names.extend([SPREAD, DISAGREEMENT].into_iter().filter(there));
    names
}

/// What it looks at in the pairs of a part that a human labelled, and whether the annotator's labels are right.
fn of_part(names: &[&str], annotated: &[AnnotatedPair], part: Part) -> (Vec<Vec<f64>>, Vec<bool>) {
    annotated
        .iter()
        .filter(|pair| pair.split == part.name())
        .filter_map(|pair| Some((row_of(names, pair), pair.human? == pair.label)))
        .unzip()
}

fn fitted(names: &[&str], rows: &[Vec<f64>], right: &[bool]) -> Result<Gate, RunError> {
    Gate::fit(names, rows, right).ok_or_else(|| RunError::Impossible("data.calibration: the annotator can read none of the calibration pairs, so that there is nothing to fit the gate on; raise data.calibration, data.labelled or data.max_length, or set confidence.gate = false".to_owned()))
}

fn row_of(names: &[&str], pair: &AnnotatedPair) -> Vec<f64> {
    names.iter().map(|name| pair.columns.get(*name).copied().unwrap_or_default()).collect()
}

/// Log-odds, below 0 where the label is wrong; no label is more likely wrong than right.
fn signed(log_odds: &[f64], right: &[bool]) -> Vec<f64> {
    let sign = |(z, right): (&f64, &bool)| if *right { z.max(LEAST) } else { -z.max(LEAST) };
    log_odds.iter().zip(right).map(sign).collect()
}

/// Write down what is known of each pair.
fn describe(prepared: &Prepared, annotated: &mut [AnnotatedPair]) {
    let mut known: HashSet<String> = HashSet::new();
    for &i in &prepared.split.labelled {
        known.extend(words(&prompt_text(&prepared.pairs[i].prompt)));
    }
    for pair in annotated {
        let own: HashSet<String> = words(&pair.prompt).collect();
        let new = own.iter().filter(|word| !known.contains(*word)).count();
        let rarity = new as f64 / own.len().max(1) as f64;
        let [first, second] = pair.responses.each_ref().map(|text| log_length(text));
        let gap = if pair.label == Side::First { first - second } else { second - first };
        let all = [(STATED_MARGIN, pair.margin), (LENGTH_GAP, gap), (RARITY, rarity)];
        pair.columns.extend(all.map(|(name, value)| (name.to_owned(), value)));
    }
}

/// The words of a text, in small letters.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}
