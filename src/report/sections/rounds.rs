//! What each round of alignment began with, and how right the annotator is on what the policy writes.

use crate::report::words::{count, number, share};
use crate::report::{Line, Row, Section, Table};
use crate::run::{Report, RoundReport};

const COLUMNS: [&str; 6] =
    ["pairs kept", "tokens", "mean C", "annotator right", "calibration error", "gold reward"];

pub(super) fn section(report: &Report) -> Option<Section> {
    let place = |name: &str| name.parse::<usize>().unwrap_or(usize::MAX);
    let mut rounds: Vec<(&str, &RoundReport)> =
        report.rounds.iter().map(|(name, round)| (name.as_str(), round)).collect();
    rounds.sort_by_key(|(name, _)| place(name));
    if rounds.is_empty() {
        return None;
    }
    let rows = rounds.iter().map(|(name, round)| {
        let plural = if round.steps == 1 { "" } else { "s" };
        let steps = format!("{} step{plural}", count(round.steps as usize));
        let value = match round.prompts {
            0 => steps,
            _ => format!("{steps} on {} own pairs{}", kept(round), right(round)),
        };
        Row::new(format!("Round {name}"), value, explanation(round))
    });
    let rows = rows.collect();
    let written = rounds.iter().filter(|(_, round)| round.prompts > 0);
    let lines: Vec<Line> = written.map(|(name, round)| line(name, round)).collect();
    let table = (!lines.is_empty()).then(|| Table { columns: COLUMNS.to_vec(), lines });
    Some(Section { title: "Rounds", rows, table, ..Section::default() })
}

fn kept(round: &RoundReport) -> String {
    format!("{} of {}", count(round.kept), count(round.pairs))
}

/// How right the annotator was, where a gold reward knows.
fn right(round: &RoundReport) -> String {
    let found = round.annotator_accuracy;
    found.map_or_else(String::new, |_| format!(", annotator right on {}", share(found)))
}

fn explanation(round: &RoundReport) -> String {
    if round.prompts == 0 {
        return "On the labelled pairs".to_owned();
    }
    format!(
        "The policy wrote to {} prompts; {} of its responses have an end; {} prompts make no pair because all responses to them are the same, {} because the annotator says nothing of them",
        count(round.prompts),
        share(round.ended),
        count(round.alike),
        count(round.silent)
    )
}

fn line(name: &str, round: &RoundReport) -> Line {
    let short = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    let values = vec![
        kept(round),
        short(round.length),
        short(round.confidence),
        share(round.annotator_accuracy),
        number(round.annotator_ece),
        short(round.gold),
    ];
    Line { name: format!("Round {name}"), explanation: explanation(round), values }
}
