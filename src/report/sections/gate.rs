//! The gate that learned when to trust the annotator.

use crate::report::words::{count, number};
use crate::report::{Row, Section};
use crate::run::Report;

/// What a gate looks at, for people.
const KNOWN: [(&str, &str, &str); 5] = [
    ("stated_margin", "The annotator's margin", "How sure it says it is"),
    ("length_gap", "Its choice is the longer one", "Difference of ln(1 + characters)"),
    ("prompt_rarity", "Rare words in the prompt", "Share of words that no labelled prompt has"),
    ("spread", "Members differ", "Variance of their margins"),
    ("disagreement", "Annotators disagree", "Variance of their probabilities"),
];

pub(super) fn section(report: &Report) -> Option<Section> {
    let found = report.confidence.gate.as_ref()?;
    let mut rows = vec![Row::new(
        "Gate fitted on",
        count(found.pairs),
        "Labelled pairs that the annotator did not learn from (data.calibration)",
    )];
    for feature in &found.gate.features {
        let known = KNOWN.iter().find(|(name, ..)| *name == feature.name);
        let (title, what) =
            known.map_or((feature.name.as_str(), ""), |(_, title, what)| (title, what));
        let value = format!("{:+.3}", feature.coefficient);
        let explanation = format!(
            "{what}: what one standard deviation more adds to the log-odds that the label is right"
        );
        rows.push(Row::new(title, value, explanation));
    }
    let where_told =
        "AURC on the calibration split, each fifth judged by a gate of the others; lower is better";
    let risks = [("Risk, gate", found.cross_fitted), ("Risk, margins", found.cross_fitted_plain)];
    rows.extend(risks.map(|(title, risk)| Row::new(title, number(risk), where_told)));
    Some(Section { title: "Trust gate", rows, ..Section::default() })
}
